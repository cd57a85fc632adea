from pathlib import Path

import numpy as np
import pytest

from full_disk import limited_files
from seatrial.errors import RunInUse, StorageError
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.evaluation.stream import PredictionBatch

COUNT, CLASSES = 30, 7


def make_answers(*indices: int, bad: dict[int, str] | None = None, keep: bool = True) -> PredictionBatch:
    """Answers that follow from the index alone."""
    rows = np.array(indices, dtype=np.int64)
    logits = (rows[:, None] * 10 + np.arange(CLASSES)).astype(np.float32)
    return PredictionBatch(
        indices=rows,
        classes=np.tile(np.arange(CLASSES)[::-1][:5], (len(rows), 1)).astype(np.int32),
        scores=logits[:, ::-1][:, :5],
        log_denominators=rows.astype(np.float32) + 0.5,
        distributions=rows % 2 == 0,
        digests=rows.astype(np.uint64) + 1000,
        contents=rows.astype(np.uint64) + 2**63,
        logits=logits if keep else None,
        width=CLASSES,
        bad=bad,
        decode_s=0.5,
        run_s=0.25,
    )


def test_what_was_added_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger"
    with PredictionLedger(path, "key", COUNT) as ledger:
        ledger.add([make_answers(4, 2), make_answers(7, bad={9: "image x is damaged"})], 2.0)
        ledger.add([make_answers(0)], 1.5)
    with PredictionLedger(path, "key", COUNT) as ledger:
        tally = ledger.tally
        # What was damaged may have been mended.
        assert ledger.todo.tolist() == [i for i in range(COUNT) if i not in (0, 2, 4, 7)]
        assert np.flatnonzero(tally.predicted).tolist() == [0, 2, 4, 7]
        assert tally.bad == {}
        assert (tally.width, tally.decode_s, tally.run_s, tally.wall_s, tally.attempts) == (CLASSES, 1.5, 0.75, 3.5, 2)
        assert tally.digests[[4, 7]].tolist() == [1004, 1007]
        assert tally.contents[[4, 7]].tolist() == [2**63 + 4, 2**63 + 7]
        assert tally.log_denominators[[4, 7]].tolist() == [4.5, 7.5]
        assert tally.distributions[[4, 7]].tolist() == [True, False]
        rows = np.array([7, 0, 4])
        np.testing.assert_array_equal(ledger.read_logits(rows), make_answers(7, 0, 4).logits)
        np.testing.assert_array_equal(tally.scores[rows], make_answers(7, 0, 4).scores)
        np.testing.assert_array_equal(tally.classes[rows], make_answers(7, 0, 4).classes)


def test_what_was_damaged_is_tried_in_each_attempt_and_counted_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    for why in ("damaged", "still damaged"):
        with PredictionLedger(path, "key", COUNT) as ledger:
            assert ledger.tally.bad == {}
            ledger.add([make_answers(bad={9: why})], 1.0)
            assert ledger.tally.bad == {9: why} and ledger.tally.done[9]
    with PredictionLedger(path, "key", COUNT) as ledger:
        ledger.add([make_answers(9)], 1.0)
        assert ledger.tally.predicted[9]
    with PredictionLedger(path, "key", COUNT) as ledger:
        assert np.flatnonzero(ledger.tally.predicted).tolist() == [9] and ledger.tally.bad == {}


def test_a_ledger_of_another_key_stays_until_there_is_a_prediction(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with PredictionLedger(path, "key", COUNT) as ledger:
        ledger.add([make_answers(1, 2)], 1.0)
    before = path.read_bytes()
    with PredictionLedger(path, "other", COUNT) as ledger:
        assert not ledger.tally.done.any()
    assert path.read_bytes() == before
    with PredictionLedger(path, "other", COUNT) as ledger:
        ledger.add([make_answers(5)], 1.0)
    with PredictionLedger(path, "other", COUNT) as ledger:
        assert np.flatnonzero(ledger.tally.predicted).tolist() == [5]


def test_a_torn_entry_is_cut_off_wherever_it_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with PredictionLedger(path, "key", COUNT) as ledger:
        ledger.add([make_answers(1, 2)], 1.0)
        whole = path.stat().st_size
        ledger.add([make_answers(3)], 1.0)
    data = path.read_bytes()
    for length in range(whole, len(data)):
        path.write_bytes(data[:length])
        with PredictionLedger(path, "key", COUNT) as ledger:
            assert np.flatnonzero(ledger.tally.done).tolist() == [1, 2]
        assert path.stat().st_size == whole
    path.write_bytes(data[:whole] + b"\xff" * 40)
    with PredictionLedger(path, "key", COUNT) as ledger:
        ledger.add([make_answers(3)], 1.0)
    with PredictionLedger(path, "key", COUNT) as ledger:
        assert np.flatnonzero(ledger.tally.done).tolist() == [1, 2, 3]


def test_a_flipped_bit_ends_what_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with PredictionLedger(path, "key", COUNT) as ledger:
        start = path.stat().st_size
        ledger.add([make_answers(1)], 1.0)
    data = bytearray(path.read_bytes())
    for at in range(start, len(data), 13):
        spoiled = bytearray(data)
        spoiled[at] ^= 4
        path.write_bytes(spoiled)
        with PredictionLedger(path, "key", COUNT) as ledger:
            assert not ledger.tally.done.any()


@pytest.mark.parametrize(("key", "count", "resume"), [("other", COUNT, True), ("key", 31, True), ("key", COUNT, False)])
def test_another_evaluation_begins_anew(key: str, count: int, resume: bool, tmp_path: Path) -> None:
    with PredictionLedger(tmp_path / "ledger", "key", COUNT) as ledger:
        ledger.add([make_answers(1)], 1.0)
    with PredictionLedger(tmp_path / "ledger", key, count, resume) as ledger:
        assert not ledger.tally.done.any()
        ledger.add([make_answers(5)], 1.0)
    with PredictionLedger(tmp_path / "ledger", key, count) as ledger:
        assert np.flatnonzero(ledger.tally.done).tolist() == [5]


def test_nothing_is_counted_twice(tmp_path: Path) -> None:
    with PredictionLedger(tmp_path / "ledger", "key", COUNT) as ledger:
        ledger.add([make_answers(1, 2)], 1.0)
        with pytest.raises(StorageError, match=r"ledger counts an image twice"):
            ledger.add([make_answers(2)], 1.0)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with (
        PredictionLedger(tmp_path / "ledger", "key", COUNT),
        pytest.raises(RunInUse, match=f"another process evaluates into {tmp_path}"),
    ):
        PredictionLedger(tmp_path / "ledger", "key", COUNT)


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    with PredictionLedger(tmp_path / "ledger", "key", COUNT) as ledger:
        ledger.add([make_answers(1)], 1.0)
        with pytest.raises(StorageError, match="cannot be written"), limited_files(path_size(ledger) + 100):
            ledger.add([make_answers(2, 3, 4, 5)], 1.0)
    with PredictionLedger(tmp_path / "ledger", "key", COUNT) as ledger:
        assert np.flatnonzero(ledger.tally.done).tolist() == [1]


def path_size(ledger: PredictionLedger) -> int:
    return ledger.path.stat().st_size
