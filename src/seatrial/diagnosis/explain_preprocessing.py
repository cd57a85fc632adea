"""How two preprocessings of the same images differ: the simple change that explains one by the other.

Values are compared with the card's own pixels through the best scale and offset of each channel (least squares), so a
change of geometry shows whatever mean and standard deviation were used, and these follow from the fit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.decode import read_image
from seatrial.data.preprocessing.steps import apply_pixel_steps, find_target, to_image
from seatrial.recipes.schema import Recipe
from seatrial.recipes.steps import Resize, Step, pixel_steps

BILINEAR = Image.Resampling.BILINEAR
SHIFT = 4
"""Rows and columns that a crop may lie off."""
ROUNDING = 1.0
"""Root mean square in levels that another rounding or decoder may leave."""
CLEARER = 3.0
"""A change that leaves more than rounding must leave so many times less than no change."""
MEAN_OFF, STD_OFF = 2e-3, 5e-3
"""On the 0..1 scale: a difference of means beyond printed digits; and of standard deviations, as a share."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a change explains values."""

    change: str
    """In words; empty for none."""
    swapped: bool
    """Red and blue change places."""
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    """By channel: value = scale · level + offset."""
    left: float
    """Root mean square of what is not explained, in levels of 0..255."""


def describe_difference(
    readings: Mapping[str, NDArray[np.float32]], pixels: NDArray[np.uint8], paths: Sequence[Path], recipe: Recipe
) -> str:
    """What explains the values best, in words.

    Args:
        readings: values (n, channels, height, width), by how they were read; the one called "" is as it should be.
        pixels: the card's own, (n, height, width, channels).
        paths: the images; without them no other way of resizing is tried.
    """
    values = readings[""]
    if not np.isfinite(values).all():
        return "some values are NaN or infinite"
    planes = pixels.transpose(0, 3, 1, 2).astype(np.float64)
    plain = fit_planes("", values, planes)
    fits = [plain, *(fit_planes(how, other, planes) for how, other in readings.items() if how)]
    fits += [fit_planes(f"the crop lies {_name_shift(*by)}", *cut) for by, cut in _shift(values, planes)]
    for change, resized in _resize_otherwise(paths, recipe):
        fits.append(fit_planes(change, values, resized.transpose(0, 3, 1, 2).astype(np.float64)))
    best = min(fits, key=lambda fit: fit.left)
    if plain.left <= ROUNDING:
        best = plain
    elif best.left > max(ROUNDING, plain.left / CLEARER):
        return (
            f"no other scale, offset, order of channels, layout, shift up to {SHIFT} or way of resizing explains it "
            f"({plain.left:.1f} levels are left)"
        )
    words = [best.change] if best.change else []
    words += ["red and blue are swapped (BGR for RGB)"] if best.swapped else []
    words += describe_scale(best, recipe) if best.left <= ROUNDING else []
    return "it looks like this: " + " and ".join(words) if words else "the same but for rounding"


def fit_planes(change: str, values: NDArray[np.float32], planes: NDArray[np.float64]) -> Fit:
    """Fit scale and offset by channel, for red and blue as they are and swapped; both arrays are (n, channels, …)."""
    order = tuple(range(planes.shape[1]))
    straight, swapped = (_fit(change, values, planes, each) for each in (order, order[::-1]))
    # What is grey fits either way.
    return swapped if swapped.left < 0.9 * straight.left else straight


def _fit(change: str, values: NDArray[np.float32], planes: NDArray[np.float64], order: tuple[int, ...]) -> Fit:
    scales, offsets, errors = [], [], []
    for channel, source in enumerate(order):
        x, y = planes[:, source].ravel(), values[:, channel].ravel().astype(np.float64)
        deviation = x - x.mean()
        variance = float(deviation @ deviation)
        scale = float(deviation @ y) / variance if variance else 0.0
        offset = float(y.mean() - scale * x.mean())
        rest = float(np.sqrt(np.mean((y - scale * x - offset) ** 2)))
        scales.append(scale)
        offsets.append(offset)
        # Values that do not go with the levels at all are as far off as the levels vary.
        errors.append(min(rest / abs(scale) if scale else np.inf, 255.0))
    left = float(np.sqrt(np.mean(np.square(errors))))
    return Fit(change, order != tuple(sorted(order)), np.array(scales), np.array(offsets), left)


