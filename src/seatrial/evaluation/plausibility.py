"""What speaks against believing predictions, and so against every verdict on them.

Each rule is an exact test; docs/accuracy.md says how often a sound network meets one by chance. The rule on chance also
needs a set that is large enough to prove anything.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import UNLABELLED, LabelledImage
from seatrial.evaluation.label_order import SURE, find_order
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.parity import DIAGNOSE
from seatrial.evaluation.statistics import Paired, gain_p
from seatrial.metrics.intervals import CONFIDENCE, exact_bounds
from seatrial.recipes.class_names import read_names
from seatrial.recipes.schema import Recipe
from seatrial.store.records import Compared, Suspicion

BELOW_PP = 5.0
"""Points below the published accuracy: less is another draw of images, or another decoder."""
SWAP_PP = 5.0
"""Points of accuracy that swapped channels must gain."""
CONTRADICTING = 0.001
"""Share of images that equal another with another label: public sets have a few, which change no verdict."""
REPEATED = 0.01
"""Share of images that repeat another which is worth a word."""
CHANGED = 0.2
"""Share of first classes that may change against the reference where the card sets no gate of its own.

EfficientNet-Lite0's published weights changed 6 % in bf16 and 21 % in int8 on 600 crops of photographs and textures, of
which torch knew 64 %: about the worst of a sound engine. Clearer images change less.
"""
CHECK = "`seatrial data check RECIPE --images … --predictions NAME.parquet` compares the labels with the predictions"


@dataclass(frozen=True, slots=True)
class Seen:
    """Predictions of n images, one at least, and the facts about them."""

    ids: Sequence[str]
    labels: NDArray[np.integer]
    """(n,); `UNLABELLED` all of them where there are none, and then little can be said."""
    predicted: NDArray[np.integer]
    """(n,), first classes."""
    classes: int
    """Number of classes of the network."""
    contents: NDArray[np.uint64] | None = None
    """(n,), a hash of each image's bytes; None where there are none."""
    published: float | None = None
    """Top-1 as a fraction, that was published for these weights: `find_published`."""
    swapped: Paired | None = None
    """Some of the images, with red and blue swapped against as they are."""
    names: Sequence[str] = ()
    """Of the classes; none where nobody knows them."""

    @property
    def labelled(self) -> bool:
        """Whether the images have labels."""
        return bool(self.labels[0] != UNLABELLED)

    @property
    def hits(self) -> int:
        """Images whose first class is the label."""
        return int((self.predicted == self.labels).sum())

    @property
    def bounds(self) -> tuple[float, float]:
        """Exact one-sided 95 % bounds of top-1."""
        return exact_bounds(self.hits, len(self.labels))


def find_published(recipe: Recipe, own: bool) -> float | None:
    """The top-1 as a fraction that the weights should have; None where none was published.

    Args:
        own: they are surely not the published ones of the card.
    """
    published = recipe.reference
    # Of images of another size it is another figure.
    of_size = published is not None and published.size in (None, recipe.input_size[0])
    return published.top1 if published is not None and of_size and not own else None


def see_tally(
    images: Sequence[LabelledImage], tally: Tally, recipe: Recipe, swapped: Paired | None = None, own: bool = False
) -> Seen:
    """The predictions of an evaluation of `images` so far; `own` is that of `find_published`."""
    rows = np.flatnonzero(tally.predicted)
    chosen = [images[int(index)] for index in rows]
    return Seen(
        ids=[image.id for image in chosen],
        labels=np.array([image.label for image in chosen], dtype=np.int32),
        predicted=tally.classes[rows, 0],
        classes=tally.width,
        contents=tally.contents[rows] if len(tally.contents) else None,
        published=find_published(recipe, own),
        swapped=swapped,
        names=read_names(recipe) or (),
    )


@dataclass(frozen=True, slots=True)
class Belief:
    """Whether an evaluation's predictions can be believed."""

    suspicions: tuple[Suspicion, ...] = ()
    doubts: tuple[str, ...] = ()
    """What does not speak against a verdict."""
    unchecked: str = ""
    """Why nothing was checked; empty where it was."""


