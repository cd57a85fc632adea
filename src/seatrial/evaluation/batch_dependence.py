"""Whether an image gets the same logits whatever else is in its batch: checked before a set is run.

A graph exported in training mode normalises by the statistics of the batch, so that its accuracy is that of one batch
size and one order of the images, and of no other.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.input_pipeline import InputPipeline, to_input
from seatrial.engines.base import Session, run_padded
from seatrial.errors import ParityError
from seatrial.evaluation.compare_logits import compare_logits
from seatrial.evaluation.parity import check_logits
from seatrial.evaluation.stream import read_rows

ALONE = 4
"""Images that are run alone."""
EVAL_MODE = "export the network after model.eval(), with training=TrainingMode.EVAL"


@dataclass(frozen=True, slots=True)
class BatchProbe:
    """Images to run in several batches, and how far their logits may move."""

    batch: tuple[LabelledImage, ...]
    """The first batch of the evaluation."""
    others: tuple[LabelledImage, ...]
    """Half as many, spread over the rest of the set; none where the batch is all of it."""
    floor: float
    """Relative error of the logits that is rounding: `metrics.noise_floor.find_batch_floor`."""
    coarse: bool
    """The engine rounds its logits: `metrics.noise_floor.is_coarse`."""


@dataclass(frozen=True, slots=True)
class BatchDependence:
    """How far logits move between batches."""

    exact: bool
    """They do not, to the bit."""
    distance: float
    """The larger relative error of the logits, of images run alone and among others; two digits."""
    first_prediction_s: float
    """Time until the first batch was run, its decoding included."""


def choose_probe(images: Sequence[LabelledImage], batch_size: int, floor: float, coarse: bool) -> BatchProbe:
    """The images to look at before a set of them is run in batches of `batch_size`."""
    size = min(batch_size, len(images))
    rest = images[size:]
    count = min(size // 2, len(rest))
    others = tuple(rest[(2 * i + 1) * len(rest) // (2 * count)] for i in range(count))
    return BatchProbe(tuple(images[:size]), others, floor, coarse)


def measure_batch_dependence(session: Session, probe: BatchProbe, pipeline: InputPipeline) -> BatchDependence | None:
    """Run a batch, half of it at other places among other images, and a few of its images alone.

    A session whose batch is fixed to a larger one runs an image alone among copies of itself. None if no image of the
    batch can be read.

    Raises:
        ParityError: the logits move further than rounding explains, are no numbers, or are the same for every class.
    """
    start = time.perf_counter()
    names, batch = _load(session, probe.batch, pipeline)
    if not names:
        return None
    together = run_padded(session, batch)
    first_prediction_s = time.perf_counter() - start
    check_logits(together, names, probe.coarse)
    others = _load(session, probe.others, pipeline)[1]
    exact, distance = compare_batches(session, batch, together, others, names, probe.floor)
    return BatchDependence(exact, float(f"{distance:.1e}"), first_prediction_s)


def compare_batches(
    session: Session,
    batch: NDArray[Any],
    together: NDArray[np.float32],
    others: NDArray[Any],
    names: Sequence[str],
    floor: float,
) -> tuple[bool, float]:
    """Whether images give the same logits to the bit in a batch, among others and alone, and their relative error.

    Args:
        together: the logits of `batch`.
        others: images like those of `batch`, for the half of a batch; where they are fewer, the first image fills it.

    Raises:
        ParityError: the relative error is above `floor`, or there are more other first classes than that explains.
    """
    moved, chosen = np.arange(0, len(batch), 2), np.arange(0, len(batch), -(-len(batch) // ALONE))
    among = _run_among(session, batch, moved, others)
    alone = np.concatenate([run_padded(session, batch[row : row + 1]) for row in chosen])
    exact, distance = True, 0.0
    for rows, logits, how in ((chosen, alone, "alone"), (moved, among, "among other images")):
        compared = compare_logits(together[rows], logits, [names[row] for row in rows.tolist()], floor)
        if compared.excess is not None:
            raise ParityError(
                f"the logits of an image depend on its batch: {compared.excess} ({len(rows)} images in a batch of "
                f"{len(batch)} against the same {how})",
                f"was the graph exported in training mode? {EVAL_MODE}",
            )
        exact = exact and np.array_equal(together[rows], logits)
        distance = max(distance, compared.distance.relative_error)
    return exact, distance


def _load(session: Session, images: Sequence[LabelledImage], pipeline: InputPipeline) -> tuple[list[str], NDArray[Any]]:
    """Ids and batch of those images that can be read; the others are named when their turn comes."""
    good: list[int] = []
    if images:
        rows, bad = read_rows(images, pipeline)
        good = [row for row in range(len(images)) if row not in bad]
    if not good:
        return [], np.empty((0, *(size or 1 for size in session.input.shape[1:])), session.input.dtype)
    return [images[row].id for row in good], to_input(rows[good], session.input, pipeline)


def _run_among(
    session: Session, batch: NDArray[Any], moved: NDArray[np.int64], others: NDArray[Any]
) -> NDArray[np.float32]:
    """The logits of the rows `moved` at other places of a batch that is filled up with others, or with the first."""
    count = len(batch) - len(moved)
    fill = np.concatenate([others[:count], np.repeat(batch[:1], count - len(others[:count]), axis=0)])
    logits = run_padded(session, np.concatenate([batch[moved[1:]], fill, batch[moved[:1]]]))
    return np.concatenate([logits[-1:], logits[: len(moved) - 1]])
