"""Somebody else's preprocessing, as bins, compared with the card's: in levels, and in torch's logits."""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray

from seatrial.data.bins.read import BinFolder
from seatrial.diagnosis.explain_preprocessing import describe_difference
from seatrial.diagnosis.sample import Sample
from seatrial.diagnosis.stages import SHOWN, Stage
from seatrial.evaluation.parity import measure_parity
from seatrial.metrics.noise_floor import FLOORS, NoiseFloor
from seatrial.store.diagnosis import PREPROCESSING

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Normalised images to logits, in torch."""


def make_bins_stage(sample: Sample, bins: BinFolder, network: Network, reference: NDArray[np.float32]) -> Stage:
    """Torch fed with the bins; it may move as far as one level of noise on the card's own pixels moves it."""
    paths = [image.path for image in sample.images]

    def predict(part: slice) -> NDArray[np.float32]:
        return network(bins.read(paths[part]))

    def explain() -> str:
        some = list(range(0, len(paths), max(1, len(paths) // SHOWN)))[:SHOWN]
        chosen = [paths[i] for i in some]
        readings = {"": bins.read(chosen), "the layout is the other one (CHW, HWC)": bins.read(chosen, transposed=True)}
        return describe_difference(readings, sample.pixels[some], chosen, sample.recipe)

    floor = measure_level_noise(sample, network, reference)
    return Stage(
        name=PREPROCESSING,
        parent=None,
        floor=floor,
        whole=floor,
        open=lambda: nullcontext(predict),
        advice="make the bins with `seatrial preprocess`, or write into the card what the network was trained with",
        explain=explain,
        remark=_measure_levels(sample, bins),
    )


def measure_level_noise(sample: Sample, network: Network, reference: NDArray[np.float32]) -> NoiseFloor:
    """How far torch's logits move when every value of the pixels moves by -1, 0 or 1 levels at random.

    So far apart are two right decoders, or two roundings of the same resize.
    """
    rng = np.random.default_rng(0)
    logits = []
    for start in range(0, len(sample.pixels), sample.batch_size):
        pixels = sample.pixels[start : start + sample.batch_size].astype(np.int16)
        moved = (pixels + rng.integers(-1, 2, pixels.shape, dtype=np.int16)).clip(0, 255).astype(np.uint8)
        logits.append(network(sample.pipeline.finish(moved)))
    error = measure_parity("one level", reference, np.concatenate(logits)).relative_error
    return NoiseFloor(max(error, FLOORS["fp32"].relative_error), "what one level of noise on every pixel does to torch")


def _measure_levels(sample: Sample, bins: BinFolder) -> str:
    """How far apart the pixels are, in levels of 0..255."""
    std = 255 * np.array(sample.recipe.normalisation[1], dtype=np.float32).reshape(-1, 1, 1)
    means, largest = [], []
    for start in range(0, len(sample.images), sample.batch_size):
        part = slice(start, start + sample.batch_size)
        apart = np.abs(bins.read([image.path for image in sample.images[part]]) - sample.see(part)) * std
        means += apart.mean(axis=(1, 2, 3)).tolist()
        largest += apart.max(axis=(1, 2, 3)).tolist()
    worst = int(np.argmax(means))
    return (
        f"values lie {np.mean(means):.1f} levels apart on average, {max(largest):.1f} at most, "
        f"{means[worst]:.1f} on average in {sample.names[worst]}"
    )
