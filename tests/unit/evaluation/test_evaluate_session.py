from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import CLASSES, FakeSession, answer, make_recipe
from seatrial.data.feed import make_feed
from seatrial.data.labels import LabelledImage
from seatrial.data.preprocess import normalise
from seatrial.errors import DataError, ParityError
from seatrial.evaluation.pipeline import Evaluated, evaluate_session
from seatrial.metrics.topk import rank_top
from seatrial.progress import Update, silent

COUNT = 22


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (COUNT, 4, 6, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def images(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    """Images of noise, named so that their order is not that of their ids."""
    folder = tmp_path_factory.mktemp("noise")
    made = []
    for row, picture in enumerate(pixels):
        name = f"{row * 7 % COUNT:02d}.png"
        Image.fromarray(picture).save(folder / name)
        made.append(LabelledImage(name, folder / name, row % CLASSES))
    return made


def evaluate(session: FakeSession, images: list[LabelledImage], batch_size: int = 16) -> Evaluated:
    return evaluate_session(session, images, make_feed(make_recipe()), batch_size, silent)


def test_predictions_are_the_best_classes_in_the_order_of_ids(images: list[LabelledImage], pixels: np.ndarray) -> None:
    found = evaluate(FakeSession(), images)
    order = sorted(range(COUNT), key=lambda row: images[row].id)
    assert found.predictions.ids == tuple(sorted(image.id for image in images))
    np.testing.assert_array_equal(found.predictions.labels, [images[row].label for row in order])
    classes, scores = rank_top(answer(pixels)[order])
    np.testing.assert_array_equal(found.predictions.classes, classes)
    np.testing.assert_array_equal(found.predictions.scores, scores)
    assert (found.classes, found.batch_size) == (CLASSES, 16)
    assert found.wall_s > 0 and found.workers >= 1


@pytest.mark.parametrize(("fixed", "batch_size"), [(None, 1), (None, 3), (3, 16), (16, 1), (None, 100)])
def test_every_image_counts_once_whatever_the_batch(
    fixed: int | None, batch_size: int, images: list[LabelledImage], tmp_path: Path
) -> None:
    session = FakeSession(fixed)
    evaluate(FakeSession(), images).predictions.save(tmp_path / "whole.parquet")
    found = evaluate(session, images, batch_size)
    found.predictions.save(tmp_path / "parts.parquet")
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert found.batch_size == (fixed or batch_size)
    size = min(fixed or batch_size, COUNT)
    assert len(session.given) == -(-COUNT // size)
    assert {len(batch) for batch in session.given} <= {size, COUNT % size if fixed is None else size}


def test_a_session_that_takes_floats_gets_the_preprocessing_tail(
    images: list[LabelledImage], pixels: np.ndarray
) -> None:
    def answer_floats(batch: np.ndarray) -> np.ndarray:
        return np.concatenate([batch.mean(axis=(2, 3)), np.zeros((len(batch), 1), np.float32)], axis=1)

    session = FakeSession(answer=answer_floats, dtype="float32")
    evaluate(session, images)
    given = np.concatenate(session.given)
    np.testing.assert_array_equal(given, normalise(pixels, make_recipe()))
    # 128 is 0.50196 of 255: (x - mean) / std of the three channels.
    flat = normalise(np.full((1, 1, 1, 3), 128, np.uint8), make_recipe()).ravel()
    assert flat == pytest.approx([(128 / 255 - m) / m for m in (0.5, 0.25, 0.125)], abs=1e-6)


def spoil(value: float, row: int) -> Callable[[np.ndarray], np.ndarray]:
    """Closed-form answers, but for all classes of one image of the third batch."""
    seen = 0

    def answer_badly(batch: np.ndarray) -> np.ndarray:
        nonlocal seen
        logits = answer(batch)
        seen += 1
        if seen == 3:
            logits[row] = value
        return logits

    return answer_badly


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_no_number_names_its_image(value: float, images: list[LabelledImage]) -> None:
    with pytest.raises(ParityError, match=f"answers NaN or infinity, first for {images[9].id}$"):
        evaluate(FakeSession(answer=spoil(value, 1)), images, batch_size=4)


def test_equal_scores_for_all_classes_name_their_image(images: list[LabelledImage]) -> None:
    with pytest.raises(ParityError, match=f"every class the same score, first for {images[10].id}$"):
        evaluate(FakeSession(answer=spoil(3.0, 2)), images, batch_size=4)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_one_answer_to_everything_is_refused(batch_size: int, images: list[LabelledImage]) -> None:
    def answer_alike(batch: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(CLASSES, dtype=np.float32), (len(batch), 1))

    with pytest.raises(ParityError, match="gives 22 images the same answer, though they differ"):
        evaluate(FakeSession(answer=answer_alike), images, batch_size)


def test_copies_in_one_batch_are_no_error(images: list[LabelledImage]) -> None:
    copies = [LabelledImage(f"copy-{i}", images[0].path, 0) for i in range(2)]
    found = evaluate(FakeSession(), [*images[1:3], *copies], batch_size=2)
    np.testing.assert_array_equal(found.predictions.classes[-1], found.predictions.classes[-2])


def test_a_broken_image_is_named(images: list[LabelledImage], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"image \S+/broken\.png is damaged"):
        evaluate(FakeSession(), [*images, LabelledImage("broken.png", broken, 0)], batch_size=4)


def test_progress_counts_images(images: list[LabelledImage]) -> None:
    told: list[Update] = []
    evaluate_session(FakeSession(), images, make_feed(make_recipe()), 8, told.append)
    assert [(update.stage, update.done, update.total, update.unit) for update in told] == [
        ("evaluate", done, COUNT, "images") for done in (8, 16, 22)
    ]
