"""Eight odd images (sizes, grey, CMYK, PNG in a .JPEG, progressive) as the guides' five scripts crop them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional as torchvision

from seatrial.data.preprocessing.decode import read_image
from seatrial.data.preprocessing.steps import apply_pixel_steps
from seatrial.recipes.steps import CenterCrop, Resize, Step

GOLDEN = Path(__file__).parents[3] / "golden" / "preprocess"
IMAGES = sorted((GOLDEN / "images").iterdir())


def build(crop: int, offset: str, **resize: object) -> tuple[Step, ...]:
    return (
        Resize.model_validate({"step": "resize", **resize}),
        CenterCrop.model_validate({"step": "center_crop", "size": [crop, crop], "offset": offset}),
    )


VARIANTS = {
    "sk_resnet50": build(224, "half_even", short_side=256),
    "resnext50_32x4d": build(224, "truncate", short_side=256),
    "spnasnet_100": build(224, "truncate", size=(256, 256)),
    "resnet50": build(256, "half_even", short_side=256),
    "inceptionv3": build(299, "half_even", short_side=342),
}


def crop_truncated(image: Image.Image, size: int) -> np.ndarray:
    """The centre crop of the guides' numpy scripts."""
    left, top = int((image.width - size) / 2), int((image.height - size) / 2)
    return np.asarray(image)[top : top + size, left : left + size]


def preprocess_as_published(variant: str, path: Path) -> np.ndarray:
    """The calls that the guides' scripts make, before their normalisation."""
    image = Image.open(path).convert("RGB")
    size: Any = {"spnasnet_100": (256, 256), "inceptionv3": 342}.get(variant, 256)
    width, height = torchvision.resize(image, size).size
    # Rows first, then columns, as the Pillow that the scripts were written for: 13.0 takes the cheaper order.
    image = torchvision.resize(torchvision.resize(image, [image.height, width]), [height, width])
    if variant in ("resnext50_32x4d", "spnasnet_100"):
        return crop_truncated(image, 224)
    crop = {"resnet50": 256, "inceptionv3": 299}.get(variant, 224)
    return np.asarray(torchvision.center_crop(image, [crop, crop]))


def test_the_images_are_the_odd_eight() -> None:
    assert [path.name for path in IMAGES] == [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 9)]


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("variant", VARIANTS)
def test_pixels_are_those_of_torchvision_and_pillow(variant: str, path: Path) -> None:
    ours = apply_pixel_steps(read_image(path), VARIANTS[variant])
    np.testing.assert_array_equal(ours, preprocess_as_published(variant, path))


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("variant", VARIANTS)
def test_pixels_are_those_of_the_guides_own_scripts(variant: str, path: Path) -> None:
    """The stored pixels came out of the guides' scripts themselves, run with Pillow 12.2."""
    with np.load(GOLDEN / "expected_uint8.npz") as stored:
        expected = stored[f"{variant}/{path.name}"]
    np.testing.assert_array_equal(apply_pixel_steps(read_image(path), VARIANTS[variant]), expected)
