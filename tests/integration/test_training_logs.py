"""The logs of a training, compared with those of one that nobody stopped; its files in the guides' form; its speed."""

import json
from pathlib import Path
from typing import Any

import pytest

from seatrial.cli import run_cli
from seatrial.progress import Update
from seatrial.store.training import TrainingSpeedRecord
from seatrial.train.checkpoint.pytorch_examples import BEST, LAST
from seatrial.train.tracking.guide_log import read_case
from seatrial.train.tracking.listeners import LOG
from seatrial.workflow.train import train_recipe
from seatrial.workflow.train_spec import TrainSpec
from seatrial.workflow.train_speed import SPEED
from tiny_trial import TinyTrial

CLOCKS = {"images_per_s", "data_s", "compute_s", "seconds"}


class _Stop(Exception):
    """What a test throws out of a training."""


def read(output: Path) -> list[dict[str, Any]]:
    """The log without times."""
    lines = [json.loads(line) for line in (output / LOG).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]


def stop_at(step: int, update: Update) -> None:
    """A kill, as far as the files show: no snapshot is written on the way out."""
    if update.done == step:
        raise _Stop


@pytest.mark.parametrize("step", [2, 4])
def test_a_stopped_training_has_each_step_once(step: int, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    whole, stopped = (TrainSpec(str(tiny_trial.card), tiny_trial.folder, tmp_path / name) for name in ("a", "b"))
    train_recipe(whole)
    with pytest.raises(_Stop):
        train_recipe(stopped, lambda update: stop_at(step, update))
    assert read(stopped.output)[-1]["step"] == step
    train_recipe(stopped)
    assert [(line["event"], line["step"]) for line in read(stopped.output)] == [
        ("step", 1), ("step", 2), ("step", 3), ("epoch", 3), ("step", 4), ("step", 5), ("step", 6), ("epoch", 6),
    ]  # fmt: skip
    assert read(stopped.output) == read(whole.output)


def test_another_training_in_the_same_folder_starts_its_log_again(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    for rate in (0.01, 0.02):
        settings = {"epochs": 1, "learning_rate": rate, "warmup_epochs": 0}
        train_recipe(TrainSpec(str(tiny_trial.card), tiny_trial.folder, tmp_path, settings, force=True))
    assert [line["step"] for line in read(tmp_path)] == [1, 2, 3, 3]
    assert read(tmp_path)[0]["lr"] == 0.02


def test_export_takes_what_guide_format_wrote(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    words = ["train", str(tiny_trial.card), "--data", str(tiny_trial.folder), "--output", str(tmp_path)]
    assert run_cli([*words, "--guide-format", "--ema", "0.5"]) == 0
    for name in (LAST, BEST):
        export = ["export", str(tiny_trial.card), "--checkpoint", str(tmp_path / name)]
        assert run_cli([*export, "--output", str(tmp_path / f"{name}.onnx")]) == 0
    assert run_cli([*words[:-1], str(tmp_path / "on"), "--resume", str(tmp_path / LAST), "--epochs", "3"]) == 0
    assert [line["epoch"] for line in read(tmp_path / "on") if line["event"] == "epoch"] == [3]


def test_the_speed_of_a_training_is_kept_step_by_step(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(tiny_trial.card), "--data", str(tiny_trial.folder), "--output", str(tmp_path)]
    assert run_cli([*words, "--performance", "--epochs", "2", "--max-train-steps", "2"]) == 0
    speed = TrainingSpeedRecord.load(tmp_path / SPEED)
    assert (speed.name, speed.excluded, speed.images, speed.epochs) == ("1p-CPU", 2, (8, 8), 2)
    assert (speed.recipe, speed.batch_size, speed.size, speed.machines) == ("tiny", 8, (32, 32), 1)
    assert speed.doubts == ("only 2 steps were timed",)
    assert speed.wall_s > sum(speed.seconds) > 0
    assert f"Final Performance images/sec : {speed.images_per_s:.3f}\n" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} == {"training-speed.json"}


def test_every_way_to_train_leaves_the_guides_logs(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(tiny_trial.card), "--data", str(tiny_trial.folder), "--output", str(tmp_path)]
    words += ["--guide-format", "--amp", "off", "--batch-size", "8"]
    for mode, purpose in ([], "full"), (["--evaluate"], "eval"), (["--performance", "--epochs", "2"], "perf"):
        assert run_cli([*words, *mode]) == 0
        facts = read_case(tmp_path / f"tiny_for_PyTorch_bs8_1p{'' if purpose == 'eval' else '_fp32'}_{purpose}.log")
        log = (tmp_path / "train_0.log").read_text()
        shown = capsys.readouterr().out
        assert (facts["RankSize"], facts["CaseName"].rpartition("_")[2]) == ("1", purpose)
        assert f"Final Train Accuracy : {facts['TrainAccuracy']}\n" in shown
        assert f" * Acc@1 {facts['TrainAccuracy']} Acc@5 " in log.splitlines()[-1]
        if purpose != "eval":
            assert log.count("FPS@all") == 2 and f"Final Performance images/sec : {facts['ActualFPS']}\n" in shown
            assert float(facts["TrainingTime"]) == pytest.approx(8000 / float(facts["ActualFPS"]), abs=0.006)
    assert TrainingSpeedRecord.load(tmp_path / SPEED).epochs == 2
    logs = [str(tmp_path / f"tiny_for_PyTorch_bs8_1p_fp32_{purpose}.log") for purpose in ("full", "perf")]
    assert run_cli(["compare", *logs, str(tmp_path / SPEED)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:4]]
    # The last log's rate, which is the mean of its epochs', and that of all timed steps.
    assert rows[0][2] == facts["ActualFPS"].rstrip("0").rstrip(".") and rows[1][0] == "1p-CPU"
