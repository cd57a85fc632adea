"""A ledger that grows, read by somebody else."""

import json
from pathlib import Path

import pytest

from growing_ledger import COUNT, LABELS, predict
from seatrial.evaluation.follow import EvaluationProgress, LedgerFollower
from seatrial.evaluation.ledger import PredictionLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".net.ledger"


def test_it_counts_what_was_added_since(path: Path) -> None:
    follower = LedgerFollower(path)
    assert follower.read() is None
    with PredictionLedger(path, "key", COUNT, labels=LABELS) as ledger:
        assert follower.read() == EvaluationProgress(COUNT)
        ledger.add([predict(*range(10), right=7), predict(*range(10, 20), right=9, bad={50: "damaged"})], 2.0)
        assert follower.read() == EvaluationProgress(COUNT, 20, 1, (16, 20, 20, 20, 20), 10.0, 1)
        assert follower.read() == EvaluationProgress(COUNT, 20, 1, (16, 20, 20, 20, 20), 10.0, 1)
        ledger.add([predict(*range(20, 50), right=30)], 1.0)
        found = follower.read()
        assert found == EvaluationProgress(COUNT, 50, 1, (46, 50, 50, 50, 50), 50 / 3, 1)
        assert found is not None and found.done == 51
        assert LedgerFollower(path).read() == found
        ledger.remove()
    assert follower.read() is None


def test_the_rate_is_that_of_the_last_seconds(path: Path) -> None:
    follower = LedgerFollower(path)
    with PredictionLedger(path, "key", COUNT, labels=LABELS) as ledger:
        ledger.add([predict(*range(20))], 100.0)
        ledger.add([predict(*range(20, 60))], 4.0)
        ledger.add([predict(*range(60, 90))], 6.0)
        found = follower.read()
    assert found is not None and found.images_per_s == 7.0


def test_an_entry_that_is_not_whole_yet_is_left(path: Path) -> None:
    follower = LedgerFollower(path)
    with PredictionLedger(path, "key", COUNT, labels=LABELS) as ledger:
        ledger.add([predict(0, 1)], 1.0)
        begun = path.stat().st_size
        ledger.add([predict(2, 3)], 1.0)
    whole = path.read_bytes()
    for size in (begun, begun + 5, begun + 12, len(whole) - 1):
        path.write_bytes(whole[:size])
        found = follower.read()
        assert found is not None and found.predicted == 2
    path.write_bytes(whole)
    found = follower.read()
    assert found is not None and found.predicted == 4


def test_another_evaluation_in_the_same_file_begins_anew(path: Path) -> None:
    follower = LedgerFollower(path)
    with PredictionLedger(path, "key", COUNT, labels=LABELS) as ledger:
        ledger.add([predict(*range(50))], 1.0)
    assert follower.read() is not None
    with PredictionLedger(path, "other", COUNT - 1, labels=LABELS) as ledger:
        for index in range(60):
            ledger.add([predict(index, right=1)], 1.0)
    assert follower.read() == EvaluationProgress(COUNT - 1, 60, 0, (60, 60, 60, 60, 60), 1.0, 1)


def test_what_is_tried_again_in_another_attempt_counts_once(path: Path) -> None:
    follower = LedgerFollower(path)
    with PredictionLedger(path, "key", COUNT, labels=LABELS) as ledger:
        ledger.add([predict(0, bad={8: "damaged", 9: "damaged"})], 1.0)
    assert follower.read() == EvaluationProgress(COUNT, 1, 2, (0, 1, 1, 1, 1), 1.0, 1)
    with PredictionLedger(path, "key", COUNT, labels=LABELS) as ledger:
        ledger.add([predict(8, right=1, bad={9: "damaged"})], 1.0)
    assert follower.read() == EvaluationProgress(COUNT, 2, 1, (1, 2, 2, 2, 2), 1.0, 2)


def test_without_labels_nothing_is_right_or_wrong(path: Path) -> None:
    with PredictionLedger(path, "key", COUNT) as ledger:
        ledger.add([predict(*range(10))], 1.0)
    assert LedgerFollower(path).read() == EvaluationProgress(COUNT, 10, 0, None, 10.0, 1)


@pytest.mark.parametrize("text", [b"", b"{", b"[]\n", b'{"schema": "seatrial/ledger/1", "images": 3}\n', b"\xff\n"])
def test_another_file_is_no_ledger(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    assert LedgerFollower(path).read() is None


def test_the_counts_are_in_the_file(path: Path) -> None:
    with PredictionLedger(path, "key", COUNT, labels=LABELS) as ledger:
        ledger.add([predict(3, 4, right=1)], 1.0)
    facts = json.loads(path.read_bytes().split(b"\n")[1][12:])
    assert (facts["images"], facts["hits"]) == (2, [1, 2, 2, 2, 2])
