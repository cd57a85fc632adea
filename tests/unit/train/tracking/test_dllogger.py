"""DLLogger's lines, as its two backends write them."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from seatrial.recipes.training import Train
from seatrial.train.tracking.dllogger import METRICS, DLLogger
from seatrial.train.tracking.events import LogJob
from training_steps import make_epoch, make_step


class Clock:
    """A second later each time."""

    def __init__(self) -> None:
        self.time = datetime(2023, 2, 16, 12, 0, 0)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[DLLogger]:
    with closing(DLLogger(LogJob(tmp_path, "tiny", "key", Train(print_freq=2)), Clock())) as opened:
        yield opened


def test_steps_and_epochs_are_counted_from_0_and_only_some_are_logged(logger: DLLogger, tmp_path: Path) -> None:
    for number in range(1, 6):
        logger.on_step(make_step(number, learning_rate=0.125))
    logger.on_epoch(make_epoch(2))
    lines = (tmp_path / "dllogger.log").read_text().splitlines()
    assert [line.partition(" - ")[2].partition("  ")[0] for line in lines] == [
        "Epoch: 0 Iteration: 1",
        "Epoch: 1 Iteration: 1",
        "Epoch: 1",
    ]
    assert lines[0] == (
        "DLL 2023-02-16 12:00:14 - Epoch: 0 Iteration: 1  train.loss : 2.50000  train.top1 : 25.00 % "
        "train.lr : 0.12500  train.compute_ips : 20.00 img/s train.total_ips : 16.00 img/s "
        "train.data_time : 0.10000 s train.compute_time : 0.40000 s"
    )
    assert lines[2].endswith(
        "train.loss : 1.00000  train.top1 : 50.00 % val.top1 : 25.00 % train.total_ips : 16.00 img/s"
    )


def test_the_json_stream_has_metadata_first(logger: DLLogger, tmp_path: Path) -> None:
    logger.on_step(make_step(2))
    logger.on_epoch(make_epoch(1))
    lines = (tmp_path / "dllogger.json").read_text().splitlines()
    assert all(line.startswith("DLLL {") for line in lines)
    found = [json.loads(line.removeprefix("DLLL ")) for line in lines]
    assert [(f["type"], f.get("metric")) for f in found[:-2]] == [("METADATA", name) for name in METRICS]
    assert found[0]["metadata"] == {"unit": "", "format": ":.5f"}
    assert set(found[-1]) == {"timestamp", "datetime", "elapsedtime", "type", "step", "data"}
    assert (found[-2]["step"], found[-2]["data"]["train.loss"]) == ([0, 1], 2.5)
    assert (found[-1]["step"], found[-1]["data"]["val.top1"]) == ([0], 12.5)
    assert float(found[-1]["elapsedtime"]) > float(found[-2]["elapsedtime"]) > 0
