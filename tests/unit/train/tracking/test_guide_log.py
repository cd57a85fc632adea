"""The logs of the training guide's scripts, and that their own grep and awk find in ours what ours hold."""

import platform
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import RefusedFile
from seatrial.machine.environment import read_environment
from seatrial.recipes.training import Train
from seatrial.store.training import TrainingRecord, Validation
from seatrial.train.tracking.events import LogJob, Step
from seatrial.train.tracking.guide_log import (
    Case,
    GuideLog,
    extract_figures,
    name_log,
    read_case,
    write_case,
    write_validation,
)
from seatrial.train.tracking.listeners import open_guide_log, open_listeners
from training_steps import make_epoch, make_step

SHELL = shutil.which("awk") and shutil.which("grep") and shutil.which("sh")
EPOCH_STEPS = 24
PIPELINES = {
    "ActualFPS": "grep 'FPS@all' $LOG | awk '{print $FIELD}' | awk '{s += $1} END {if (NR) printf(\"%.3f\", s / NR)}'",
    "TrainAccuracy": "grep -a '* Acc@1' $LOG | awk 'END {print}' | awk -F 'Acc@1' '{print $NF}' | awk '{print $1}'",
    "ActualLoss": "grep Epoch: $LOG | grep -v Test | awk -F Loss '{print $NF}' | awk '{print $1}' | awk 'END {print}'",
    "CompileTime": "grep Epoch: $LOG | head -n 2 | awk -F Time '{print $2}' | awk '{s += $1} END {print s}'",
}
"""The shell scripts' extraction by grep and awk; `$LOG` is the log, `$FIELD` 7 on one device and 11 on several."""
EVAL_LOSS = "grep Test: $LOG | awk -F Loss '{print $NF}' | awk '{print $1}' | awk 'END {print}'"


def make_step_of(number: int, **changes: Any) -> Step:
    """Step `number`, from 1, of epochs of 24 steps: 8 images in 1 s, but the first ten of an epoch in 5 s each."""
    epoch, place = divmod(number - 1, EPOCH_STEPS)
    seconds = 5.0 if place < 10 else 1.0 + 0.5 * epoch
    facts = {"epoch": epoch + 1, "epoch_step": place + 1, "epoch_steps": EPOCH_STEPS, "top1": 0.25, "top5": 0.5}
    return make_step(number, **{**facts, "data_s": 0.25, "compute_s": seconds - 0.25, "loss": 7.0 / number, **changes})


def play(log: GuideLog, first: int = 1, last: int = 2 * EPOCH_STEPS) -> None:
    with closing(log):
        for number in range(first, last + 1):
            log.on_step(make_step_of(number))
            if number % EPOCH_STEPS == 0:
                epoch = number // EPOCH_STEPS
                log.on_epoch(make_epoch(epoch, val_top1=0.2 * epoch, val_top5=0.45 * epoch))


def make_record(**changes: Any) -> TrainingRecord:
    facts: dict[str, Any] = {
        "key": "k",
        "recipe": "resnet50",
        "settings": Train(batch_size=8).model_dump(mode="json"),
        "precision": "fp16",
        "device": "npu:3",
        "epochs": (),
        "environment": read_environment(()),
    }
    return TrainingRecord(**{**facts, **changes})


def extract(pipeline: str, log: Path, field: int = 7) -> str:
    command = pipeline.replace("$FIELD", f"${field}").replace("$LOG", f"'{log}'")
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.strip()


