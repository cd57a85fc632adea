"""Energy an image, by meter, from what was counted while samples were taken."""

from collections.abc import Iterable, Mapping
from typing import get_args

from seatrial.store.measurement import Energy, EnergyScope, Point

METERS: Mapping[EnergyScope, str] = {
    "CPU packages": "all processors of the machine with everything that ran on them",
    "GPU board": "the whole board with everything that ran on it",
    "NPU card": "mean power as npu-smi states it under the same load, times the time",
}
"""What each meter measures."""


def find_joules_per_image(points: Iterable[Point]) -> dict[EnergyScope, float]:
    """Joules an image by each meter that was read, of all processes together."""
    read: dict[EnergyScope, list[Energy]] = {}
    for energy in (energy for point in points for energy in point.energy):
        read.setdefault(energy.scope, []).append(energy)
    return {
        scope: sum(energy.joules for energy in read[scope]) / sum(energy.images for energy in read[scope])
        for scope in get_args(EnergyScope)
        if scope in read
    }
