"""Would other labels explain a network's first classes far better: shifted, reversed, sorted as text, permuted?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.evaluation.statistics import Paired, gain_p
from seatrial.recipes.class_names import show_class

SURE = 0.001
"""Chance at which images that a worse explanation explains no better look as if it did."""
FAR_PP = 10.0
"""Points of accuracy that another explanation must gain, where it does not double it."""
SIMPLER_BY = 0.1
"""Share of the images by which a learned order must beat a plain one, as the plain one is the simpler explanation."""


@dataclass(frozen=True, slots=True)
class LabelOrder:
    """Other labels that explain the predictions far better."""

    what: str
    """What the predicted class is, such as "the label minus 1"."""
    share: float
    """Of the images, that it explains."""
    right: float
    """Share that the labels themselves explain."""
    images: int
    fix: str
    examples: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Figures and fix, in one sentence."""
        of = f"of {self.images} images, the label itself for {self.right:.1%}"
        return f"the network's first class is {self.what} for {self.share:.1%} {of}; {self.fix}"


def find_order(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], classes: int, names: Sequence[str] = ()
) -> LabelOrder | None:
    """The order of the classes that explains first classes far better than the labels themselves; None if none does.

    Plain orders need no learning and so work with few images of each class. Any other order is learned on one half of
    the images and judged on the other, both ways, so that few images cannot vote for themselves; it gives different
    labels different classes, so that a network that always predicts the same class is no order.

    Args:
        predicted: (n,), first classes.
        labels: (n,); those that are no class of the network are none of any order either, but of a shift.
        classes: of the network.
        names: of the classes, for the examples; none where the card has none.
    """
    plain = list(_list_plain(labels.astype(np.int64), classes))
    learned = _predict_by_label(predicted, labels)

    def share(expected: NDArray[np.integer]) -> float:
        return float((expected == predicted).mean()) if len(labels) else 0.0

    examples: tuple[str, ...] = ()
    best = max(plain, key=lambda order: share(order[2]), default=None)
    if best is not None and share(learned) < share(best[2]) + SIMPLER_BY:
        what, fix, expected = best
    else:
        what, expected = "another class, the same for each label,", learned
        examples = tuple(_describe_moves(predicted, labels, names))
        fix = "the labels number the classes in another order (ImageNet's own ids, not sorted WNIDs?)"
    # All that are tried share the chance of a false alarm.
    if not is_far_better(Paired.of(labels == predicted, expected == predicted), SURE / (len(plain) + 1)):
        return None
    return LabelOrder(what, share(expected), share(labels), len(labels), fix, examples)


def is_far_better(paired: Paired, level: float = SURE) -> bool:
    """Whether another explanation is right so much more often that neither chance nor a poor model explains it.

    McNemar's exact test, one-sided; and the accuracy doubles and gains 5 points, or gains `FAR_PP` and leaves at most
    two thirds of the errors. The present explanation is the reference: what it alone explains is lost.
    """
    if gain_p(paired.lost, paired.gained) > level:
        return False
    before, after = ((paired.both_right + alone) / paired.count for alone in (paired.lost, paired.gained))
    is_doubled = after >= 2 * before + 0.05
    return is_doubled or (after >= before + FAR_PP / 100 and 1 - after <= 2 / 3 * (1 - before))


def _list_plain(labels: NDArray[np.int64], classes: int) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Orders that need no learning: in words, their mend, and the class (n,) that each image should get, or -1."""
    if classes <= 2:  # All orders of two classes are one, which is soon learned.
        return
    yield "the label minus 1", "the labels count from 1: subtract 1", (labels - 1) % classes
    yield "the label plus 1", "the network has one class before the labels' first: add 1", (labels + 1) % classes
    valid = (labels >= 0) & (labels < classes)
    for what, fix, table in _list_tables(classes):
        yield what, fix, np.where(valid, table[np.where(valid, labels, 0)], -1)


def _list_tables(classes: int) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """Orders in words, their mend, and the class (classes,) that each label should get."""
    yield "the label counted from the last class", "number the classes from the other end", np.arange(classes)[::-1]
    for first in (0, 1):
        as_text = np.array([number - first for number in sorted(range(first, classes + first), key=str)])
        if np.array_equal(as_text, np.arange(classes)):
            continue
        named = f"folders named {first} to {classes + first - 1}"
        fix = "the network numbers them as they are sorted as text (10 before 2): number the labels so"
        yield f"the label's place among {named}, sorted as text,", fix, np.argsort(as_text)
        fix = "the labels number them as they are sorted as text (10 before 2): number them by their names"
        yield f"the name at the label's place among {named}, sorted as text,", fix, as_text


def _predict_by_label(predicted: NDArray[np.integer], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """The class (n,) that the other half of the images predicts for each one's label; -1 where it has none."""
    order = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels)) - np.repeat(starts, sizes)
    learned = np.full(len(labels), -1, np.int64)
    for half in (place % 2 == 0, place % 2 == 1):
        class_of = _match(predicted[half], labels[half])
        learned[~half] = [class_of.get(label, -1) for label in labels[~half].tolist()]
    return learned


def _match(predicted: NDArray[np.integer], labels: NDArray[np.integer]) -> dict[int, int]:
    """A class for each label, the most frequent pairs first, no class twice."""
    pairs, counts = np.unique(np.stack([labels, predicted], axis=1), axis=0, return_counts=True)
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for label, predicted_class in pairs[np.argsort(-counts, kind="stable")].tolist():
        if label not in matched and predicted_class not in taken:
            matched[label] = predicted_class
            taken.add(predicted_class)
    return matched


def _describe_moves(predicted: NDArray[np.integer], labels: NDArray[np.integer], names: Sequence[str]) -> Iterator[str]:
    for label, predicted_class in sorted(_match(predicted, labels).items()):
        if predicted_class != label:
            own = labels == label
            votes = int((predicted[own] == predicted_class).sum())
            shown = f"label {show_class(names, label)} is predicted as class {show_class(names, predicted_class)}"
            yield f"{shown} ({votes} of {int(own.sum())} images)"
