"""Does the engine see more with red and blue swapped? A few images of an evaluation are run once more that way."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage, are_labelled
from seatrial.data.preprocessing.input_pipeline import InputPipeline, to_input
from seatrial.engines.base import Session, run_padded
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.plausibility import Seen, is_at_chance, is_far_below, see_tally
from seatrial.evaluation.statistics import Paired
from seatrial.evaluation.stream import read_rows, row_form
from seatrial.metrics.topk import rank_top

ROOM = 0.05
"""Share of images that must be wrong before swapped channels could explain much more."""
NEAR = 0.01
"""So near to the published accuracy nothing is swapped."""
FEWEST, MOST_AT_FIRST, MOST = 8, 64, 512
"""Images of the first look, which are one in a hundred, and of the last."""
FASTER = 4
"""Each look takes so many times the images of the one before."""


def see_swappable(
    images: Sequence[LabelledImage], pipeline: InputPipeline, tally: Tally, own: bool = False
) -> Seen | None:
    """The predictions so far, if swapped channels are possible and could explain what is wrong with them.

    None where AIPP orders the channels, they are YUV, the images have no labels, or the card switches the check of
    predictions off.

    Args:
        own: of `plausibility.find_published`.
    """
    if not are_labelled(images):
        return None
    seen = see_tally(images, tally, pipeline.recipe, own=own)
    count, hits = len(seen.labels), seen.hits
    if not pipeline.recipe.gates.plausible or not count or hits > (1 - ROOM) * count or not _can_swap(images, pipeline):
        return None
    return seen if seen.published is None or hits < (seen.published - NEAR) * count else None


def try_swapped(
    session: Session,
    images: Sequence[LabelledImage],
    pipeline: InputPipeline,
    tally: Tally,
    batch_size: int,
    own: bool = False,
) -> Paired | None:
    """Run some of the images of `tally` with red and blue swapped, and count who is right: the reference is as it was.

    Nearly every sound engine is worse off after the first look, which ends it; looks go on while more is gained than
    lost. Where top-1 is doubtful already there is one look, the last.

    Returns:
        None where there is nothing that `see_swappable` gives.
    """
    seen = see_swappable(images, pipeline, tally, own)
    if seen is None:
        return None
    count, hits = len(seen.labels), seen.hits
    doubtful = is_at_chance(seen) or is_far_below(hits, count, seen.published)
    size = session.input.shape[0] or batch_size
    rows = np.random.default_rng(0).permutation(count)[:MOST]
    chosen = np.flatnonzero(tally.predicted)[rows]
    labels, right = seen.labels[rows], (seen.predicted == seen.labels)[rows]
    swapped = np.zeros(len(rows), bool)
    for start, stop in pairwise(_plan_looks(count, doubtful)):
        for at in range(start, stop, size):
            part = slice(at, min(at + size, stop))
            predicted = _predict_swapped(session, [images[int(index)] for index in chosen[part]], pipeline)
            swapped[part] = predicted == labels[part]
        paired = Paired.of(right[:stop], swapped[:stop])
        if paired.gained <= paired.lost:
            break
    return paired


def _can_swap(images: Sequence[LabelledImage], pipeline: InputPipeline) -> bool:
    shape, dtype = row_form(images, pipeline)
    return pipeline.aipp is None and shape[-1 if dtype == "uint8" else 0] == 3


def _plan_looks(images: int, at_once: bool) -> list[int]:
    """How many images were run before each look, and after the last."""
    most = min(images, MOST)
    ends = [most if at_once else min(most, max(FEWEST, min(MOST_AT_FIRST, images // 100)))]
    while ends[-1] < most:
        ends.append(min(most, FASTER * ends[-1]))
    return [0, *ends]


def _predict_swapped(session: Session, images: Sequence[LabelledImage], pipeline: InputPipeline) -> NDArray[np.int32]:
    swapped = swap_channels(read_rows(images, pipeline)[0], pipeline)
    classes, _ = rank_top(run_padded(session, to_input(swapped, session.input, pipeline)))
    return classes[:, 0]


def swap_channels(rows: NDArray[Any], pipeline: InputPipeline) -> NDArray[Any]:
    """Red and blue swapped in pixels (n, height, width, 3), or in their normalised form, CHW."""
    if rows.dtype == np.uint8:
        return np.ascontiguousarray(rows[..., ::-1])
    mean, std = (np.array(values, np.float32)[:, None, None] for values in pipeline.recipe.normalisation)
    # Each channel has a mean and a deviation of its own, so it is the pixels that change places.
    return np.ascontiguousarray(((rows * std + mean)[:, ::-1] - mean) / std)
