import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp, softmax

from fake_engine import CLASSES, FakeSession, answer, make_recipe
from seatrial.data.fast_hash import hash_prepared
from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.data.preprocessing.steps import normalise
from seatrial.errors import ParityError
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.evaluation.pipeline import check_variety, collect_predictions, predict_all
from seatrial.evaluation.stream import PredictionBatch, StreamPlan, stream_predictions
from seatrial.metrics.topk import rank_top
from seatrial.progress import Update, silent
from seatrial.store.files import hash_bytes, hash_content
from seatrial.store.predictions import Predictions, write_parts

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


PIPELINE = make_pipeline(make_recipe())
ONE_BY_ONE = StreamPlan(batch_size=4)


def evaluate(
    session: FakeSession, images: list[LabelledImage], folder: Path, plan: StreamPlan = ONE_BY_ONE
) -> PredictionLedger:
    ledger = PredictionLedger(folder / "ledger", "key", len(images))
    try:
        predict_all(
            ledger,
            ledger.todo,
            lambda todo: stream_predictions(session, images, PIPELINE, todo, plan),
            len(images),
            silent,
        )
    except BaseException:
        ledger.close()
        raise
    return ledger


def predict(ledger: PredictionLedger, images: list[LabelledImage]) -> Predictions:
    (part,) = collect_predictions(ledger, images)
    return part


def test_predictions_are_the_best_classes_in_the_order_of_ids(
    images: list[LabelledImage], pixels: np.ndarray, tmp_path: Path
) -> None:
    with evaluate(FakeSession(), images, tmp_path) as ledger:
        found = predict(ledger, images)
    order = sorted(range(COUNT), key=lambda row: images[row].id)
    assert found.ids == tuple(sorted(image.id for image in images))
    np.testing.assert_array_equal(found.labels, [images[row].label for row in order])
    classes, scores = rank_top(answer(pixels)[order])
    np.testing.assert_array_equal(found.classes, classes)
    np.testing.assert_array_equal(found.scores, scores)
    np.testing.assert_allclose(found.log_denominators, logsumexp(answer(pixels)[order], axis=1), rtol=1e-6)
    assert found.contents is not None and not found.of_prepared and not found.of_probabilities
    assert found.contents.tolist() == [hash_content(images[row].path.read_bytes()) for row in order]
    assert ledger.tally.width == CLASSES and ledger.tally.wall_s > 0 < ledger.tally.decode_s


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize(
    ("fixed", "batch_size", "workers"), [(None, 1, 1), (None, 3, 2), (3, 16, 4), (16, 1, 2), (None, 100, 2)]
)
def test_every_image_counts_once_whatever_the_batch(
    fixed: int | None, batch_size: int, workers: int, streams: int, images: list[LabelledImage], tmp_path: Path
) -> None:
    plan = StreamPlan(batch_size, workers, streams, keep_logits=True)
    session = FakeSession(fixed)
    for name, opened, how in (("whole", FakeSession(), StreamPlan(keep_logits=True)), ("parts", session, plan)):
        with evaluate(opened, images, tmp_path / name, how) as ledger:
            write_parts(tmp_path / f"{name}.parquet", collect_predictions(ledger, images))
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    size = min(fixed or batch_size, COUNT)
    assert len(session.given) == -(-COUNT // size)
    assert {len(batch) for batch in session.given} <= {size, COUNT % size if fixed is None else size}


@pytest.mark.usefixtures("fresh_processes")
def test_processes_decode_as_threads_do(images: list[LabelledImage], tmp_path: Path) -> None:
    for workers in (1, 5):
        with evaluate(FakeSession(), images, tmp_path / str(workers), StreamPlan(4, workers, 2)) as ledger:
            write_parts(tmp_path / f"{workers}.parquet", collect_predictions(ledger, images))
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "5.parquet").read_bytes()


def test_logits_are_kept_on_request(images: list[LabelledImage], pixels: np.ndarray, tmp_path: Path) -> None:
    with evaluate(FakeSession(), images, tmp_path, StreamPlan(4, keep_logits=True)) as ledger:
        found = predict(ledger, images)
    order = sorted(range(COUNT), key=lambda row: images[row].id)
    assert found.logits is not None
    np.testing.assert_array_equal(found.logits, answer(pixels)[order])


def test_a_network_that_ends_in_a_softmax_gives_probabilities(
    images: list[LabelledImage], pixels: np.ndarray, tmp_path: Path
) -> None:
    def share(batch: np.ndarray) -> np.ndarray:
        return softmax(answer(batch) / 1000, axis=1).astype(np.float32)

    with evaluate(FakeSession(answer=share), images, tmp_path) as ledger:
        found = predict(ledger, images)
    assert found.of_probabilities and found.log_denominators is None
    order = sorted(range(COUNT), key=lambda row: images[row].id)
    np.testing.assert_allclose(found.confidences(), rank_top(share(pixels)[order])[1], rtol=1e-12)


