"""What a training writes while it runs."""

import json
import math
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from full_disk import limited_files
from seatrial.errors import StorageError, UsageError
from seatrial.progress import Update, silent
from seatrial.recipes.training import Train
from seatrial.train.tracking.events import LogJob
from seatrial.train.tracking.listeners import LOG, JsonLines, ScreenLines, open_listeners
from training_steps import EPOCH_STEPS, STEPS, make_epoch, make_step


def make_job(output: Path, **changes: Any) -> LogJob:
    return LogJob(output, "tiny", "key", Train(epochs=2, print_freq=2), **changes)


def play(job: LogJob, first: int, last: int) -> None:
    """Log the steps from `first` to `last`, and the epochs that end among them."""
    with closing(JsonLines(job)) as log:
        for number in range(first, last + 1):
            log.on_step(make_step(number))
            if number % EPOCH_STEPS == 0:
                log.on_epoch(make_epoch(number // EPOCH_STEPS))


def read(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / LOG).read_text().splitlines()]


def test_a_step_has_all_its_figures(tmp_path: Path) -> None:
    play(make_job(tmp_path), 4, 4)
    assert read(tmp_path) == [
        {
            "event": "step",
            "step": 4,
            "steps": 6,
            "epoch": 2,
            "loss": 2.0,
            "lr": 0.04,
            "images_per_s": 16.0,
            "data_s": 0.1,
            "compute_s": 0.4,
            "top1": 0.5,
            "top5": None,
        }
    ]


def test_an_epoch_stands_behind_its_steps(tmp_path: Path) -> None:
    play(make_job(tmp_path), 1, STEPS)
    lines = read(tmp_path)
    assert [(line["event"], line["step"]) for line in lines] == [
        ("step", 1), ("step", 2), ("step", 3), ("epoch", 3), ("step", 4), ("step", 5), ("step", 6), ("epoch", 6),
    ]  # fmt: skip
    assert lines[3]["epoch"] == 1 and lines[3]["val_top1"] == 0.125 and lines[3]["loss"] == 2.0


@pytest.mark.parametrize("step", range(STEPS + 1))
@pytest.mark.parametrize("torn", ["", '{"event": "step", "ste', "\x00\x00"])
def test_after_a_resume_each_step_stands_there_once(step: int, torn: str, tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    for folder in (whole, resumed):
        folder.mkdir()
    play(make_job(whole), 1, STEPS)
    play(make_job(resumed), 1, STEPS)
    with (resumed / LOG).open("a") as file:
        file.write(torn)
    play(make_job(resumed, step=step, epochs=step // EPOCH_STEPS), step + 1, STEPS)
    assert (resumed / LOG).read_bytes() == (whole / LOG).read_bytes()


def test_an_epoch_that_was_not_validated_before_the_snapshot_comes_once(tmp_path: Path) -> None:
    play(make_job(tmp_path), 1, 4)
    # A snapshot after step 3, before the validation.
    with closing(JsonLines(make_job(tmp_path, step=3, epochs=0))) as log:
        log.on_epoch(make_epoch(1))
        log.on_step(make_step(4))
    assert [(line["event"], line["step"]) for line in read(tmp_path)] == [
        ("step", 1), ("step", 2), ("step", 3), ("epoch", 3), ("step", 4),
    ]  # fmt: skip


def test_a_line_is_on_disk_before_the_log_is_closed(tmp_path: Path) -> None:
    with closing(JsonLines(make_job(tmp_path))) as log:
        log.on_step(make_step(1))
        assert len(read(tmp_path)) == 1


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_null_in_json(loss: float, tmp_path: Path) -> None:
    with closing(JsonLines(make_job(tmp_path))) as log:
        log.on_step(make_step(1, loss=loss))
    assert read(tmp_path)[0]["loss"] is None


@pytest.mark.parametrize("room", [0, 20])
def test_a_full_disk_is_a_storage_error_that_names_the_log(room: int, tmp_path: Path) -> None:
    with closing(JsonLines(make_job(tmp_path))) as log:
        log.on_step(make_step(1))
        with limited_files((tmp_path / LOG).stat().st_size + room), pytest.raises(StorageError, match=r"train\.jsonl"):
            log.on_step(make_step(2))
    play(make_job(tmp_path, step=1), 2, 2)
    assert [line["step"] for line in read(tmp_path)] == [1, 2]


def test_the_screen_has_a_line_every_few_steps() -> None:
    updates: list[Update] = []
    lines = ScreenLines(Train(epochs=2, print_freq=2), updates.append)
    for number in (1, 2, 3, 4):
        lines.on_step(make_step(number))
    lines.on_step(make_step(5, top1=None))
    assert [update.note for update in updates] == [
        "epoch 1/2, step 2/3: loss 2.500, top-1 25.0%, lr 0.02, 16 images/s, 20% of the time waiting",
        "epoch 2/2, step 2/3: loss 1.750, lr 0.05, 16 images/s, 20% of the time waiting",
    ]


def test_other_logs_are_opened_on_request(tmp_path: Path) -> None:
    def names(**changes: Any) -> list[str]:
        listeners = open_listeners(make_job(tmp_path / "out", **changes), silent)
        for listener in listeners:
            listener.on_step(make_step(2))
            listener.close()
        return [type(listener).__name__ for listener in listeners]

    assert names() == ["JsonLines", "ScreenLines"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [LOG]
    assert names(dllogger=True) == ["JsonLines", "ScreenLines", "DLLogger"]


def test_an_unknown_tracker_leaves_the_logs_alone(tmp_path: Path) -> None:
    play(make_job(tmp_path), 1, 2)
    with pytest.raises(UsageError, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        open_listeners(make_job(tmp_path, track=("tensorbord",)), silent)
    assert len(read(tmp_path)) == 2
