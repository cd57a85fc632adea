"""Speeds of training beside each other: the guides' result table, and how training scales from one device to many."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from seatrial.errors import NotComparable, UsageError
from seatrial.machine.environment import machine_hash
from seatrial.metrics.rate import find_rate_interval
from seatrial.results.rate import Rate, divide
from seatrial.store.training_speed import TrainingSpeedRecord
from seatrial.strict import suggest

Kind = Literal["model", "data", "size"]
"""What may differ between trainings that must not stand beside each other unasked; all else is a column or a note."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_NO_WORK = frozenset(
    {"epochs", "batch_size", "learning_rate", "warmup_epochs", "print_freq", "seed", "device", "dist_backend"}
    | {"max_train_steps", "max_eval_steps", "checkpoint_every", "workers"}
)
"""Settings that change nothing about what a device does for an image."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One training as a row of the table."""

    name: str
    speed: TrainingSpeedRecord
    rate: Rate
    """Images per second of all devices."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many times as fast several devices are as fewer."""

    of: str
    to: str
    times: int
    """As many devices."""
    gain: Rate
    unlike: tuple[str, ...]
    """What else is not the same, in words; then the gain is not the devices' alone."""

    @property
    def efficiency(self) -> float:
        """Share of linear, 0..1."""
        return self.gain.value / self.times

    @property
    def impossible(self) -> bool:
        """More than linear, beyond what chance could have added."""
        low = self.gain.low if self.gain.low is not None else self.gain.value
        return low > self.times


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Trainings that may stand beside each other, or were allowed to."""

    rows: tuple[TrainingRow, ...]
    scalings: tuple[Scaling, ...]
    notes: tuple[str, ...]


def make_training_table(speeds: Mapping[str, TrainingSpeedRecord], allowed: Collection[str] = ()) -> TrainingTable:
    """Set trainings beside each other, by name.

    Raises:
        NotComparable: they are of several networks, image sizes or kinds of data, and that was not allowed.
        UsageError: there is no such kind of difference.
    """
    for kind in allowed:
        if kind not in KINDS:
            raise UsageError(f"--allow {kind}: there is no such difference of trainings", suggest(kind, list(KINDS)))
    unlike = {kind: told for kind, told in _find_unlike(speeds).items() if len(set(told.values())) > 1}
    refused = [kind for kind in unlike if kind not in allowed]
    if refused:
        raise NotComparable(
            f"these trainings are not alike: {'; '.join(_say(kind, unlike[kind]) for kind in refused)}",
            f"--allow {','.join(sorted({*refused, *allowed}))} sets them beside each other all the same",
        )
    rows = tuple(TrainingRow(name, speed, _rate(speed)) for name, speed in speeds.items())
    notes = [f"not alike, but allowed: {_say(kind, told)}" for kind, told in unlike.items()]
    if any(row.rate.low is not None for row in rows):
        notes.append("intervals hold what one run varied by; another run may lie outside them")
    return TrainingTable(rows, tuple(_find_scalings(rows)), tuple(notes))


def _find_unlike(speeds: Mapping[str, TrainingSpeedRecord]) -> dict[Kind, dict[str, str]]:
    return {
        "model": {name: speed.recipe for name, speed in speeds.items()},
        "data": {name: "random images" if speed.synthetic else "files" for name, speed in speeds.items()},
        "size": {name: f"{speed.size[0]}x{speed.size[1]}" for name, speed in speeds.items()},
    }


def _say(kind: Kind, told: Mapping[str, str]) -> str:
    return f"{kind}: " + ", ".join(f"{value} ({name})" for name, value in told.items())


def _rate(speed: TrainingSpeedRecord) -> Rate:
    interval = find_rate_interval(speed.images, speed.seconds)
    return Rate(speed.images_per_s, *((interval.low, interval.high) if interval else ()))


def _find_scalings(rows: Sequence[TrainingRow]) -> list[Scaling]:
    """Each row against the first of those with the fewest devices of its kind."""
    scalings = []
    for row in rows:
        fewest = min((r for r in rows if _kind(r) == _kind(row)), key=lambda r: r.speed.cards)
        times, left_over = divmod(row.speed.cards, fewest.speed.cards)
        if times > 1 and not left_over:
            unlike = tuple(_find_other_work(fewest.speed, row.speed))
            scalings.append(Scaling(row.name, fewest.name, times, divide(row.rate, fewest.rate), unlike))
    return scalings


def _kind(row: TrainingRow) -> tuple[str, str]:
    return row.speed.recipe, row.speed.device.partition(":")[0]


def _find_other_work(one: TrainingSpeedRecord, many: TrainingSpeedRecord) -> list[str]:
    """What differs between two trainings beside the number of devices."""
    facts = {
        "precision": (one.precision, many.precision),
        "images a device and step": (one.batch_size / one.cards, many.batch_size / many.cards),
        "torch": (one.environment.versions.get("torch"), many.environment.versions.get("torch")),
        "machine": (machine_hash(one.environment)[:8], machine_hash(many.environment)[:8]),
        "data": (one.synthetic, many.synthetic),
        "size": (one.size, many.size),
    }
    facts |= {
        name: (one.settings.get(name), many.settings.get(name))
        for name in sorted({*one.settings, *many.settings} - _NO_WORK - {"size", "amp"})
    }
    return [f"{name} {_write(a)} and {_write(b)}" for name, (a, b) in facts.items() if a != b]


def _write(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