def judge_tally(
    images: Sequence[LabelledImage],
    tally: Tally,
    recipe: Recipe,
    swapped: Paired | None,
    is_fake: bool,
    own: bool = False,
) -> Belief:
    """Check the predictions of an evaluation of `images`, unless the card switches that off.

    Args:
        is_fake: some images are others under another name, so that nothing is judged by them.
        own: the weights are surely not the published ones: far below these is then no more than a doubt.
    """
    if is_fake:
        return Belief(unchecked="some images are others under another name")
    if not recipe.gates.plausible:
        return Belief(unchecked="the card switches it off ([gates] plausible)")
    seen = see_tally(images, tally, recipe, swapped, own)
    below = (
        _suspect_published(replace(seen, published=find_published(recipe, own=False))) if own and seen.labelled else ()
    )
    doubts = (f"{suspicion.reason}, whose weights these are not" for suspicion in below)
    return Belief(find_suspicions(seen), (*find_repeats(seen), *doubts))


def find_suspicions(seen: Seen) -> tuple[Suspicion, ...]:
    """Everything that speaks against believing some predictions, that which explains most first."""
    rules = (
        (
            _suspect_order,
            _suspect_channels,
            _suspect_contents,
            _suspect_repeats,
            _suspect_published,
            _suspect_chance,
        )
        if seen.labelled
        else (_suspect_repeats, _suspect_one_class)
    )
    return tuple(suspicion for rule in rules for suspicion in rule(seen))


def is_far_below(hits: int, count: int, published: float | None) -> bool:
    """Whether top-1 lies certainly `BELOW_PP` below the published: the upper exact one-sided 95 % bound does."""
    return published is not None and exact_bounds(hits, count)[1] < published - BELOW_PP / 100


def is_at_chance(seen: Seen) -> bool:
    """Whether top-1 is not certainly above what always naming the most frequent label gives."""
    return seen.bounds[0] <= _share_of_largest(seen.labels)


def _share_of_largest(labels: NDArray[np.integer]) -> float:
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _suspect_chance(seen: Seen) -> Iterator[Suspicion]:
    if is_at_chance(seen):
        count, low, largest = len(seen.labels), seen.bounds[0], _share_of_largest(seen.labels)
        reason = (
            f"top-1 of {seen.hits / count:.2%} is not above chance: of {count} images {seen.hits} are right, so it is "
            f"at least {low:.2%} with {CONFIDENCE:.0%} confidence, and always naming the most frequent class is right "
            f"for {largest:.2%}; predictions that are not above chance cannot lose, so they prove nothing"
        )
        yield Suspicion(kind="at chance", reason=reason, fix=f"take more images, or mend the cause: {DIAGNOSE}")


def _suspect_one_class(seen: Seen) -> Iterator[Suspicion]:
    count = len(seen.predicted)
    if count > 1 and bool((seen.predicted == seen.predicted[0]).all()):
        reason = (
            f"all {count} images get one first class, {seen.predicted[0]}: whatever else gives that class to every "
            "image agrees with it, so agreement proves nothing"
        )
        yield Suspicion(kind="one class", reason=reason, fix=f"take images of several classes, or {DIAGNOSE}")


def _suspect_published(seen: Seen) -> Iterator[Suspicion]:
    count = len(seen.labels)
    if is_far_below(seen.hits, count, seen.published):
        reason = (
            f"top-1 of {seen.hits / count:.2%} on {count} images is at most {seen.bounds[1]:.2%} with {CONFIDENCE:.0%} "
            f"confidence, more than {BELOW_PP:g} points under the {seen.published:.2%} that the card names"
        )
        yield Suspicion(kind="far below", reason=reason, fix=f"weights, labels or preprocessing are others: {DIAGNOSE}")


