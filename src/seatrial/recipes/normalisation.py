"""Whether a mean and a standard deviation can belong to pixels in 0..1."""

from collections.abc import Sequence
from dataclasses import dataclass

GREY_LEVEL = 1 / 255
"""A mean below this one, and not 0, was divided by 255 twice."""
LEAST_STD = 0.97 * GREY_LEVEL
"""A std of 1/255 gives the network pixels in 0..255, as torchvision's VGG16 of 2014 and Keras' caffe mode take them;
nothing takes a wider range."""
RAW_STD = 1.03 * GREY_LEVEL
"""Up to here a std means that the network takes pixels in 0..255."""
MOST_STD = 1.01
"""Pixels in 0..1 deviate by 0.5 at most; 1 leaves them as they are, and 1/255 is often written as 0.0039."""
MOST_DEVIATIONS = 20.0
"""A mean this many std from black and from white alike was made from no image: every pixel of a photograph would lie
outside what the network has seen."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """What is wrong with a normalisation, and what was probably meant."""

    problem: str
    mend: str
    """A mean or a std on the scale 0..1."""


def find_impossible(mean: Sequence[float], std: Sequence[float]) -> Impossible | None:
    """Why no network can want pixels in 0..1 less `mean`, over `std`; None where one can.

    All pairs that timm 1.0, torchvision 0.29 and Hugging Face's image processors publish are possible: ImageNet's,
    0.5 and 0.5, 0 and 1, CLIP's, DPN's, SAT-493M's, and a std of 1/255.

    Args:
        mean: of each channel.
        std: of each channel, above 0.
    """
    beyond = [value for value in mean if not 0 <= value <= 1]
    wide = [value for value in std if value > MOST_STD]
    if beyond or wide:
        what = f"mean {beyond[0]:.6g}" if beyond else f"std {wide[0]:.6g}"
        return Impossible(f"{what} is not in 0..1, where the pixels are", _mend_scale(mean, std, beyond, wide))
    if 0 < max(mean) < GREY_LEVEL:
        problem = f"mean {max(mean):.3g} is less than one of 255 grey levels"
        return Impossible(problem, f"multiply by 255: {_write('mean', [255 * m for m in mean])}")
    if min(std) < LEAST_STD:
        return Impossible(f"std {min(std):.3g} spreads the pixels over more than 0..255", _mend_small(std))
    for m, s in zip(mean, std, strict=True):
        if s > RAW_STD and min(m, 1 - m) > MOST_DEVIATIONS * s:
            spread = f"spreads the pixels from {-m / s:.3g} to {(1 - m) / s:.3g}"
            return Impossible(f"std {s:.3g} {spread}", _mend_small(std))
    return None


def _mend_scale(mean: Sequence[float], std: Sequence[float], beyond: list[float], wide: list[float]) -> str:
    if beyond and max(mean) <= 1:
        return f"it is subtracted, so take its sign away: {_write('mean', [abs(m) for m in mean])}"
    mended = [_write("mean", [m / 255 for m in mean])] if beyond else []
    mended += [_write("std", [s / 255 for s in std])] if wide else []
    return f"divide by 255: {', '.join(mended)}"


def _mend_small(std: Sequence[float]) -> str:
    if max(std) * 255 < MOST_STD:
        return f"multiply by 255: {_write('std', [255 * s for s in std])}"
    return f"it looks like 1/std of pixels in 0..255: {_write('std', [1 / (255 * s) for s in std])}"


def _write(name: str, values: Sequence[float]) -> str:
    return f"{name} = [{', '.join(f'{value:.4g}' for value in values)}]"