def test_as_many_batches_as_asked_are_inside_the_engine(images: list[LabelledImage], tmp_path: Path) -> None:
    inside, most, lock, together = 0, 0, threading.Lock(), threading.Barrier(3, timeout=30)

    def count(batch: np.ndarray) -> np.ndarray:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        together.wait()
        with lock:
            inside -= 1
        return answer(batch)

    evaluate(FakeSession(answer=count), images[:21], tmp_path, StreamPlan(1, 2, streams=3)).close()
    assert most == 3


def test_prepared_images_go_to_the_engine_as_they_are(
    images: list[LabelledImage], pixels: np.ndarray, tmp_path: Path
) -> None:
    pack = tmp_path / "pack"
    pack.write_bytes(pixels.tobytes())
    size, form = pixels[0].nbytes, PreparedInput("uint8", (4, 6, 3), None)
    packed = [replace(image, path=pack, span=(row * size, size), prepared=form) for row, image in enumerate(images)]
    session = FakeSession()
    evaluate(session, packed, tmp_path, StreamPlan(5)).close()
    np.testing.assert_array_equal(np.concatenate(session.given), pixels)


def test_the_content_of_a_prepared_image_is_its_files_where_that_is_known(
    images: list[LabelledImage], pixels: np.ndarray, tmp_path: Path
) -> None:
    form = PreparedInput("uint8", (4, 6, 3), None)
    found = []
    for name, known in (("bins", False), ("pack", True), ("mixed", None)):
        made = []
        for row, image in enumerate(images):
            path = tmp_path / f"{name}-{row}.bin"
            path.write_bytes(pixels[row].tobytes())
            data = image.path.read_bytes()
            tells = row < 3 if known is None else known
            made.append(
                replace(image, path=path, prepared=form, content=(len(data), hash_bytes(data)) if tells else None)
            )
        with evaluate(FakeSession(), made, tmp_path / name, StreamPlan(5)) as ledger:
            found.append(predict(ledger, made))
    order = sorted(range(COUNT), key=lambda row: images[row].id)
    bins, packed, mixed = found
    assert bins.contents is not None and packed.contents is not None
    assert bins.of_prepared and bins.contents.tolist() == [hash_prepared(pixels[row].tobytes()) for row in order]
    files = [hash_content(images[row].path.read_bytes()) for row in order]
    assert not packed.of_prepared and packed.contents.tolist() == files
    # Of some of the mixed ones the files are not known, whatever is known of the first.
    assert mixed.of_prepared and mixed.hash_contents() is None
    assert (bins.form, packed.form, mixed.form) == ("uint8 4×6×3", "", "")


def test_a_session_that_takes_floats_gets_the_preprocessing_tail(
    images: list[LabelledImage], pixels: np.ndarray, tmp_path: Path
) -> None:
    def answer_floats(batch: np.ndarray) -> np.ndarray:
        return np.concatenate([batch.mean(axis=(2, 3)), np.zeros((len(batch), 1), np.float32)], axis=1)

    session = FakeSession(answer=answer_floats, dtype="float32")
    evaluate(session, images, tmp_path).close()
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
def test_a_prediction_that_is_no_number_names_its_image(
    value: float, images: list[LabelledImage], tmp_path: Path
) -> None:
    with pytest.raises(ParityError, match=f"gives NaN or infinity, first for {images[9].id};"):
        evaluate(FakeSession(answer=spoil(value, 1)), images, tmp_path)


def test_equal_scores_for_all_classes_name_their_image(images: list[LabelledImage], tmp_path: Path) -> None:
    with pytest.raises(ParityError, match=f"every class the same score, first for {images[10].id};"):
        evaluate(FakeSession(answer=spoil(3.0, 2)), images, tmp_path)


def answer_alike(batch: np.ndarray) -> np.ndarray:
    return np.tile(np.arange(CLASSES, dtype=np.float32), (len(batch), 1))


def answer_late() -> Callable[[np.ndarray], np.ndarray]:
    """Each batch gets the answers of the one before it."""
    before: np.ndarray | None = None

    def answer_before(batch: np.ndarray) -> np.ndarray:
        nonlocal before
        told, before = before, answer(batch)
        return before if told is None else told

    return answer_before


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_one_prediction_to_everything_is_refused(batch_size: int, images: list[LabelledImage], tmp_path: Path) -> None:
    told = rf"{images[1].id} gets the logits of {images[0].id} \(21 of 22 images repeat those of another\)"
    with (
        evaluate(FakeSession(answer=answer_alike), images, tmp_path, StreamPlan(batch_size)) as ledger,
        pytest.raises(ParityError, match=told),
    ):
        check_variety(ledger.tally, images, PIPELINE)


