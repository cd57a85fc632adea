"""Swapped channels: pictures of red, green, blue and grey, and an engine that names their colour in closed form."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import FakeSession, make_recipe
from fake_engine import answer as answer_colour
from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline
from seatrial.evaluation.channels import _plan_looks, swap_channels, try_swapped
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.plausibility import find_suspicions, see_tally
from seatrial.evaluation.statistics import Paired
from seatrial.metrics.topk import rank_top

COLOURS = np.array([(200, 20, 20), (20, 200, 20), (20, 20, 200), (128, 128, 128)], np.uint8)


def answer(batch: np.ndarray) -> np.ndarray:
    """As the fake engine does, which gives grey and red the same score, with grey ahead."""
    return answer_colour(batch) + np.array([0, 0, 0, 1], np.float32)


@pytest.fixture
def pipeline() -> InputPipeline:
    return make_pipeline(make_recipe())


def draw(folder: Path, count: int) -> list[LabelledImage]:
    found = []
    for index in range(count):
        path = folder / f"image_{index:03d}.png"
        Image.fromarray(np.broadcast_to(COLOURS[index % 4], (4, 6, 3))).save(path)
        found.append(LabelledImage(path.name, path, index % 4))
    return found


def see(images: list[LabelledImage], session: FakeSession) -> Tally:
    """What an evaluation with this session would know."""
    pixels = np.stack([np.broadcast_to(COLOURS[image.label], (4, 6, 3)) for image in images])
    classes, scores = rank_top(session.answer(pixels))
    tally = Tally(np.ones(len(images), bool), classes=classes, scores=scores, width=4)
    session.given.clear()
    return tally


def test_an_engine_that_wants_bgr_is_found(tmp_path: Path, pipeline: InputPipeline) -> None:
    images = draw(tmp_path, 40)
    session = FakeSession(answer=lambda batch: answer(batch[..., ::-1]))
    tally = see(images, session)
    swapped = try_swapped(session, images, pipeline, tally, 16)
    assert swapped == Paired(20, 0, 20, 0)
    found = find_suspicions(see_tally(images, tally, pipeline.recipe, swapped))
    assert "with red and blue swapped 40 of 40 images are right, as they are given only 20" in found[1].reason
    assert [suspicion.kind for suspicion in found] == [
        "label order",
        "channels",
    ]  # Labels 0 and 2 might be swapped too.


def test_an_engine_that_is_worse_off_is_tried_once(tmp_path: Path, pipeline: InputPipeline) -> None:
    images = draw(tmp_path, 200)
    # Right for red and blue, wrong for what is grey.
    session = FakeSession(answer=lambda batch: answer(batch) * np.array([1, 1, 1, 0]))
    swapped = try_swapped(session, images, pipeline, see(images, session), 16)
    assert swapped is not None and swapped.gained == 0 < swapped.lost
    assert sum(len(batch) for batch in session.given) == 8


def test_broken_images_are_left_out(tmp_path: Path, pipeline: InputPipeline) -> None:
    images = draw(tmp_path, 40)
    session = FakeSession(answer=lambda batch: answer(batch[..., ::-1]))
    tally = see(images, session)
    images[3].path.unlink()
    tally.bad[3] = "it is not there"
    assert try_swapped(session, images, pipeline, tally, 16) == Paired(19, 0, 20, 0)


def test_what_leaves_no_room_is_not_tried(tmp_path: Path, pipeline: InputPipeline) -> None:
    images = draw(tmp_path, 40)
    sound = FakeSession(answer=answer)
    assert try_swapped(sound, images, pipeline, see(images, sound), 16) is None
    poor = FakeSession(answer=lambda batch: answer(batch) * np.array([1, 1, 1, 0]))
    published = make_pipeline(make_recipe(reference={"top1": 0.76, "source": "here"}))
    assert try_swapped(poor, images, published, see(images, poor), 16) is None
    assert not sound.given and not poor.given
    # Of one's own weights nobody published anything.
    assert try_swapped(poor, images, published, see(images, poor), 16, own=True) is not None


def test_prepared_floats_change_places_as_pixels(pipeline: InputPipeline) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    expected = pipeline.finish(np.ascontiguousarray(pixels[..., ::-1]))
    np.testing.assert_allclose(swap_channels(pipeline.finish(pixels), pipeline), expected, atol=1e-5)
    np.testing.assert_array_equal(swap_channels(pixels, pipeline), pixels[..., ::-1])


def test_a_session_of_floats_gets_swapped_floats(tmp_path: Path, pipeline: InputPipeline) -> None:
    images = draw(tmp_path, 12)
    wants = pipeline.finish(np.broadcast_to(COLOURS[2], (1, 4, 6, 3)))
    session = FakeSession(
        answer=lambda batch: -np.abs(batch - wants).sum((1, 2, 3))[:, None] * [[1, 2, 3, 4]], dtype="float32"
    )
    tally = Tally(np.ones(12, bool), classes=np.full((12, 4), 3, np.int32), width=4)
    try_swapped(session, images, pipeline, tally, 16)
    reds = [row for batch in session.given for row in batch if np.allclose(row, wants[0])]
    assert len(reds) == 3
    prepared = [
        replace(image, prepared=PreparedInput("float32", (3, 4, 6), None), path=image.path.with_suffix(".bin"))
        for image in images
    ]
    for image in prepared:
        image.path.write_bytes(pipeline.finish(np.broadcast_to(COLOURS[image.label], (1, 4, 6, 3))).tobytes())
    session.given.clear()
    try_swapped(session, prepared, pipeline, tally, 16)
    assert len([row for batch in session.given for row in batch if np.allclose(row, wants[0], atol=1e-5)]) == 3


@pytest.mark.parametrize(
    ("images", "at_once", "looks"),
    [
        (5, False, [0, 5]),
        (24, False, [0, 8, 24]),
        (1000, False, [0, 10, 40, 160, 512]),
        (50_000, False, [0, 64, 256, 512]),
        (50_000, True, [0, 512]),
    ],
)
def test_the_first_look_is_at_one_image_in_a_hundred(images: int, at_once: bool, looks: list[int]) -> None:
    assert _plan_looks(images, at_once) == looks
