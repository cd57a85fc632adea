"""Operation for operation and strength for strength, the pixels are torchvision's."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import TrivialAugmentWide, _apply_op

from seatrial.train.input import trivial_augment
from seatrial.train.input.trivial_augment import OPERATIONS, STRENGTHS, Augmentation, augment_trivially

SPACE = TrivialAugmentWide()._augmentation_space(STRENGTHS)


def make_images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    noise = Image.fromarray(rng.integers(0, 256, (50, 71, 3), dtype=np.uint8))
    return [noise, coarse.resize((64, 64), Image.Resampling.BICUBIC), Image.new("RGB", (9, 8), (7, 7, 7))]


def test_there_are_torchvisions_operations_in_its_order() -> None:
    assert list(OPERATIONS) == list(SPACE)


@pytest.mark.parametrize("name", list(SPACE))
def test_an_operation_gives_torchvisions_pixels_at_every_strength(name: str) -> None:
    magnitudes, signed = SPACE[name]
    operation = OPERATIONS[name]
    assert operation.strengths == tuple(np.atleast_1d(magnitudes.numpy()).astype(float).tolist())
    assert operation.signed == signed
    for strength in {value * sign for value in operation.strengths for sign in ((1, -1) if signed else (1,))}:
        for image in make_images():
            theirs = _apply_op(image, name, strength, InterpolationMode.NEAREST, None)
            np.testing.assert_array_equal(np.asarray(operation.apply(image, strength)), np.asarray(theirs))


def test_operations_strengths_and_signs_are_as_likely_as_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, float]] = []

    def note(name: str, operation: Augmentation) -> Augmentation:
        def apply(image: Image.Image, strength: float) -> Image.Image:
            drawn.append((name, strength))
            return image

        return Augmentation(apply, operation.strengths, operation.signed)

    monkeypatch.setattr(trivial_augment, "_ALL", tuple(note(name, op) for name, op in OPERATIONS.items()))
    image, rng = make_images()[0], np.random.default_rng(4)
    for _ in range(14 * 620):
        augment_trivially(image, rng)
    # Five standard deviations of counts whose means are 620, 20 for a strength, and 300 (of 600 that are not 0).
    names = Counter(name for name, _ in drawn)
    assert names.keys() == OPERATIONS.keys() and all(abs(count - 620) < 125 for count in names.values())
    strengths = Counter(abs(strength) for name, strength in drawn if name == "Rotate")
    assert len(strengths) == STRENGTHS and all(abs(count - 20) < 23 for count in strengths.values())
    negative = sum(strength < 0 for name, strength in drawn if name == "Rotate")
    assert 240 < negative < 360
    assert not any(strength < 0 for name, strength in drawn if name == "Solarize")