def test_predictions_of_another_batch_are_refused(images: list[LabelledImage], tmp_path: Path) -> None:
    told = rf"{images[5].id} gets the logits of {images[0].id} \(5 of 20 images"
    with (
        evaluate(FakeSession(answer=answer_late()), images[:20], tmp_path, StreamPlan(5)) as ledger,
        pytest.raises(ParityError, match=told),
    ):
        check_variety(ledger.tally, images[:20], PIPELINE)


@pytest.mark.parametrize("how", ["alike", "late"])
def test_rounded_logits_excuse_no_broken_engine(how: str, images: list[LabelledImage], tmp_path: Path) -> None:
    session = FakeSession(answer=answer_alike if how == "alike" else answer_late())
    with (
        evaluate(session, images, tmp_path, StreamPlan(5, coarse=True)) as ledger,
        pytest.raises(ParityError, match="different images the same logits"),
    ):
        check_variety(ledger.tally, images, PIPELINE, coarse=True)


def test_rounded_logits_that_name_the_right_class_are_believed(images: list[LabelledImage]) -> None:
    # Two logits in all; the first image of each has a wrong label, so that only the named class shows who is right.
    best = np.arange(len(images)) % 2
    labels = np.where(np.arange(len(images)) < 2, 1 - best, best)
    labelled = [replace(image, label=int(label)) for image, label in zip(images, labels, strict=True)]
    tally = SimpleNamespace(
        predicted=np.ones(len(images), bool),
        digests=best.astype(np.uint64),
        classes=np.stack([best, 1 - best], axis=1).astype(np.int32),
        scores=np.linspace(1, 2, len(images))[:, None] + np.array([[1.0, 0.0]]),
    )
    check_variety(tally, labelled, PIPELINE, coarse=True)  # type: ignore[arg-type]
    tally.classes = tally.classes[:, ::-1]
    with pytest.raises(ParityError, match="gets the logits of"):
        check_variety(tally, labelled, PIPELINE, coarse=True)  # type: ignore[arg-type]


def test_copies_of_an_image_are_no_error(images: list[LabelledImage], tmp_path: Path) -> None:
    copies = [*images[1:3], *(LabelledImage(f"copy-{i}", images[0].path, 0) for i in range(4))]
    with evaluate(FakeSession(), copies, tmp_path, StreamPlan(2)) as ledger:
        check_variety(ledger.tally, copies, PIPELINE)
    assert ledger.tally.predicted.all()


def test_broken_images_are_named_and_the_others_run(images: list[LabelledImage], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].path.read_bytes()[:60])
    some = [*images[:2], LabelledImage("broken.png", broken, 0), *images[2:5], LabelledImage("no", tmp_path / "no", 1)]
    with evaluate(FakeSession(), some, tmp_path) as ledger:
        found = predict(ledger, some)
    assert sorted(ledger.tally.bad) == [2, 6]
    assert "broken.png is damaged" in ledger.tally.bad[2] and "no cannot be read" in ledger.tally.bad[6]
    assert set(found.ids) == {image.id for image in images[:5]}
    assert ledger.tally.done.all() and ledger.tally.predicted.sum() == 5


def test_an_engine_that_fails_ends_the_evaluation_and_keeps_what_is_predicted(
    images: list[LabelledImage], tmp_path: Path
) -> None:
    def fail_on_the_third(batch: np.ndarray) -> np.ndarray:
        if len(session.given) == 3:
            raise ZeroDivisionError("engine")
        return answer(batch)

    session = FakeSession(answer=fail_on_the_third)
    with pytest.raises(ZeroDivisionError, match="engine"):
        evaluate(session, images, tmp_path)
    with PredictionLedger(tmp_path / "ledger", "key", COUNT) as ledger:
        assert len(ledger.todo) == COUNT - 8


def test_whoever_stops_listening_leaves_no_thread(images: list[LabelledImage]) -> None:
    answers: Iterator[PredictionBatch] = stream_predictions(
        FakeSession(), images, PIPELINE, np.arange(COUNT), StreamPlan(2, 2, 2)
    )
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(("decode", "run"))] == []


def test_progress_counts_images(images: list[LabelledImage], tmp_path: Path) -> None:
    told: list[Update] = []
    with PredictionLedger(tmp_path / "ledger", "key", COUNT) as ledger:
        answers = stream_predictions(FakeSession(), images, PIPELINE, ledger.todo, StreamPlan(8))
        predict_all(ledger, ledger.todo, lambda _: answers, COUNT, told.append)
    assert [(update.stage, update.done, update.total, update.unit) for update in told] == [
        ("evaluate", done, COUNT, "images") for done in (8, 16, 22)
    ]
