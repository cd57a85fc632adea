"""A record as a column of a speed table: its figures, and the facts that decide what they compare with."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from seatrial.machine.environment import machine_hash
from seatrial.results.speed import Rate, measure_speeds
from seatrial.store.imported import ImportedPoint, LoadTestRecord, LoadTestRun, ReportedRecord
from seatrial.store.measurement import Environment, Measurement, Scope

Unit = Literal["chip", "card"]
Kind = Literal["scope", "chips", "precision", "model", "graph", "preprocess", "machine", "clock"]
"""What makes two columns incomparable, unless the difference is allowed."""

PREFERRED: tuple[Scope, ...] = ("host", "device", "e2e")
"""The scope to take where there are several: with the copies first, as every engine of ours is timed."""
ONE_CHIP = ("ais_bench", "benchmark", "ascend")
"""Tools and engines that drive one chip, of which a card may have several."""
NO_END = ("contradict", "the result is INVALID", "the load that was offered")
"""Words in doubts of imported records that forbid ratios: see `bench.vendor_logs`."""
_MODEL_FILE = re.compile(r"(_bs\d+)?(\.(om|onnx|prototxt|xml))?$")


@dataclass(frozen=True, slots=True)
class SpeedFigure:
    """What was measured at one batch size."""

    rate: Rate
    """Images per second; of one chip."""
    streams: int | None
    """Batches in flight at once."""
    processes: int | None = None
    """That the samples come from; None without samples."""


@dataclass(frozen=True, slots=True)
class SpeedColumn:
    """One engine or device with everything that was measured of it."""

    name: str
    origin: str
    """The engine or tool, and the device."""
    facts: Mapping[Kind, str | None]
    """What the record says of its figures, alike in words where the thing is alike; None is unknown."""
    chips_per_card: int | None
    figures: Mapping[Scope, Mapping[int | None, SpeedFigure]]
    """By batch size, None where it is unknown; the best number of streams where there are several."""
    doubts: tuple[str, ...] = ()

    @property
    def headline(self) -> Mapping[int | None, SpeedFigure]:
        """The figures in the first of the `PREFERRED` scopes; empty without any."""
        return next((self.figures[scope] for scope in PREFERRED if scope in self.figures), {})


def read_measurement(record: Measurement, name: str) -> SpeedColumn:
    """A column of our own measurement."""
    found = (
        (s.scope, s.latency.batch_size, SpeedFigure(s.rate, s.streams, s.processes))
        for s in measure_speeds(record, None)
    )
    facts: dict[Kind, str | None] = {"precision": record.precision, "model": record.recipe, **_list_own_facts(record)}
    chips = None if record.engine in ONE_CHIP else 1
    return SpeedColumn(name, f"{record.engine} on {record.device}", facts, chips, _sort(found), record.doubts)


def read_imported(record: ReportedRecord, name: str) -> SpeedColumn:
    """A column of another tool's figures, of an engine of ours or of another."""
    groups: dict[tuple[Scope, int | None, int | None], list[ImportedPoint]] = {}
    for point in record.points:
        groups.setdefault((point.scope, point.batch_size, point.streams), []).append(point)
    doubt = _doubt_imported(record)
    found = (
        (scope, size, SpeedFigure(Rate(sum(p.images_per_s for p in group) / len(group), doubt=doubt), streams))
        for (scope, size, streams), group in groups.items()
    )
    model = None if record.model is None else name_model(record.model)
    facts: dict[Kind, str | None] = {"precision": record.precision, "model": model}
    if isinstance(record, LoadTestRecord):
        facts |= _list_own_facts(record.own)
    chips = record.chips_per_card or (None if record.tool in ONE_CHIP else 1)
    version = f" {record.tool_version}" if record.tool_version else ""
    origin = f"{record.tool}{version} on {record.device or 'a device that is not stated'}"
    return SpeedColumn(name, origin, facts, chips, _sort(found), record.doubts)


def _doubt_imported(record: ReportedRecord) -> str | None:
    """Why another tool's rates allow no ratio: it says so itself, or its own figures contradict them."""
    if isinstance(record, LoadTestRecord) and record.own.unmet:
        return f"its load test is not valid: {'; '.join(record.own.unmet)}"
    return next((doubt for doubt in record.doubts if any(sign in doubt for sign in NO_END)), None)


def _list_own_facts(record: Measurement | LoadTestRun) -> dict[Kind, str | None]:
    """What is known of an engine of ours, whoever measured it."""
    return {
        "graph": record.graph_sha256,
        "preprocess": record.preprocess_hash,
        "machine": describe_machine(record.environment),
        "clock": describe_clock(record.environment),
    }


def _sort(found: Iterable[tuple[Scope, int | None, SpeedFigure]]) -> dict[Scope, dict[int | None, SpeedFigure]]:
    """By scope and batch size, smallest first and the unknown last; the best figure of each."""
    figures: dict[Scope, dict[int | None, SpeedFigure]] = {}
    for scope, size, figure in sorted(found, key=lambda f: (f[1] is None, f[1] or 0)):
        known = figures.setdefault(scope, {})
        if size not in known or figure.rate.value > known[size].rate.value:
            known[size] = figure
    return figures


def name_model(path: str) -> str:
    """A network's name from the model file that a log names: `/home/om/resnet50_bs16.om` is resnet50."""
    return _MODEL_FILE.sub("", PurePath(path).name, count=1)


def describe_machine(environment: Environment) -> str:
    """The machine in a few words, the last of which is unique to it."""
    memory = round(environment.memory_bytes / 2**30)
    size = f"{environment.cores} cores, {memory} GiB"
    return f"{environment.cpu}, {size}, {environment.system} ({machine_hash(environment)[:8]})"


def describe_clock(environment: Environment) -> str | None:
    """The clock rate that the processor was allowed."""
    return None if environment.clock_mhz is None else f"{environment.clock_mhz:.0f} MHz"
