"""`seatrial train`: what its words become, with the training itself replaced by a recorder."""

import json
from pathlib import Path
from typing import Any

import pytest

from seatrial.api.training import PERFORMANCE
from seatrial.cli import run_cli
from seatrial.machine.environment import read_environment
from seatrial.progress import Progress, silent
from seatrial.recipes.training import Train
from seatrial.store.training import Epoch, TrainingRecord, Validation
from seatrial.workflow import train
from seatrial.workflow.train_spec import TrainSpec
from seatrial.workflow.train_speed import SPEED
from training_speeds import make_speed

LEAST = ["train", "resnet50", "--data", "images", "--output", "out"]
EPOCH = Epoch(
    epoch=1, loss=2.5, train_top1=0.25, val_top1=0.5, learning_rate=0.1, images_per_s=64.0, seconds=1.0
)  # fmt: skip


@pytest.fixture
def specs(monkeypatch: pytest.MonkeyPatch) -> list[TrainSpec]:
    """The specs that the training got."""
    specs: list[TrainSpec] = []

    def record(spec: TrainSpec, progress: Progress = silent) -> TrainingRecord:
        specs.append(spec)
        return TrainingRecord(
            key="0",
            recipe=spec.recipe,
            checkpoint="checkpoint.safetensors",
            checkpoint_sha256="0",
            settings=Train().model_dump(mode="json"),
            precision="bf16",
            epochs=(EPOCH,),
            environment=read_environment(()),
        )

    monkeypatch.setattr(train, "train_recipe", record)
    monkeypatch.delenv("RANK", raising=False)
    return specs


