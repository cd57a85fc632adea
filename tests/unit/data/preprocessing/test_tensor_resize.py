"""Resizing as on tensors: torchvision itself gives the same levels, and a closed form where there is one."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from seatrial.data.preprocessing.tensor_resize import make_weights, resize_as_tensor

ALLOWED = (
    0 if "AVX2" in torch.backends.cpu.get_cpu_capability() or "AVX512" in torch.backends.cpu.get_cpu_capability() else 1
)
"""Elsewhere torch resizes bilinearly in floats."""


def draw(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kind", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "target"),
    [((33, 50), (22, 24)), ((50, 70), (25, 130)), ((64, 42), (42, 64)), ((7, 9), (3, 20)), ((1, 5), (9, 2))],
)
def test_levels_are_those_of_torchvision(
    kind: str, antialias: bool, size: tuple[int, int], target: tuple[int, int]
) -> None:
    pixels = draw(*size)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    theirs = functional.resize(
        tensor, [target[1], target[0]], interpolation=InterpolationMode(kind), antialias=antialias
    )
    own = resize_as_tensor(pixels, target, kind, antialias).astype(int)
    assert np.abs(own - theirs.permute(1, 2, 0).numpy()).max() <= ALLOWED


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("source", "target"), [(100, 7), (7, 100), (5, 5)])
def test_weights_of_a_line_add_up_to_one(kind: str, antialias: bool, source: int, target: int) -> None:
    weights = make_weights(source, target, kind, antialias)
    assert weights.shape == (target, source)
    assert np.allclose(weights.sum(axis=1), 1)


def test_halving_without_antialiasing_is_the_mean_of_two_lines() -> None:
    pixels = np.array([[10, 20, 60, 80]], dtype=np.uint8)[..., None].repeat(3, axis=2)
    assert resize_as_tensor(pixels, (2, 1), "bilinear", False)[0, :, 0].tolist() == [15, 70]
