"""How far a sweep is, read from its folder of points while another process measures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.bench.saved_points import PLAN, PlannedPoint, SweepPlan
from seatrial.foreign.files import TEXT_BYTES, read_bytes
from seatrial.metrics.latency import Latency
from seatrial.store.json_text import read_model
from seatrial.store.measurement import Point


@dataclass(frozen=True, slots=True)
class FollowedPoint:
    """A point that is planned, with its rate where it was measured."""

    plan: PlannedPoint
    images_per_s: float | None = None


class SweepFollower:
    """Reads the points that were stored since it was looked at before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, float] = {}

    def read(self) -> Sequence[FollowedPoint] | None:
        """All planned points, in the order in which they are measured; None where the sweep is over or has no plan."""
        try:
            plan = read_model(SweepPlan, read_bytes(self._folder / PLAN, TEXT_BYTES))
        except (OSError, ValueError):
            return None
        return [FollowedPoint(point, self._read_rate(point.file)) for point in plan.points]

    def _read_rate(self, name: str) -> float | None:
        if name not in self._known:
            try:
                point = read_model(Point, read_bytes(self._folder / Path(name).name, TEXT_BYTES))
            except (OSError, ValueError):
                return None
            self._known[name] = Latency.of(point.durations_ms, point.batch_size, point.streams).images_per_s
        return self._known[name]
