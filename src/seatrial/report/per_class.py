"""Accuracy class by class: the classes that are certainly worse, and what is taken for what."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.metrics.per_class import LEVEL, ClassPair, adjust_holm, count_confusions
from seatrial.recipes.class_names import name_class
from seatrial.report.numbers import count_of, write_count, write_percent, write_points, write_probability
from seatrial.report.tables import ENGINE, Column, Table, numbers
from seatrial.results.run_folder import Run
from seatrial.store.predictions import Predictions, restrict

MOST_CLASSES = 20
"""Rows of certainly worse classes."""
MOST_CONFUSIONS = 12
LARGEST_MATRIX = 50
"""Classes up to which all confusions are shown."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Confusions of one engine: rows are labels, columns first classes."""

    title: str
    engine: str
    names: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of each row's images, (classes, classes)."""
        shares: NDArray[np.float64] = self.counts / np.maximum(1, self.counts.sum(axis=1, keepdims=True))
        return shares


def make_worse_classes(run: Run) -> Table:
    """The classes in which an engine is certainly worse than the reference, those that lost most first."""
    pairs = _list_pairs(run)
    rows = [row for name, pair in pairs for row in _list_worse(run, name, pair)]
    most = max((len(pair.classes) for _, pair in pairs), default=0)
    columns = (
        ENGINE,
        Column("Class"),
        *numbers("Images", f"Right in {run.reference}, %", "Right here, %", "Lost", "Gained", "Lost at least, points"),
        *numbers("Adjusted p"),
    )
    more = f" The first {MOST_CLASSES} of {len(rows):,} are shown." if len(rows) > MOST_CLASSES else ""
    note = (
        f"McNemar's exact test in each class, one-sided, its p adjusted by Holm for {count_of(most, 'test')}, so that "
        f"any of these is wrong in at most {LEVEL:.0%} of such sets; the least loss is Clopper and Pearson's bound, "
        f"adjusted by Bonferroni.{more}"
    )
    absent = "The predictions of two engines are needed to compare their classes; this folder has fewer."
    if run.predictions and not _list_labelled(run):
        absent = "The images have no labels."
    if pairs:
        absent = (
            f"None: no engine is certainly worse than {run.reference} in one of the {most:,} classes. To be certain "
            f"among so many, a class must lose {_find_least_losses(most)} images and gain none."
        )
    return Table("Classes certainly worse", note, columns, tuple(rows[:MOST_CLASSES]), absent)


def _list_worse(run: Run, name: str, pair: ClassPair) -> Iterator[tuple[str, ...]]:
    adjusted, least = adjust_holm(pair.find_p()), pair.find_least_drop()
    drops = (pair.lost - pair.gained) / pair.images
    worse = np.flatnonzero(adjusted <= LEVEL)
    for row in worse[np.argsort(-drops[worse], kind="stable")].tolist():
        yield (
            name,
            name_class(run.recipe, int(pair.classes[row])),
            write_count(int(pair.images[row])),
            write_percent(pair.reference_right[row] / pair.images[row]),
            write_percent(pair.right[row] / pair.images[row]),
            write_count(int(pair.lost[row])),
            write_count(int(pair.gained[row])),
            write_points(100 * max(0.0, float(least[row]))),
            write_probability(float(adjusted[row])),
        )


def _find_least_losses(tests: int) -> int:
    """The fewest losses without a gain that are certain among so many tests."""
    return int(np.ceil(np.log2(max(1, tests) / LEVEL)))


def _list_pairs(run: Run) -> list[tuple[str, ClassPair]]:
    """Each engine beside the reference, where both have predictions of the same images."""
    reference, pairs = run.predictions.get(run.reference), []
    for name, ours, labels in _list_labelled(run):
        theirs = None if reference is None or name == run.reference else restrict(reference, ours.ids)
        if theirs is not None and theirs.ids == ours.ids:
            pairs.append((name, ClassPair.of(labels, theirs.classes[:, 0], ours.classes[:, 0])))
    return pairs


def _list_labelled(run: Run) -> list[tuple[str, Predictions, NDArray[np.int32]]]:
    """The predictions of each engine and their labels, where they have some."""
    return [(name, ours, ours.labels) for name, ours in run.predictions.items() if ours.labels is not None]


def make_confusions(run: Run) -> Table:
    """The pairs of classes that are mixed up most in any engine, and how often in each."""
    counted = {name: _count_pairs(labels, ours.classes[:, 0]) for name, ours, labels in _list_labelled(run)}
    most: dict[tuple[int, int], int] = {}
    for pairs in counted.values():
        for pair, count in pairs.items():
            most[pair] = max(count, most.get(pair, 0))
    chosen = sorted(most, key=lambda pair: (-most[pair], pair))[:MOST_CONFUSIONS]
    rows = tuple(
        (
            name_class(run.recipe, label),
            name_class(run.recipe, first),
            *(write_count(pairs.get((label, first), 0)) for pairs in counted.values()),
        )
        for label, first in chosen
    )
    columns = (Column("Images of"), Column("taken for"), *numbers(*counted))
    note = "How many images of a class are given another one first, by engine; the pairs with most of them."
    absent = "No image is given a wrong class first."
    if not counted:
        absent = "The images have no labels." if run.predictions else "No predictions are stored in this run."
    return Table("What is taken for what", note, columns, rows, absent)


def _count_pairs(labels: NDArray[np.int32], first: NDArray[np.int32]) -> dict[tuple[int, int], int]:
    """Images by label and first class, where these differ."""
    wrong = first != labels
    pairs = np.stack([labels[wrong], first[wrong]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return {(int(label), int(first)): int(count) for (label, first), count in zip(found, counts, strict=True)}


def make_matrices(run: Run) -> tuple[Matrix, ...]:
    """Every confusion of each engine; none where there are too many classes to look at."""
    classes = run.recipe.network.classes
    if classes > LARGEST_MATRIX:
        return ()
    names = tuple(name_class(run.recipe, index) for index in range(classes))
    return tuple(
        Matrix(f"Confusion matrix of {name}", name, names, count_confusions(labels, ours.classes[:, 0], classes))
        for name, ours, labels in _list_labelled(run)
        if int(labels.max()) < classes and int(ours.classes[:, 0].max()) < classes
    )