def _shift(
    values: NDArray[np.float32], planes: NDArray[np.float64]
) -> Iterator[tuple[tuple[int, int], tuple[NDArray[np.float32], NDArray[np.float64]]]]:
    """Rows and columns that the values lie further down and right, and what then lies on each other."""
    height, width = values.shape[2:]
    reach = min(SHIFT, height // 8, width // 8)
    inner = values[:, :, reach : height - reach, reach : width - reach]
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            if down or right:
                top, left = reach + down, reach + right
                part = planes[:, :, top : top + inner.shape[2], left : left + inner.shape[3]]
                yield (down, right), (inner, part)


def _name_shift(down: int, right: int) -> str:
    rows = f"{abs(down)} {'lower' if down > 0 else 'higher'}" if down else ""
    columns = f"{abs(right)} further {'right' if right > 0 else 'left'}" if right else ""
    return " and ".join(part for part in (rows, columns) if part) + " (pixels)"


def _resize_otherwise(paths: Sequence[Path], recipe: Recipe) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Pixels (n, height, width, channels) of other ways of resizing, with their names."""
    steps = pixel_steps(recipe.preprocess)
    at, own = next(((at, step) for at, step in enumerate(steps) if isinstance(step, Resize)), (0, None))
    if own is None or not paths:
        return
    images = [read_image(path) for path in paths]
    before, after = steps[:at], steps[at + 1 :]
    shapes = {"": own}
    if own.short_side is not None:
        shapes["to a square, whatever the aspect ratio"] = own.with_size((own.short_side, own.short_side))
        if after:
            shapes["straight to the network's size, without a crop"] = own.with_size(recipe.input_size)
    for shape, step in shapes.items():
        words = ["resized", shape] if shape else ["resized"]
        for kind in ("bilinear", "bicubic"):
            other = step.model_copy(update={"interpolation": kind})
            if other != own:
                made = [apply_pixel_steps(image, (*before, other, *after)) for image in images]
                yield " ".join([*words, f"with Pillow's {kind} filter"]), np.stack(made)
        made = [_resize_plainly(image, before, step, after) for image in images]
        yield " ".join([*words, "without antialiasing (as OpenCV's bilinear does)"]), np.stack(made)


def _resize_plainly(
    image: Image.Image, before: Sequence[Step], step: Resize, after: Sequence[Step]
) -> NDArray[np.uint8]:
    """Bilinear of the two nearest lines each way, as cv2's INTER_LINEAR, whose fixed point may differ by a level."""
    pixels = apply_pixel_steps(image, before).astype(np.float32)
    rows, columns = pixels.shape[:2]
    width, height = find_target((columns, rows), step)
    # Unlike a resize, an affine map takes the nearest lines only; of float planes Pillow cuts off no fractions.
    scale = (columns / width, 0, 0, 0, rows / height, 0)
    planes = (Image.fromarray(plane) for plane in np.moveaxis(pixels, 2, 0))
    made = [plane.transform((width, height), Image.Transform.AFFINE, scale, BILINEAR) for plane in planes]
    levels = np.rint(np.stack([np.asarray(plane) for plane in made], axis=2))
    return apply_pixel_steps(to_image(levels.astype(np.uint8)), after)


def describe_scale(fit: Fit, recipe: Recipe) -> list[str]:
    """The mean and standard deviation that give this scale and offset, where they are not the card's."""
    if (fit.scale == 0).any():
        return []
    std = 1 / (255 * fit.scale)
    mean = -fit.offset * std
    wanted = [np.array(triple) for triple in recipe.normalisation]
    # Channels may have been swapped before they were normalised, or after.
    orders = [wanted, [triple[::-1] for triple in wanted]]
    if any(_is_close(mean, std, *order) for order in orders[: 2 if fit.swapped else 1]):
        return []
    for words, plain in (("not normalised: levels 0..255", 1 / 255), ("not normalised: values 0..1", 1.0)):
        if _is_close(mean, std, np.zeros(len(mean)), np.full(len(mean), plain)):
            return [words]
    if _is_close(mean, std, *orders[1]):
        return ["mean and standard deviation are in BGR order, the channels are not"]
    shown = (" ".join(f"{value:.3f}" for value in triple) for triple in (mean, std))
    return ["mean {} and standard deviation {} in place of the card's".format(*shown)]


def _is_close(
    mean: NDArray[np.float64], std: NDArray[np.float64], mean_of: NDArray[np.float64], std_of: NDArray[np.float64]
) -> bool:
    # The mean shifts with the scale's own error too.
    return bool(np.all(np.abs(mean - mean_of) <= MEAN_OFF) and np.all(np.abs(std / std_of - 1) <= STD_OFF))