def test_the_lines_are_those_of_main_py_and_of_the_guide(tmp_path: Path) -> None:
    play(GuideLog(tmp_path, "npu:3", 1, 8, print_freq=8), last=EPOCH_STEPS)
    lines = (tmp_path / "train_3.log").read_text().splitlines()
    assert lines[0] == (
        "Epoch: [0][ 0/24]\tTime  5.000 ( 5.000)\tData  0.250 ( 0.250)\tLoss 7.0000e+00 (7.0000e+00)"
        "\tAcc@1  25.00 ( 25.00)\tAcc@5  50.00 ( 50.00)"
    )
    assert lines[1].split("\t")[1:4] == ["Time  5.000 ( 5.000)", "Data  0.250 ( 0.250)", "Loss 3.5000e+00 (5.2500e+00)"]
    # The first eleven, then every eighth.
    assert [line.partition("\t")[0] for line in lines[10:12]] == ["Epoch: [0][10/24]", "Epoch: [0][16/24]"]
    # The first ten steps are in no rate.
    assert lines[12:] == ["batch_size: 8 Time: 1.000 * FPS@all 8.000", " * Acc@1 20.000 Acc@5 45.000"]


def test_several_devices_are_named_in_front(tmp_path: Path) -> None:
    play(GuideLog(tmp_path, "npu:0", 8, 8, print_freq=100), last=EPOCH_STEPS)
    assert (tmp_path / "train_0.log").read_text().splitlines()[-2:] == [
        "[npu id: 0 ] batch_size: 8 Time: 1.000 * FPS@all 8.000",
        "[npu id: 0 ] [AVG-ACC] * Acc@1 20.000 Acc@5 45.000",
    ]


def test_mixed_images_and_a_training_without_held_out_ones_have_no_accuracy(tmp_path: Path) -> None:
    with closing(GuideLog(tmp_path, "cpu", 1, 8, print_freq=1)) as log:
        for number in range(1, 4):
            log.on_step(make_step_of(number, top1=None, top5=None))
        log.on_epoch(make_epoch(1, val_top1=None))
    text = (tmp_path / "train_0.log").read_text()
    assert "Acc" not in text
    # Of three steps half, rounded down, are left out.
    assert text.splitlines()[-1] == "batch_size: 8 Time: 5.000 * FPS@all 1.600"
    assert extract_figures(text, Case.of(make_record(), "train"))["TrainAccuracy"] == ""


def test_a_log_has_the_number_of_its_device() -> None:
    names = {device: name_log(device) for device in ("cpu", "cuda", "npu:7")}
    assert names == {"cpu": "train_0.log", "cuda": "train_0.log", "npu:7": "train_7.log"}


@pytest.mark.parametrize(
    ("purpose", "changes", "name"),
    [
        ("train", {}, "ResNet50_for_PyTorch_bs8_1p_full"),
        ("perf", {}, "ResNet50_for_PyTorch_bs8_1p_perf"),
        ("eval", {"precision": "fp32"}, "ResNet50_for_PyTorch_bs8_1p_eval"),
        ("train", {"world_size": 8}, "ResNet50_ID0095_for_PyTorch_bs8_8p_acc"),
        ("perf", {"world_size": 8, "precision": "fp32"}, "ResNet50_ID0095_for_PyTorch_bs8_8p_fp32_perf"),
        ("perf", {"recipe": "spnasnet_100", "precision": "bf16"}, "spnasnet_100_for_PyTorch_bs8_1p_perf"),
    ],
)
def test_a_case_is_named_as_the_scripts_name_it(purpose: Any, changes: dict[str, Any], name: str) -> None:
    assert Case.of(make_record(**changes), purpose).name == name


def test_a_case_holds_what_the_log_says(tmp_path: Path) -> None:
    play(GuideLog(tmp_path, "npu:3", 1, 8, print_freq=5))
    case = Case.of(make_record(), "perf")
    write_case(case, tmp_path, "npu:3", seconds=77.9)
    # 8 and 8/1.5 images/s; 8 images at their mean; 40 % of the second epoch; the 45th step; two of 5 s.
    assert (tmp_path / "ResNet50_for_PyTorch_bs8_1p_perf.log").read_text() == (
        "Network = ResNet50_for_PyTorch\nRankSize = 1\nBatchSize = 8\n"
        f"DeviceType = {platform.machine()}\nCaseName = ResNet50_for_PyTorch_bs8_1p_perf\n"
        "ActualFPS = 6.667\nTrainingTime = 1199.94\nTrainAccuracy = 40.000\nActualLoss = 1.5556e-01\n"
        "E2ETrainingTime = 77\nCompileTime = 10\n"
    )
    assert read_case(tmp_path / case.file_name)["ActualFPS"] == "6.667"
    assert "CompileTime" not in extract_figures("", Case.of(make_record(), "train"))


