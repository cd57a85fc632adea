"""A record as a column of a speed table: its figures, and the facts that decide what they compare with."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Literal

from seatrial.machine.environment import machine_hash
from seatrial.results.speed import Rate, Speed, find_memory, measure_speeds
from seatrial.store.imported import ImportedPoint, LoadTestRecord, LoadTestRun, ReportedLatency, ReportedRecord
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
    times_ms: Mapping[str, float] = field(default_factory=dict)
    """Of a batch, by name in `TIMES`; of another tool's those that it states."""
    samples: int | None = None
    """Behind these; None is unknown."""
    memory_bytes: int | None = None
    """The most that a process took: on the accelerator where its driver reports that, else of the machine."""
    load_s: float | None = None
    """The longest time to open the engine's file in a process."""
    others: tuple["SpeedFigure", ...] = ()
    """Slower ones, of other numbers of streams at the same batch size."""

    @property
    def by_streams(self) -> dict[int | None, "SpeedFigure"]:
        """All figures at the batch size, this one included, by their numbers of streams."""
        return {figure.streams: figure for figure in (self, *self.others)}


TIMES: Mapping[str, str] = {"mean_ms": "mean", "p50_ms": "median", "p90_ms": "90", "p95_ms": "95", "p99_ms": "99"}
"""Times of a batch, with what their figure is called in a tool's own record; a number is a percentage."""


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
    found = ((s.scope, s.latency.batch_size, _read_speed(record, s)) for s in measure_speeds(record, None))
    facts: dict[Kind, str | None] = {"precision": record.precision, "model": record.recipe, **_list_own_facts(record)}
    chips = None if record.engine in ONE_CHIP else 1
    return SpeedColumn(name, f"{record.engine} on {record.device}", facts, chips, sort_figures(found), record.doubts)


def _read_speed(record: Measurement, speed: Speed) -> SpeedFigure:
    latency = speed.latency
    times = (latency.mean_ms, latency.median_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms)
    points = record.by_setting(speed.scope)[(speed.scope, speed.streams, latency.batch_size)]
    return SpeedFigure(
        speed.rate,
        speed.streams,
        speed.processes,
        times_ms=dict(zip(TIMES, times, strict=True)),
        samples=latency.samples,
        memory_bytes=find_memory(points),
        load_s=max(point.load_s for point in points),
    )


def read_imported(record: ReportedRecord, name: str) -> SpeedColumn:
    """A column of another tool's figures, of an engine of ours or of another."""
    groups: dict[tuple[Scope, int | None, int | None], list[ImportedPoint]] = {}
    for point in record.points:
        groups.setdefault((point.scope, point.batch_size, point.streams), []).append(point)
    doubt = _doubt_imported(record)
    found = (
        (
            scope,
            size,
            SpeedFigure(
                Rate(sum(p.images_per_s for p in group) / len(group), doubt=doubt),
                streams,
                times_ms=_read_times(group[0].latency) if len(group) == 1 else {},
                samples=group[0].latency.count if len(group) == 1 and group[0].latency is not None else None,
            ),
        )
        for (scope, size, streams), group in groups.items()
    )
    model = None if record.model is None else name_model(record.model)
    facts: dict[Kind, str | None] = {"precision": record.precision, "model": model}
    if isinstance(record, LoadTestRecord):
        facts |= _list_own_facts(record.own)
    chips = record.chips_per_card or (None if record.tool in ONE_CHIP else 1)
    version = f" {record.tool_version}" if record.tool_version else ""
    origin = f"{record.tool}{version} on {record.device or 'a device that is not stated'}"
    return SpeedColumn(name, origin, facts, chips, sort_figures(found), record.doubts)


def _read_times(latency: ReportedLatency | None) -> dict[str, float]:
    """What a tool states of one run; of several runs nobody knows the percentiles of all together."""
    if latency is None:
        return {}
    stated = {"mean": latency.mean_ms, "median": latency.median_ms, **latency.percentiles_ms}
    return {name: ms for name, called in TIMES.items() if (ms := stated.get(called)) is not None}


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


def sort_figures(found: Iterable[tuple[Scope, int | None, SpeedFigure]]) -> dict[Scope, dict[int | None, SpeedFigure]]:
    """By scope and batch size, smallest first and the unknown last; the best figure of each."""
    groups: dict[Scope, dict[int | None, list[SpeedFigure]]] = {}
    for scope, size, figure in sorted(found, key=lambda f: (f[1] is None, f[1] or 0)):
        groups.setdefault(scope, {}).setdefault(size, []).append(figure)
    return {scope: {size: put_best_first(group) for size, group in sizes.items()} for scope, sizes in groups.items()}


def put_best_first(figures: Iterable[SpeedFigure]) -> SpeedFigure:
    """The fastest of figures at one batch size, with the others beside it."""
    best, *others = sorted(figures, key=lambda figure: -figure.rate.value)
    return replace(best, others=tuple(others))


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