def test_what_is_not_given_is_left_to_the_card(specs: list[TrainSpec], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(LEAST) == 0
    assert specs == [TrainSpec("resnet50", Path("images"), Path("out"))]
    assert capsys.readouterr().out.splitlines() == [
        "epoch   loss  train top-1  held-out top-1  images/s",
        "1      2.500       25.00%          50.00%        64",
        "checkpoint: out/checkpoint.safetensors (bf16)",
    ]


WORDS: dict[str, tuple[list[str], Any]] = {
    "epochs": (["3"], 3),
    "learning_rate": (["0.5"], 0.5),
    "optimizer": (["lars"], "lars"),
    "lr_step_epochs": (["3,4"], (3, 4)),
    "loss_scale": (["1024"], 1024.0),
    "max_train_steps": (["7"], 7),
    "device": (["npu:1"], "npu:1"),
    "seed": (["0"], 0),
}


def test_every_setting_is_an_option(specs: list[TrainSpec]) -> None:
    for name, field in Train.model_fields.items():
        option = f"--{name.replace('_', '-')}"
        if field.annotation is bool:
            words: list[list[str]] = [[option], [option.replace("--", "--no-")]]
            values: list[Any] = [True, False]
        elif name in WORDS:
            words, values = [[option, *WORDS[name][0]]], [WORDS[name][1]]
        else:
            value = field.default if field.default is not None else 1
            words, values = [[f"{option}={value}"]], [value]
        for word, value in zip(words, values, strict=True):
            assert run_cli([*LEAST, *word]) == 0, name
            assert specs[-1].settings == {name: value}


def test_every_setting_has_a_word_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(field.description for field in Train.model_fields.values())
    assert run_cli(["train", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, field in Train.model_fields.items():
        assert f"--{name.replace('_', '-')}" in shown
        assert " ".join((field.description or "").split())[:20] in shown
    assert "<sgd|lars|adamw>" in shown and "<dynamic|float>" in shown and "--flip / --no-flip" in shown


def test_the_other_options(specs: list[TrainSpec]) -> None:
    words = "--classes 7 --image-size 96 --preset guide-8p --nproc 2"
    words += " --synthetic --dllogger --guide-format --force --track mlflow,tensorboard"
    least = ["train", "resnet50", "--output", "out"]
    assert run_cli([*least, *words.split(), "--resume", "there/snapshot.pt"]) == 0
    assert specs == [
        TrainSpec(
            recipe="resnet50",
            data=None,
            output=Path("out"),
            classes=7,
            image_size=96,
            preset="guide-8p",
            nproc=2,
            synthetic=True,
            dllogger=True,
            guide_format=True,
            force=True,
            track=("mlflow", "tensorboard"),
            resume=Path("there/snapshot.pt"),
        )
    ]


def test_the_guides_words_are_noted_and_become_ours(specs: list[TrainSpec], capsys: pytest.CaptureFixture[str]) -> None:
    line = "train --data_path=/data -a resnet50 -b256 --lr 0.2 --amp --save_ckpt_path out"
    assert run_cli(line.split()) == 0
    (spec,) = specs
    assert (spec.recipe, spec.data, spec.output) == ("resnet50", Path("/data"), Path("out"))
    assert spec.settings == {"batch_size": 256, "learning_rate": 0.2, "amp": "fp16"}
    assert capsys.readouterr().err.splitlines() == [
        "      note  --data_path=/data is --data /data here",
        "      note  -a resnet50 is the recipe here",
        "      note  -b256 is --batch-size 256 here",
        "      note  --lr 0.2 is --learning-rate 0.2 here",
        "      note  --amp is --amp fp16 here",
        "      note  --save_ckpt_path out is --output out here",
    ]


def test_the_folder_may_stand_where_main_py_has_it(specs: list[TrainSpec]) -> None:
    assert run_cli(["train", "/data", "-a", "resnet50", "--output", "out"]) == 0
    assert (specs[0].recipe, specs[0].data) == ("resnet50", Path("/data"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "many"], "Invalid value for '--epochs': many: Input should be a valid integer, unable to parse "
         "string as an integer"),
        (["--learning-rate", "-1"], "Invalid value for '--learning-rate': -1: Input should be greater than 0"),
        (["--amp", "fp32"], "Invalid value for '--amp': fp32: Input should be 'auto', 'off', 'bf16' or 'fp16'"),
        (["--loss-scale", "-1"], "Invalid value for '--loss-scale': -1: Input should be 'dynamic' or Input should be "
         "greater than 0"),
        (["--learning-rate", "inf"], "Invalid value for '--learning-rate': inf: Input should be a finite number"),
        (["--momentum", "1"], "Invalid value for '--momentum': 1: Input should be less than 1"),
        (["--seed", str(2**63)], f"Invalid value for '--seed': {2**63}: Input should be less than {2**63}"),
        (["--track", "tensorbord"], "--track tensorbord: unknown tracker; did you mean 'tensorboard'?"),
        (["--ND"], "--ND is not supported; give --channels-last or --no-channels-last"),
        (["--evaluate", "--performance"], "--performance has no effect with --evaluate; leave one of them out"),
        (["--performance", "--dllogger"], "--dllogger has no effect with --performance; leave one of them out"),
        (["elsewhere"], "the data folder is given twice: elsewhere and --data images; give it once"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    words: list[str], message: str, specs: list[TrainSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli([*LEAST, *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("seatrial: ") and shown.err.count("\n") == 1
    assert shown.err.removeprefix("seatrial: ").rstrip() == message
    assert specs == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["train", "resnet50", "--output", "out"],
            "Missing option '--data'; give a folder, or --synthetic for random images",
        ),
        (
            ["train", "resnet50", "--data", "images"],
            "Missing option '--output'; give a folder for checkpoint, snapshots and logs",
        ),
        (
            ["train", "resnet50", "--data", "images", "--synthetic", "--output", "out"],
            "--synthetic does not read images; leave one of them out",
        ),
    ],
)
def test_what_is_missing_is_an_error(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(words) == 2
    assert capsys.readouterr().err == f"seatrial: {message}\n"


def test_a_validation_says_how_many_images_it_counted(
    specs: list[TrainSpec], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = train.train_recipe
    validation = Validation(images=23, of_images=24, top1=0.5, top5=1.0, loss=1.25, seconds=1.0)
    changes = {"epochs": (), "checkpoint": "", "validation": validation, "bad_images": {"x.jpg": "no image"}}
    monkeypatch.setattr(train, "train_recipe", lambda *words: plain(*words).model_copy(update=changes))
    assert run_cli([*LEAST, "--evaluate"]) == 0
    assert specs[0].evaluate_only
    assert capsys.readouterr().out.splitlines() == [
        "held-out: top-1 50.000%, top-5 100.000%, loss 1.2500; 23 of 24 images, each counted once",
        "left out: 1 images that could not be read, listed in the record",
    ]


def test_processes_behind_the_first_are_silent(
    specs: list[TrainSpec], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_cli([*LEAST, "--lr", "1"]) == 0
    assert len(specs) == 1 and capsys.readouterr() == ("", "")


def test_performance_prints_the_guides_block_and_what_it_does_not_say(
    specs: list[TrainSpec], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_speed().save(tmp_path / SPEED)
    words = ["train", "resnet50", "--synthetic", "--output", str(tmp_path), "--performance", "--epochs", "2"]
    assert run_cli(words) == 0
    assert specs[0].performance and specs[0].settings == {**PERFORMANCE, "epochs": 2}
    assert capsys.readouterr().out == (
        "------------------ Final result ------------------\n"
        "Final Performance images/sec : 20.000\n"
        "Final Train Accuracy : 50.000\n"
        "E2E Training Duration sec : 12\n\n"
        "20 steps of 8 random images at 32x32 in bf16 on 1 × cpu, after 10 steps of warm-up: 95 % interval 20 to 20, "
        "of this process\nwaiting for images took 25.0% of the time\n"
    )
    assert run_cli([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "seatrial/training-speed/1"


CASE = {
    "train": "Network = a\nRankSize = 1\nBatchSize = 256\nCaseName = a\nActualFPS = 12.500\nTrainAccuracy = 40.000\n"
    "E2ETrainingTime = 77\n",
    "eval": "Network = a\nRankSize = 1\nBatchSize = 256\nCaseName = a\nTrainAccuracy = 40.000\nE2ETrainingTime = 7\n",
}


@pytest.mark.parametrize(
    ("mode", "purpose", "shown"),
    [
        ([], "full", ["-" * 18 + " Final result " + "-" * 18, "Final Performance images/sec : 12.500"]),
        (["--performance"], "perf", ["-" * 18 + " Final result " + "-" * 18, "Final Performance images/sec : 12.500"]),
        (["--evaluate"], "eval", ["Final Performance images/sec : 46"]),
    ],
)
def test_the_guides_result_is_printed_from_their_log(
    mode: list[str], purpose: str, shown: list[str], specs: list[TrainSpec], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plain = train.train_recipe
    validation = Validation(images=23, of_images=23, top1=0.4, top5=1.0, loss=1.25, seconds=0.5)
    monkeypatch.setattr(
        train, "train_recipe", lambda *words: plain(*words).model_copy(update={"validation": validation})
    )
    make_speed().save(tmp_path / SPEED)
    words = ["train", "resnet50", "--data", "images", "--output", str(tmp_path), "--guide-format", *mode]
    case = CASE["eval" if purpose == "eval" else "train"]
    (tmp_path / f"ResNet50_for_PyTorch_bs256_1p_{purpose}.log").write_text(case)
    assert run_cli(words) == 0
    lines = capsys.readouterr().out.splitlines()
    begin = lines.index(shown[0])
    assert lines[begin : begin + len(shown)] == shown
    assert lines[begin + len(shown)] == "Final Train Accuracy : 40.000"
    assert lines[begin + len(shown) + 1].startswith("E2E Training Duration sec : 7")
