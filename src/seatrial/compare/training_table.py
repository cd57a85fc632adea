"""Compares speeds of training: the guides' result table, and how training scales with the number of devices."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from seatrial.compare.comparability import check_kinds, describe_unlike, refuse_unlike
from seatrial.compare.training_facts import TrainingFacts, describe_record
from seatrial.results.speed import Rate, divide
from seatrial.store.training import TrainingSpeedRecord

Kind = Literal["model", "data", "size"]
"""What must be equal unless `--allow` names it; all else is a column or a note."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_NO_WORK = frozenset(
    {"epochs", "batch_size", "learning_rate", "warmup_epochs", "print_freq", "seed", "device", "dist_backend"}
    | {"max_train_steps", "max_eval_steps", "checkpoint_every", "workers"}
)
"""Settings that do not change what a device computes for an image."""


@dataclass(frozen=True, slots=True)
class TrainingSpeedRow:
    """One training as a row of the table."""

    name: str
    speed: TrainingFacts

    @property
    def rate(self) -> Rate:
        """Images per second of all devices together."""
        return self.speed.rate


@dataclass(frozen=True, slots=True)
class Scaling:
    """How much faster a training on several devices is."""

    of: str
    to: str
    times: int
    """Ratio of the numbers of devices."""
    gain: Rate
    differences: tuple[str, ...]
    """What else is not the same, in words, so that the gain may have other reasons."""

    @property
    def efficiency(self) -> float:
        """Share of linear scaling, 0..1."""
        return self.gain.value / self.times

    @property
    def impossible(self) -> bool:
        """Whether it is more than linear, beyond the interval."""
        return (self.gain.bounds or (self.gain.value,))[0] > self.times


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Trainings that are comparable, or whose differences were allowed."""

    rows: tuple[TrainingSpeedRow, ...]
    scalings: tuple[Scaling, ...]
    notes: tuple[str, ...]


def make_training_table(
    trainings: Mapping[str, TrainingSpeedRecord | TrainingFacts], allowed: Collection[str] = ()
) -> TrainingTable:
    """Compare speeds of training, by name.

    Raises:
        NotComparable: they differ in network, image size or kind of data, and that is not allowed.
        UsageError: there is no such kind of difference.
    """
    check_kinds(allowed, KINDS, "difference of trainings")
    speeds = {
        name: describe_record(training) if isinstance(training, TrainingSpeedRecord) else training
        for name, training in trainings.items()
    }
    unlike = {kind: values for kind, values in _list_kinds(speeds).items() if len(set(values.values())) > 1}
    refuse_unlike(unlike, allowed, "trainings")
    rows = tuple(TrainingSpeedRow(name, speed) for name, speed in speeds.items())
    notes = [f"not alike, but allowed: {describe_unlike(kind, values)}" for kind, values in unlike.items()]
    if any(row.rate.bounds is not None for row in rows):
        notes.append("intervals cover the variation within one run; another run may lie outside them")
    return TrainingTable(rows, tuple(_find_scalings(rows)), tuple(notes))


def _list_kinds(speeds: Mapping[str, TrainingFacts]) -> dict[Kind, dict[str, str]]:
    """What is stated; what is not is no difference."""
    return {
        "model": {name: speed.recipe for name, speed in speeds.items()},
        "data": {
            name: "random images" if speed.synthetic else "files"
            for name, speed in speeds.items()
            if speed.synthetic is not None
        },
        "size": {name: f"{speed.size[0]}x{speed.size[1]}" for name, speed in speeds.items() if speed.size is not None},
    }


def _find_scalings(rows: Sequence[TrainingSpeedRow]) -> Iterator[Scaling]:
    """Each row against the first one with the fewest devices, of the same recipe and kind of device."""
    for row in rows:
        fewest = min((r for r in rows if _kind(r) == _kind(row)), key=lambda r: r.speed.cards)
        times, left_over = divmod(row.speed.cards, fewest.speed.cards)
        if times > 1 and not left_over:
            differences = tuple(_list_differences(fewest.speed, row.speed))
            yield Scaling(row.name, fewest.name, times, divide(row.rate, fewest.rate), differences)


def _kind(row: TrainingSpeedRow) -> tuple[str, str]:
    return row.speed.recipe, (row.speed.device or "").partition(":")[0]


def _list_differences(one: TrainingFacts, many: TrainingFacts) -> list[str]:
    """What differs between two trainings, as far as both state it, apart from the number of devices."""
    facts: dict[str, tuple[object, object]] = {
        "precision": (one.precision, many.precision),
        "images a device and step": (one.batch_size / one.cards, many.batch_size / many.cards),
        "torch": (one.torch, many.torch),
        "machine": (one.machine, many.machine),
        "data": (one.synthetic, many.synthetic),
        "size": (one.size, many.size),
    }
    facts = {name: pair for name, pair in facts.items() if None not in pair}
    if one.settings and many.settings:
        names = sorted({*one.settings, *many.settings} - _NO_WORK - {"size", "amp"})
        facts |= {name: (one.settings.get(name), many.settings.get(name)) for name in names}
    return [f"{name} {_write(a)} and {_write(b)}" for name, (a, b) in facts.items() if a != b]


def _write(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