def _suspect_order(seen: Seen) -> Iterator[Suspicion]:
    order = find_order(seen.predicted, seen.labels, seen.classes, seen.names)
    if order is not None:
        shown = "".join(f"; {example}" for example in order.examples[:2])
        yield Suspicion(kind="label order", reason=f"{order.text}{shown}", fix=CHECK)


def _suspect_channels(seen: Seen) -> Iterator[Suspicion]:
    paired = seen.swapped
    if paired is None or not paired.count or gain_p(paired.lost, paired.gained) > SURE:
        return
    if -100 * paired.drop >= SWAP_PP:
        right = (paired.both_right + paired.lost, paired.both_right + paired.gained)
        reason = (
            f"with red and blue swapped {right[1]} of {paired.count} images are right, as they are given only "
            f"{right[0]}: the network was trained on BGR images, or the images are"
        )
        fix = f"give the network the channels in the order in which it was trained: {DIAGNOSE}"
        yield Suspicion(kind="channels", reason=reason, fix=fix)


def _suspect_contents(seen: Seen) -> Iterator[Suspicion]:
    rows, _ = _find_equal(seen)
    if len(rows) > CONTRADICTING * len(seen.labels):
        fix = "keep one label for each picture, or drop those that have several"
        yield Suspicion(kind="contradicting labels", reason=_describe_contradicting(seen, rows), fix=fix)


def _describe_contradicting(seen: Seen, rows: NDArray[np.int64]) -> str:
    assert seen.contents is not None
    first = rows[0]
    same = rows[seen.contents[rows] == seen.contents[first]]
    other = same[seen.labels[same] != seen.labels[first]][0]
    examples = " and ".join(f"{seen.ids[row]} ({seen.labels[row]})" for row in (first, other))
    return f"{len(rows)} of {len(seen.labels)} images are equal to another that has another label, first {examples}"


def _suspect_repeats(seen: Seen) -> Iterator[Suspicion]:
    (_, repeated), count = _find_equal(seen), len(seen.labels)
    if 2 * repeated >= count:
        reason = (
            f"of {count} images only {count - repeated} are different: the others repeat them under other names, so "
            "the bounds of every figure are narrower than the images allow"
        )
        yield Suspicion(kind="repeated images", reason=reason, fix="evaluate each picture once")


def find_repeats(seen: Seen) -> Iterator[str]:
    """Notes on equal images, where they do not speak against a verdict."""
    (rows, repeated), count = _find_equal(seen), len(seen.labels)
    if 0 < len(rows) <= CONTRADICTING * count:
        yield _describe_contradicting(seen, rows)
    if repeated > 1 and REPEATED * count < repeated < count / 2:
        yield f"{repeated} of {count} images repeat another under another name, so bounds are too narrow"


def _find_equal(seen: Seen) -> tuple[NDArray[np.int64], int]:
    """Rows of images that equal one with another label; and how many images repeat an earlier one."""
    if seen.contents is None or not len(seen.contents):
        return np.empty(0, np.int64), 0
    _, picture = np.unique(seen.contents, return_inverse=True)
    kinds = np.unique(np.stack([picture, seen.labels], axis=1), axis=0)[:, 0]
    labels_of = np.bincount(kinds, minlength=int(picture.max()) + 1)
    return np.flatnonzero(labels_of[picture] > 1), len(picture) - len(labels_of)


def suspect_changes(versus: Compared) -> Suspicion | None:
    """Whether certainly more than `CHANGED` of the first classes differ from the reference's, of equal weights."""
    low = exact_bounds(versus.changed, versus.images)[0]
    if versus.other_weights or low <= CHANGED:
        return None
    share = f"{versus.changed} of {versus.images} first classes ({versus.changed / versus.images:.1%})"
    reason = (
        f"{share} differ from those of {versus.reference}, at least {low:.1%} with {CONFIDENCE:.0%} confidence: "
        f"whatever the drop is, so many changes are another network's (up to {CHANGED:.0%} is believed)"
    )
    fix = f"{DIAGNOSE}; the card's [gates] changed_share sets another limit"
    return Suspicion(kind="changed predictions", reason=reason, fix=fix)
