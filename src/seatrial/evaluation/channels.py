"""Does the engine see more with red and blue swapped? A few images of an evaluation are run once more that way."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.data.batches import fill_row
from seatrial.data.decode_pool import fill_rows
from seatrial.data.feed import Feed
from seatrial.data.labels import LabelledImage
from seatrial.engines.base import Session, run_padded
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.statistics import Paired
from seatrial.evaluation.stream import row_form
from seatrial.metrics.topk import rank_top

FEWEST, MOST_AT_FIRST, MOST = 8, 64, 512
"""Images of the first look, which are one in a hundred, and of the last."""
FASTER = 4
"""Each look takes so many times the images of the one before."""


def can_swap(images: Sequence[LabelledImage], feed: Feed) -> bool:
    """Whether the channels can be told from what an engine is given: not where AIPP orders them, or they are YUV."""
    shape, dtype = row_form(images, feed)
    return feed.aipp is None and shape[-1 if dtype == "uint8" else 0] == 3


def try_swapped(
    session: Session, images: Sequence[LabelledImage], feed: Feed, tally: Tally, batch_size: int, at_once: bool
) -> Paired:
    """Run some of the images of `tally` with red and blue swapped, and count who is right: the reference is as it was.

    Nearly every sound engine is worse off after the first look, which ends it; looks go on while more is gained than
    lost.

    Args:
        at_once: take as many images as the last look would, as something else is doubtful already.
    """
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(tally.answered))[:MOST]
    labels = np.array([images[int(index)].label for index in chosen], dtype=np.int64)
    right = tally.classes[chosen, 0] == labels
    swapped = np.zeros(len(chosen), bool)
    for start, stop in pairwise(_plan_looks(int(tally.answered.sum()), at_once)):
        for at in range(start, stop, batch_size):
            part = slice(at, min(at + batch_size, stop))
            answers = _answer_swapped(session, [images[int(index)] for index in chosen[part]], feed)
            swapped[part] = answers == labels[part]
        paired = _count(right[:stop], swapped[:stop])
        if paired.gained <= paired.lost:
            break
    return paired


def _plan_looks(images: int, at_once: bool) -> list[int]:
    """How many images were run before each look, and after the last."""
    most = min(images, MOST)
    ends = [most if at_once else min(most, max(FEWEST, min(MOST_AT_FIRST, images // 100)))]
    while ends[-1] < most:
        ends.append(min(most, FASTER * ends[-1]))
    return [0, *ends]


def _answer_swapped(session: Session, images: Sequence[LabelledImage], feed: Feed) -> NDArray[np.int32]:
    shape, dtype = row_form(images, feed)
    rows = np.empty((len(images), *shape), dtype)
    fill_rows(rows, images, partial(fill_row, feed=feed))
    swapped = swap_channels(rows, feed)
    classes, _ = rank_top(run_padded(session, swapped if dtype == session.input.dtype else feed.finish(swapped)))
    return classes[:, 0]


def swap_channels(rows: NDArray[Any], feed: Feed) -> NDArray[Any]:
    """Red and blue swapped in pixels (n, height, width, 3), or in what the card's normalisation made of them, CHW."""
    if rows.dtype == np.uint8:
        return np.ascontiguousarray(rows[..., ::-1])
    mean, std = (np.array(values, np.float32)[:, None, None] for values in feed.recipe.normalisation)
    # Each channel has a mean and a deviation of its own, so it is the pixels that change places.
    return np.ascontiguousarray(((rows * std + mean)[:, ::-1] - mean) / std)


def _count(right: NDArray[np.bool_], swapped: NDArray[np.bool_]) -> Paired:
    return Paired(*(int(n.sum()) for n in (right & swapped, right & ~swapped, ~right & swapped, ~right & ~swapped)))
