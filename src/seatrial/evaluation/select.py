"""Which images of a set to take, and in which order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.errors import UsageError


def select_stratified(labels: NDArray[np.integer], count: int, seed: int) -> NDArray[np.int64]:
    """Indices of `count` images, ascending, each class in proportion; chance decides within a class and between ties.

    Seats left over by rounding down go to the classes with the largest remainder (Hamilton's method).

    Raises:
        UsageError: there are not so many.
    """
    if not 0 < count <= len(labels):
        raise UsageError(f"--limit {count} of {len(labels)} images", "give a number from 1 to as many as there are")
    rng = np.random.default_rng(seed)
    classes, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    exact = sizes * (count / len(labels))
    seats = np.floor(exact + 1e-9).astype(np.int64)
    ranked = np.lexsort((rng.random(len(classes)), seats - exact))
    seats[ranked[: count - seats.sum()]] += 1
    order = rng.permutation(len(labels))
    # The place of each image among those of its class, in the order that chance gave.
    by_class = order[np.argsort(group[order], kind="stable")]
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(by_class[place < seats[group[by_class]]])


def select_images(images: Sequence[LabelledImage], count: int, seed: int) -> tuple[LabelledImage, ...]:
    """`select_stratified` of images, in their order."""
    labels = np.array([image.label for image in images])
    return tuple(images[int(index)] for index in select_stratified(labels, count, seed))


def repeat_images(images: Sequence[LabelledImage], count: int) -> tuple[LabelledImage, ...]:
    """`count` images of which those beyond the first ones are the same under other ids."""
    rounds = (divmod(index, len(images)) for index in range(count))
    return tuple(replace(images[at], id=f"{images[at].id}#{turn}") if turn else images[at] for turn, at in rounds)