@pytest.mark.skipif(SHELL is None, reason="no awk, grep and sh here")
@pytest.mark.parametrize(("processes", "field"), [(1, 7), (8, 11)])
def test_the_scripts_own_extraction_finds_the_same(processes: int, field: int, tmp_path: Path) -> None:
    play(GuideLog(tmp_path, "npu:0", processes, 8, print_freq=7))
    case = Case.of(make_record(world_size=processes, device="npu:0"), "perf")
    write_case(case, tmp_path, "npu:0", 1.0)
    facts = read_case(tmp_path / case.file_name)
    found = {key: extract(pipeline, tmp_path / "train_0.log", field) for key, pipeline in PIPELINES.items()}
    if processes > 1:
        del found["CompileTime"]
    assert all(found.values()) and {key: facts[key] for key in found} == found
    time = f"awk 'BEGIN {{printf \"%.2f\", {case.batch_size} * 1000 / {found['ActualFPS']}}}' $LOG"
    assert facts["TrainingTime"] == extract(time, tmp_path / "train_0.log")


@pytest.mark.skipif(SHELL is None, reason="no awk, grep and sh here")
def test_a_validation_alone_follows_the_training_s_log(tmp_path: Path) -> None:
    play(GuideLog(tmp_path, "npu:3", 1, 8, print_freq=7))
    validation = Validation(images=20, of_images=20, top1=0.35, top5=0.8, loss=2.5, seconds=5.0)
    write_validation(validation, tmp_path, "npu:3", 8)
    log = tmp_path / "train_3.log"
    assert log.read_text().splitlines()[-2:] == [
        "Test: [3/3]\tTime  2.000 ( 2.000)\tLoss 2.5000e+00 (2.5000e+00)\tAcc@1  35.00 ( 35.00)\tAcc@5  80.00 ( 80.00)",
        " * Acc@1 35.000 Acc@5 80.000",
    ]
    case = Case.of(make_record(), "eval")
    write_case(case, tmp_path, "npu:3", 3.0)
    facts = read_case(tmp_path / case.file_name)
    assert list(facts) == [
        "Network", "RankSize", "BatchSize", "DeviceType", "CaseName", "TrainAccuracy", "ActualLoss", "E2ETrainingTime",
    ]  # fmt: skip
    assert facts["TrainAccuracy"] == extract(PIPELINES["TrainAccuracy"], log) == "35.000"
    assert facts["ActualLoss"] == extract(EVAL_LOSS, log) == "2.5000e+00"


def open_log(folder: Path, **changes: Any) -> GuideLog:
    return open_guide_log(LogJob(folder, "tiny", "key", Train(batch_size=8), guide_log=True, **changes))


def test_a_new_training_begins_a_new_log_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    play(open_log(tmp_path))
    whole = (tmp_path / "train_0.log").read_text()
    play(open_log(tmp_path), last=EPOCH_STEPS)
    play(open_log(tmp_path, step=EPOCH_STEPS, epochs=1), first=EPOCH_STEPS + 1)
    assert (tmp_path / "train_0.log").read_text() == whole


def test_the_log_is_among_the_listeners_where_it_is_asked_for(tmp_path: Path) -> None:
    for asked in (False, True):
        listeners = open_listeners(LogJob(tmp_path, "tiny", "key", Train(), guide_log=asked), lambda update: None)
        assert any(isinstance(listener, GuideLog) for listener in listeners) == asked
        for listener in listeners:
            listener.close()


def test_what_is_no_case_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train_0.log").write_text("Epoch: [0][0/1]\n")
    with pytest.raises(RefusedFile, match="is no log of the training guide"):
        read_case(tmp_path / "train_0.log")
