"""Whether other images in a batch change an image's logits; the engine is a fake with closed-form answers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import CLASSES, FakeSession, answer, make_recipe
from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.errors import ParityError
from seatrial.evaluation.batch_dependence import BatchProbe, choose_probe, measure_batch_dependence
from seatrial.metrics.noise_floor import find_batch_floor, find_same_floor, is_coarse

COUNT = 40
PIPELINE = make_pipeline(make_recipe())
Answer = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelledImage, ...]:
    """Images of one colour each, sorted by class as class folders are."""
    folder, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(4)
    for row in range(COUNT):
        colour = rng.integers(0, 256, 3, dtype=np.uint8)
        Image.fromarray(np.tile(colour, (4, 6, 1))).save(folder / f"{row:02d}.png")
    return tuple(LabelledImage(f"{i:02d}.png", folder / f"{i:02d}.png", i * CLASSES // COUNT) for i in range(COUNT))


def probe(images: tuple[LabelledImage, ...], size: int, precision: str = "fp32") -> BatchProbe:
    return choose_probe(images, size, find_batch_floor(precision, {}), is_coarse(precision, {}))


def test_the_probe_is_the_first_batch_and_images_far_from_it(images: tuple[LabelledImage, ...]) -> None:
    chosen = probe(images, 8)
    assert chosen.batch == images[:8] and {image.label for image in chosen.others} == {1, 2, 3}
    assert chosen.others == (images[12], images[20], images[28], images[36])
    assert probe(images, 39).others == images[39:] and probe(images, 100).others == () == probe(images, 1).others


@pytest.mark.parametrize(("fixed", "size"), [(None, 1), (None, 2), (None, 3), (None, 8), (16, 16), (64, 40), (1, 1)])
def test_an_engine_that_looks_at_each_image_alone_is_exact(
    fixed: int | None, size: int, images: tuple[LabelledImage, ...]
) -> None:
    found = measure_batch_dependence(FakeSession(fixed), probe(images, size), PIPELINE)
    assert found is not None and found.exact and found.distance == 0 and found.first_prediction_s > 0


def normalise_batch(batch: np.ndarray) -> np.ndarray:
    """What BatchNormalization in training mode does: the batch's own mean and deviation."""
    logits = answer(batch)
    return (logits - logits.mean(axis=0)) / (logits.std(axis=0) + 1e-5)


def add_place(batch: np.ndarray) -> np.ndarray:
    return answer(batch) * (1 + np.arange(len(batch), dtype=np.float32)[:, None])


def repeat_first(batch: np.ndarray) -> np.ndarray:
    return np.repeat(answer(batch[:1]), len(batch), axis=0)


def answer_late() -> Answer:
    """Each batch of several gets the answers of the one before it."""
    before: list[np.ndarray] = []

    def answer_before(batch: np.ndarray) -> np.ndarray:
        before.append(answer(batch))
        return before[-2] if len(before) > 1 and len(before[-2]) == len(batch) else before[-1]

    return answer_before


@pytest.mark.parametrize("size", [2, 5, 16, 40])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("how", [normalise_batch, add_place, repeat_first])
def test_an_engine_whose_predictions_depend_on_the_batch_is_refused(
    how: Answer, fixed: bool, size: int, images: tuple[LabelledImage, ...]
) -> None:
    for precision in ("fp32", "bf16", "int8"):
        session = FakeSession(size if fixed else None, how)
        told = rf"depend on its batch: relative error .* in a batch of {size} against the same .*=TrainingMode\.EVAL"
        with pytest.raises(ParityError, match=told):
            measure_batch_dependence(session, probe(images, size, precision), PIPELINE)


def test_an_engine_that_gives_the_predictions_of_the_batch_before_is_refused(images: tuple[LabelledImage, ...]) -> None:
    with pytest.raises(ParityError, match="depend on its batch"):
        measure_batch_dependence(FakeSession(answer=answer_late()), probe(images, 8), PIPELINE)


def test_rounding_is_measured_and_told_from_it(images: tuple[LabelledImage, ...]) -> None:
    def move(share: float) -> Answer:
        return lambda batch: answer(batch) * np.float32(1 + share * (len(batch) > 1))

    for precision, share in (("fp32", 2e-5), ("fp16", 2e-3), ("bf16", 2e-2), ("int8", 1e-2)):
        found = measure_batch_dependence(FakeSession(answer=move(share)), probe(images, 16, precision), PIPELINE)
        assert found is not None and not found.exact and found.distance == pytest.approx(share, rel=0.06)
    for precision in ("fp32", "fp16", "bf16", "int8"):
        with pytest.raises(ParityError, match=r"relative error 1\.1e-01 above the floor"):
            measure_batch_dependence(FakeSession(answer=move(0.125)), probe(images, 16, precision), PIPELINE)


def test_the_floor_is_that_of_the_coarsest_layers() -> None:
    assert find_batch_floor("fp32", {"fp32": 53}) == 1e-4 < find_batch_floor("bf16", {"bf16": 50, "fp32": 3})
    mixed = {"int8": 50, "bf16": 3}
    assert find_batch_floor("int8", mixed, dynamic=True) == 0.1 > find_batch_floor("int8", mixed) == 0.05
    assert find_batch_floor("int8", {"int8": 50}) == find_same_floor("int8", {"int8": 50}) == 0.03
    assert find_batch_floor("fp32", {"unknown": 3}) == 0.1
    assert not is_coarse("fp32", {"fp32": 3}) and is_coarse("fp32", {"bf16": 3}) and is_coarse("int8", {})


def test_broken_images_are_left_to_the_evaluation(images: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    broken = LabelledImage("broken", tmp_path / "broken.png", 0)
    broken.path.write_bytes(b"no image")
    found = measure_batch_dependence(FakeSession(), probe((broken, *images[:6], broken, broken), 4), PIPELINE)
    assert found is not None and found.exact
    assert measure_batch_dependence(FakeSession(), probe((broken,) * 3, 4), PIPELINE) is None


def test_a_float_engine_is_tried_where_all_images_beyond_the_batch_are_broken(
    images: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    broken = LabelledImage("broken", tmp_path / "broken.png", 0)
    broken.path.write_bytes(b"no image")
    session = FakeSession(dtype="float32", answer=lambda batch: batch.reshape(len(batch), -1)[:, ::18])
    found = measure_batch_dependence(session, probe((*images[:4], *(broken,) * 6), 4), PIPELINE)
    assert found is not None and found.exact


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_dead_engine_is_refused_before_the_set_is_run(precision: str, images: tuple[LabelledImage, ...]) -> None:
    session = FakeSession(answer=lambda batch: np.zeros((len(batch), CLASSES), np.float32))
    with pytest.raises(ParityError, match=r"every class the same score, first for 00\.png"):
        measure_batch_dependence(session, probe(images, 8, precision), PIPELINE)
