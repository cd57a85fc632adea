"""Many runs side by side: one row for each engine of each run, and which of them no other certainly beats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from seatrial.metrics.pareto import NONE, find_beaten, find_ties
from seatrial.store.records import Outcome
from seatrial.store.summary import EngineSummary, RunSummary, SpeedSummary


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a row since an older board."""

    kind: str
    """worse, better, "not certain" (within the noise), same, new or "not comparable"."""
    reason: str = ""
    """The figures with their noise, in words."""


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One engine of one run; of a folder that cannot be read only why."""

    run: str
    """Path of the run's folder, seen from the board's."""
    model: str = ""
    title: str = ""
    engine: EngineSummary = field(default_factory=lambda: EngineSummary(name=""))
    reference: str = ""
    run_outcome: Outcome | None = None
    stale: int = 0
    reason: str = ""
    """Why there are no figures."""
    front: str = ""
    """Where it stands among those of the same images and machine: see `mark_front`."""
    change: Change | None = None
    """Since the older board, if there is one."""

    @property
    def best(self) -> SpeedSummary | None:
        """The most images per second, from array to logits; None where that was not measured."""
        host = [figure for figure in self.engine.figures if figure.scope == "host"]
        return max(host, key=lambda figure: figure.images_per_s, default=None)

    @property
    def group(self) -> tuple[str, str] | None:
        """What rows that may be ranked have in common: machine, images and labels; None where it cannot be ranked.

        Without labels agreement is what is ranked, and it is agreement with one reference.
        """
        engine = self.engine
        if self.unranked:
            return None
        if engine.top1_low is None:
            return engine.machine_hash, f"{self.run} without labels"
        return engine.machine_hash, f"{engine.images_hash} {engine.labels_hash or ''}"

    @property
    def unranked(self) -> str:
        """Why it cannot be ranked; empty where it can."""
        best, engine = self.best, self.engine
        if best is None:
            return "its speed was not measured"
        if best.doubt or best.low is None:
            return best.doubt or "its speed has no interval"
        if not engine.images:
            return "no images were evaluated"
        if not engine.images_hash:
            return "its record does not identify the images"
        known = engine.top1_low is not None or engine.agreement_low is not None or engine.name == self.reference
        return "" if known else "it has neither labels nor a reference"

    @property
    def quality(self) -> tuple[float, float]:
        """The bounds of what is ranked beside speed: top-1, or agreement with the reference."""
        engine = self.engine
        if engine.top1_low is not None and engine.top1_high is not None:
            return engine.top1_low, engine.top1_high
        if engine.agreement_low is not None and engine.agreement_high is not None:
            return engine.agreement_low, engine.agreement_high
        return 1.0, 1.0  # The reference agrees with itself.

    @property
    def speed(self) -> tuple[float, float]:
        """The bounds of the best rate; of what is ranked."""
        best = self.best
        assert best is not None and best.low is not None and best.high is not None
        return best.low, best.high


def list_rows(path: str, summary: RunSummary) -> list[BoardRow]:
    """The rows of a run."""
    return [
        BoardRow(
            run=path,
            model=summary.origin or summary.recipe,
            title=summary.title,
            engine=engine,
            reference=summary.reference,
            run_outcome=summary.outcome,
            stale=summary.stale,
        )
        for engine in summary.engines
    ]


def mark_front(rows: Iterable[BoardRow]) -> list[BoardRow]:
    """The rows, each with its place on the Pareto front of accuracy and speed, in their order.

    Only rows of the same machine, images and labels are ranked. A row is off the front only if another is certainly
    better: its 95 % interval of images/s lies above, and its interval of top-1 does, or both give every image the same
    first class. Rows on the front whose intervals overlap in both are tied.
    """
    marked = list(rows)
    ranked = [(row.group, place) for place, row in enumerate(marked) if row.group is not None]
    for _, members in groupby(sorted(ranked, key=lambda pair: (str(pair[0]), pair[1])), key=lambda pair: pair[0]):
        places = [place for _, place in members]
        for place, front in zip(places, _rank([marked[place] for place in places]), strict=True):
            marked[place] = replace(marked[place], front=front)
    return marked


def _rank(rows: Sequence[BoardRow]) -> list[str]:
    """The place of each row of one group, in words."""
    speed, quality = np.array([row.speed for row in rows]), np.array([row.quality for row in rows])
    beaten = find_beaten(speed, quality, [row.engine.first_classes for row in rows])
    front = np.flatnonzero(beaten == NONE)
    places = []
    for place, row in enumerate(rows):
        if beaten[place] != NONE:
            places.append(f"beaten by {_name(rows[beaten[place]], row)}")
            continue
        tied = find_ties(speed, quality, place, front)
        more = f" and {len(tied) - 1} more" if len(tied) > 1 else ""
        places.append(f"front, tied with {_name(rows[tied[0]], row)}{more}" if len(tied) else "front")
    return places


def _name(row: BoardRow, beside: BoardRow) -> str:
    """A row's engine, with its run where that is another."""
    return row.engine.name if row.run == beside.run else f"{row.engine.name} of {row.run}"
