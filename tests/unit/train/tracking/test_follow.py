"""`train.jsonl` while it grows."""

import itertools
import json
from pathlib import Path

import pytest

from seatrial.train.tracking import follow
from seatrial.train.tracking.follow import CURVE, TrainingFollower


def step(number: int, **more: object) -> str:
    return json.dumps({"event": "step", "step": number, "steps": 5000, "loss": 1 / number, **more}) + "\n"


def epoch(number: int) -> str:
    return json.dumps({"event": "epoch", "step": number, "epoch": number, "val_top1": 0.5}) + "\n"


def test_lines_are_read_once_and_a_part_of_one_later(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    follower = TrainingFollower(path)
    assert follower.read() is None
    with path.open("a") as file:
        file.write(step(1) + step(2)[:20])
        file.flush()
        found = follower.read()
        assert found is not None and found.last is not None and found.last["step"] == 1
        file.write(step(2)[20:] + epoch(1) + step(3))
        file.flush()
        found = follower.read()
    assert found is not None and found.last is not None and found.last["step"] == 3
    assert [each["step"] for each in found.curve] == [1, 2, 3] and [each["epoch"] for each in found.epochs] == [1]


def test_a_file_that_was_cut_back_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(step(n) for n in range(1, 9)) + epoch(1))
    follower = TrainingFollower(path)
    follower.read()
    with path.open("r+") as file:
        file.truncate(len("".join(step(n) for n in range(1, 4))))
    found = follower.read()
    assert found is not None and [each["step"] for each in found.curve] == [1, 2, 3] and found.epochs == []


def test_a_long_curve_is_thinned_out_evenly(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    follower, total = TrainingFollower(path), 20 * CURVE
    with path.open("a") as file:
        for n in range(1, total + 1):
            file.write(step(n))
            if n % 500 == 0:
                file.flush()
                follower.read()
    found, whole = follower.read(), TrainingFollower(path).read()
    assert found is not None and whole is not None and found.curve == whole.curve
    steps = [each["step"] for each in found.curve]
    assert CURVE <= len(steps) < 2 * CURVE and steps[0] == 1 and found.last == json.loads(step(total))
    assert {b - a for a, b in itertools.pairwise(steps)} == {16}


def test_a_line_without_an_end_is_not_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "PART", 200)
    (tmp_path / "train.jsonl").write_text("0" * 10_000 + "\n" + step(1))
    follower = TrainingFollower(tmp_path / "train.jsonl")
    found = follower.read()
    assert found is not None and found.last is not None and found.last["step"] == 1
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write("0" * 10_000)
    follower.read()
    assert len(follower._rest) <= 200


def test_lines_of_anything_else_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("[]\nnonsense\n" + step(1) + '{"event": "epoch", nonsense\n' + "\xff\n")
    found = TrainingFollower(path).read()
    assert found is not None and found.epochs == [] and [each["step"] for each in found.curve] == [1]
