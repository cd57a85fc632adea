from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_engine import CLASSES, FakeSession, answer
from seatrial.engines.base import StageTimes
from seatrial.errors import ParityError
from seatrial.evaluation.guide_format import Performance
from seatrial.evaluation.run_files import FileSource, Repeats, run_source
from seatrial.progress import Update, silent

COUNT = 10
PIXELS = np.random.default_rng(6).integers(0, 256, (COUNT * 2, 4, 6, 3), dtype=np.uint8)


class TimedSession(FakeSession):
    """Says that it copied for 1 ms, computed for 2 and copied for 3."""

    def run_timed(self, batch: np.ndarray) -> tuple[np.ndarray, StageTimes]:
        return self.run(batch), StageTimes(1.0, 2.0, 3.0)


def make_source(files: int = COUNT, images: int = 1) -> FileSource:
    """File N holds the images from N·images on."""

    def read(path: Path, rows: np.ndarray) -> None:
        rows[:] = PIXELS[int(path.stem) * images : (int(path.stem) + 1) * images]

    return FileSource([Path(f"{number}.bin") for number in range(files)], images, FakeSession().input, read)


def run(session: FakeSession, source: FileSource, repeats: Repeats) -> tuple[dict[str, np.ndarray], Performance]:
    stored: dict[str, np.ndarray] = {}
    performance, _ = run_source(session, source, repeats, lambda path, rows: stored.update({path.name: rows}), silent)
    return stored, performance


@pytest.mark.parametrize(("fixed", "batch_size"), [(None, 1), (None, 4), (4, 4), (None, 10), (16, 16)])
def test_every_file_gets_its_predictions(fixed: int | None, batch_size: int) -> None:
    session = FakeSession(fixed)
    stored, performance = run(session, make_source(), Repeats(batch_size, warmup=0))
    assert list(stored) == [f"{number}.bin" for number in range(COUNT)]
    np.testing.assert_array_equal(np.concatenate(list(stored.values())), answer(PIXELS[:COUNT]))
    assert [len(given) for given in session.given] == [batch_size] * -(-COUNT // batch_size)
    assert len(performance.compute_ms) == len(session.given) and performance.copy_in_ms == []


def test_the_last_batch_repeats_its_first_file_and_its_predictions_are_dropped() -> None:
    session = FakeSession()
    stored, _ = run(session, make_source(), Repeats(4, warmup=0))
    np.testing.assert_array_equal(session.given[-1], PIXELS[[8, 9, 8, 8]])
    assert len(stored) == COUNT


def test_a_file_of_several_images_gets_as_many_predictions() -> None:
    session = FakeSession()
    stored, _ = run(session, make_source(5, images=2), Repeats(6, warmup=0))
    assert {rows.shape for rows in stored.values()} == {(2, CLASSES)}
    np.testing.assert_array_equal(np.concatenate(list(stored.values())), answer(PIXELS[:10]))
    np.testing.assert_array_equal(session.given[-1], PIXELS[[6, 7, 8, 9, 6, 7]])


def test_loops_are_counted_and_warm_up_is_not() -> None:
    session = TimedSession()
    _, performance = run(session, make_source(), Repeats(4, loop=5, warmup=2))
    assert len(session.given) == 2 + 3 * 5
    np.testing.assert_array_equal(session.given[0], PIXELS[:4])
    assert performance == Performance(4, [2.0] * 15, [1.0] * 15, [3.0] * 15)
    assert (performance.images_per_s, performance.image_ms) == (2000, 1.5)


def test_the_course_counts_images_and_batches() -> None:
    _, course = run_source(FakeSession(), make_source(5, images=2), Repeats(6), lambda path, rows: None, silent)
    assert (course.images, course.batches) == (10, 2)
    assert 0 < course.read_s <= course.infer_s <= course.stored_s


def spoil(value: float, row: int) -> Callable[[np.ndarray], np.ndarray]:
    def answer_badly(batch: np.ndarray) -> np.ndarray:
        logits = answer(batch)
        logits[(batch == PIXELS[row]).all(axis=(1, 2, 3))] = value
        return logits

    return answer_badly


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "NaN or infinity"), (np.inf, "NaN or inf"), (3.0, "the same score")]
)
def test_a_prediction_that_is_none_names_its_file(value: float, words: str) -> None:
    with pytest.raises(ParityError, match=rf"{words}.*, first for 6\.bin;"):
        run(FakeSession(answer=spoil(value, 6)), make_source(), Repeats(4))
    with pytest.raises(ParityError, match=rf"{words}.*, first for 3\.bin;"):
        run(FakeSession(answer=spoil(value, 6)), make_source(5, images=2), Repeats(4))


def test_one_prediction_to_everything_is_refused() -> None:
    session = FakeSession(answer=lambda batch: np.tile(np.arange(CLASSES, dtype=np.float32), (len(batch), 1)))
    with pytest.raises(ParityError, match="gives 10 images the same logits, though they differ"):
        run(session, make_source(), Repeats(4))


def test_of_data_made_for_the_time_logits_must_be_numbers_alone() -> None:
    """A network whose weights are drawn may give zeros the same score for every class."""
    flat = FakeSession(answer=lambda batch: np.zeros((len(batch), CLASSES), dtype=np.float32))
    stored, _ = run(flat, replace(make_source(), synthetic=True), Repeats(4))
    assert len(stored) == COUNT
    with pytest.raises(ParityError, match="NaN or infinity"):
        run(FakeSession(answer=spoil(np.nan, 6)), replace(make_source(), synthetic=True), Repeats(4))


def test_progress_counts_files() -> None:
    told: list[Update] = []
    run_source(FakeSession(), make_source(), Repeats(4), lambda path, rows: None, told.append)
    assert [(update.stage, update.done, update.total, update.unit) for update in told] == [
        ("infer", done, COUNT, "files") for done in (4, 8, 10)
    ]
