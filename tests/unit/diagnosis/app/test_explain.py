"""Planted faults are named, what is no fault is not, and what nobody knows is said to be so."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.decode import decode_image
from seatrial.data.preprocessing.steps import apply_pixel_steps, normalise
from seatrial.diagnosis.app.explain import KitPixels
from seatrial.diagnosis.app.faults import FAULTS, PARTS, combine
from seatrial.diagnosis.app.images import DRAWINGS, draw_kit
from seatrial.diagnosis.app.judge import TOLERANCE, OpenKit, judge_tensors
from seatrial.diagnosis.app.predictions import AppPredictions
from seatrial.diagnosis.app.program import make_sound, make_tensors
from seatrial.recipes.schema import Recipe
from seatrial.store.app_kit import AppJudgement

STEPS = [
    {"step": "resize", "short_side": 28},
    {"step": "center_crop", "size": [24, 24]},
    {"step": "to_float"},
    {"step": "normalise", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
]
RECIPE = Recipe.read(
    {"name": "t", "title": "t", "network": {"name": "resnet18", "classes": 10}, "preprocess": STEPS}, "test"
)
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def kit() -> OpenKit:
    files = list(draw_kit(24))
    right = make_tensors(make_sound(RECIPE), files)
    return OpenKit(RECIPE, KitPixels(files, RECIPE), [name for name, _ in files], right, {})


def judge(values: NDArray[np.floating], kit: OpenKit) -> AppJudgement:
    return judge_tensors(AppPredictions("tensors", values.astype(np.float32)), kit, TOLERANCE)[0]


def plant(kit: OpenKit, *names: str) -> AppJudgement:
    program = combine(make_sound(RECIPE), tuple(BY_NAME[name] for name in names))
    assert program is not None
    return judge(make_tensors(program, kit.pixels.files), kit)


def name(judged: AppJudgement) -> list[str]:
    return [finding.name for finding in judged.findings]


def test_a_sound_program_is_the_cards_own_pipeline_to_the_bit(kit: OpenKit) -> None:
    own = [
        normalise(apply_pixel_steps(decode_image(data, name), RECIPE.preprocess)[None], RECIPE)
        for name, data in kit.pixels.files
    ]
    assert np.array_equal(np.concatenate(own), kit.tensors)
    judged = judge(kit.tensors, kit)
    assert (judged.verdict, judged.findings, judged.exit_code) == ("same", (), 0)
    assert judged.largest_levels == 0


def test_names_of_faults_are_unique_and_their_parts_known() -> None:
    assert len(BY_NAME) == len(FAULTS) and {fault.part for fault in FAULTS} == set(PARTS)


@pytest.mark.parametrize(
    "names",
    [
        ("bgr",),
        ("exif",),
        ("alpha-white",),
        ("cmyk-sums",),
        ("squash",),
        ("crop-first",),
        ("tensor-bilinear-plain",),
        ("crop-up-left",),
        ("nv21",),
        ("255-twice",),
        ("wrap-mean",),
        ("hwc",),
        ("exif", "bgr"),
        ("squash", "triples-bgr"),
        ("area", "crop-right"),
        ("bgr", "255-missing"),
    ],
)
def test_a_planted_fault_is_named_with_the_first_step_first(names: tuple[str, ...], kit: OpenKit) -> None:
    judged = plant(kit, *names)
    assert name(judged) == list(names)
    assert judged.verdict == "differs" and judged.explained and judged.exit_code == 3
    assert f"first at the {BY_NAME[names[0]].part}" in judged.conclusion


@pytest.mark.parametrize("names", [("float16",), ("bfloat16",), ("256",)])
def test_rounding_is_named_and_blamed_for_nothing(names: tuple[str, ...], kit: OpenKit) -> None:
    judged = plant(kit, *names)
    assert name(judged) == list(names) and judged.verdict == "same"
    assert judged.largest_levels is not None and judged.largest_levels < TOLERANCE


def test_a_fault_of_few_images_names_them(kit: OpenKit) -> None:
    judged = plant(kit, "cmyk-inverted")
    cmyk = [file for file, drawing in zip(kit.names, DRAWINGS, strict=True) if drawing.mode == "CMYK"]
    assert judged.affected == len(cmyk) == 2 and all(file in judged.conclusion for file in cmyk)


def test_another_mean_and_deviation_are_read_off_the_values(kit: OpenKit) -> None:
    pixels = kit.tensors * np.array(RECIPE.normalisation[1], np.float32)[:, None, None]
    pixels += np.array(RECIPE.normalisation[0], np.float32)[:, None, None]
    judged = judge((pixels - 0.3) / 0.4, kit)
    assert name(judged) == ["measured"] and "mean 0.300 0.300 0.300" in judged.conclusion
    assert "standard deviation 0.400 0.400 0.400" in judged.conclusion


def test_what_nobody_knows_is_said_to_be_unknown(kit: OpenKit) -> None:
    noise = np.random.default_rng(0).normal(0, 1, kit.tensors.shape)
    judged = judge(noise, kit)
    assert judged.verdict == "differs" and not judged.explained
    assert "none of the known faults" in judged.conclusion


def test_pillows_own_order_of_axes_is_no_fault(kit: OpenKit) -> None:
    made = []
    for _, data in kit.pixels.files:
        image = decode_image(data, "image")
        short, long = min(image.size), max(image.size)
        size = (28, int(28 * long / short)) if image.width <= image.height else (int(28 * long / short), 28)
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
        top, left = (round((side - 24) / 2) for side in pixels.shape[:2])
        made.append(pixels[top : top + 24, left : left + 24])
    assert judge(normalise(np.stack(made), RECIPE), kit).verdict == "same"


def test_every_drawing_is_read_as_it_was_drawn() -> None:
    for drawing, (file, data) in zip(DRAWINGS, draw_kit(24), strict=True):
        with Image.open(io.BytesIO(data)) as image:
            assert image.mode == drawing.mode and image.format == drawing.kind, file
            assert image.getexif().get(0x0112, 1) == drawing.orientation
