"""The records of speed: `bench/NAME.json` with every sample, a whole evaluation's, and the machine they are of."""

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from seatrial.store.record import Record
from seatrial.strict import Strict

Scope = Literal["device", "host", "e2e"]
"""The scope of a time. *device*: computing alone, on the device's own clock. *host*: array in to logits out, copies
included. *e2e*: JPEG files to top-k: reading, decoding, preprocessing, running and ranking."""
Setting = tuple[Scope, int, int]
"""Scope, streams and batch size."""


class Accelerator(Strict):
    """One GPU or NPU, as its driver reports it."""

    name: str
    driver: str | None = None
    memory_bytes: int | None = None
    clock_mhz: float | None = None
    """The highest that it can run at."""
    power_limit_w: float | None = None


class Environment(Strict):
    """The machine and the software of a record, as facts."""

    cpu: str
    cpu_flags: tuple[str, ...]
    """Only those that decide what a classifier can run on: see `machine.cpu`."""
    cores: int
    """Usable by this process: affinity and cgroup limit are taken into account."""
    memory_bytes: int
    system: str
    python: str
    versions: dict[str, str]
    """Installed distributions that matter to a result."""
    memory_limit_bytes: int | None = None
    """Of the cgroup; None is no limit, or unknown."""
    governor: str | None = None
    """How the system chooses the CPU's clock; None where it is unknown, as on most virtual machines."""
    clock_mhz: float | None = None
    """The highest that the CPU can run at, where known."""
    accelerators: tuple[Accelerator, ...] = ()


class ClockRates(Strict):
    """How fast the hardware's clock ran before and after the samples of a point."""

    before_mhz: float
    after_mhz: float
    throttled: bool = False
    """The driver reports that heat or power limited it."""


class DeviceProcess(Strict):
    """A process that has memory on an accelerator."""

    pid: int
    name: str = ""
    """Empty where the driver does not report it."""
    memory_bytes: int | None = None


class DeviceUse(Strict):
    """What an accelerator did at a moment at which nothing of the measurement ran on it."""

    busy: float | None = None
    """Share 0..1 of the time that it computed, as its driver counts: a GPU's utilisation, an NPU's AICore."""
    memory_bytes: int | None = None
    """In use by all processes together."""
    others: tuple[DeviceProcess, ...] = ()
    """Processes that are neither this one nor its parents or children."""
    hidden: int = 0
    """Processes whose numbers mean nothing here, as in a container: they may be the measurement's own."""


EnergyScope = Literal["CPU packages", "GPU board", "NPU card"]
"""What a meter measures, always with everything that runs on it: all processors of the machine, a whole board, or a
card as npu-smi states it."""


class Energy(Strict):
    """What a meter counted while the samples of a point were taken."""

    scope: EnergyScope
    joules: PositiveFloat
    seconds: PositiveFloat
    images: PositiveInt
    """Images that were run in that time."""
    counted: bool = True
    """False: the mean of some readings of power, times the seconds."""


class SettingFields(Strict):
    """A setting, as fields."""

    batch_size: int
    streams: int
    scope: Scope

    @property
    def setting(self) -> Setting:
        """What its repeats in other processes have in common with it."""
        return self.scope, self.streams, self.batch_size


class Point(SettingFields):
    """One batch size in one fresh process, with every sample."""

    scope: Scope = "host"
    load_s: float
    first_inference_ms: float
    warmup: int
    """Runs before the first sample."""
    warmup_ms: tuple[float, ...] = ()
    """All of these but the first, whose time is `first_inference_ms`; older records have only their number."""
    steady: bool = True
    """Whether warm-up ended because times had settled, not because its time was up."""
    precision: PositiveFloat | None = None
    """Half the rate's interval, as a share of the rate, at which timing was to end; None: it had a fixed time."""
    stopped: Literal["precision", "duration"] = "duration"
    """What ended the timing: that the interval was as narrow, or that the time and samples requested were there."""
    starts_s: tuple[float, ...]
    """Start of each sample after the first one's start."""
    durations_ms: tuple[PositiveFloat, ...]
    copy_in_ms: tuple[float, ...] = ()
    """Of each sample of scope device, beside its duration."""
    copy_out_ms: tuple[float, ...] = ()
    peak_rss_bytes: int
    device_memory_bytes: int | None = None
    """Used by this process on the accelerator, where the driver reports it."""
    outputs_checked: int | None = None
    """Timed runs whose logits were compared with those of an untimed run; None: none were."""
    outputs_error: float | None = None
    """The largest difference among them, in shares of the size of an image's logits: see `bench.output_checks`."""
    outputs_tolerance: float | None = None
    """The largest error allowed, from how much the engine differs from itself when nothing is timed."""
    outputs_spread: float | None = None
    """What sets one image's logits apart from another's: a tolerance near it proves nothing."""
    fresh_ms: tuple[float, ...] = ()
    """Runs of batches that were never seen before, each beside one of `repeated_ms`."""
    repeated_ms: tuple[float, ...] = ()
    """Runs of one and the same batch: an engine that caches outputs is faster at these."""
    others_busy: float | None = None
    """Share 0..1 of all processor time that other processes used while samples were taken."""
    pace: ClockRates | None = None
    device_before: DeviceUse | None = None
    """Of the accelerator, before the engine was loaded onto it; None on a CPU, and in older records."""
    device_after: DeviceUse | None = None
    """After it was unloaded."""
    energy: tuple[Energy, ...] = ()
    """Of each meter that could be read; none where the machine has none, or forbids it."""


class Unmeasured(SettingFields):
    """A point of the spec that has no samples."""

    reason: str


class EngineRecord(Record):
    """What every result of an engine says of it."""

    key: str
    name: str
    engine: str
    device: str
    precision: str
    executed: dict[str, int]
    recipe: str
    graph_sha256: str
    engine_identity: str = ""
    """`EngineManifest.identity` of the engine; empty in old records."""
    preprocess_hash: str
    images_hash: str | None = None
    """Of the labelled set's ids, labels, sizes and times of change (`data.labels.hash_listing`); of a speed where its
    inputs were prepared from a run's set."""


class Measurement(EngineRecord):
    """How fast one engine was: `bench/NAME.json`."""

    schema_: Literal["seatrial/measurement/2"] = Field(default="seatrial/measurement/2", alias="schema")
    sdk_version: str | None = None
    inputs: str
    """The inputs: a folder of images, or random bytes."""
    compile_s: float | None = None
    """That compiling the engine's files took, where it was noted."""
    points: tuple[Point, ...]
    unmeasured: tuple[Unmeasured, ...] = ()
    doubts: tuple[str, ...]
    environment: Environment
    contradicted: str | None = None
    """Why these rates are too low by another record of the run: see `metrics.trust`."""

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 knew the scope host only, and fewer facts; all that it lacks has a default."""
        if data.get("schema") != "seatrial/measurement/1":
            return data
        return {**data, "schema": "seatrial/measurement/2"}

    def by_setting(self, scope: Scope | None = None) -> dict[Setting, tuple[Point, ...]]:
        """Points that repeat one another, by scope, streams and batch size, smallest first; of one scope or of all."""
        groups: dict[Setting, list[Point]] = {}
        for point in self.points:
            if point.durations_ms and scope in (None, point.scope):
                groups.setdefault(point.setting, []).append(point)
        return {setting: tuple(groups[setting]) for setting in sorted(groups)}


_RENAMED = {
    "workers": "decode_workers",
    "callers": "streams",
    "first_answer_s": "first_prediction_s",
    "sittings": "attempts",
}


class Throughput(Record):
    """How fast a whole set was evaluated, from files to stored predictions: `evaluation/NAME.throughput.json`."""

    schema_: Literal["seatrial/throughput/2"] = Field(default="seatrial/throughput/2", alias="schema")
    key: str
    """Of the accuracy record that it belongs to."""
    name: str
    images: int
    wall_s: float
    """From the first file read to the last prediction, without loading the engine but on a cluster; of all attempts."""
    images_per_s: float
    batch_size: int
    decode_workers: int
    """Threads, or processes if many."""
    streams: int
    """Batches inside the engine at a time."""
    sessions: int = 1
    """Engine sessions at a time, each with so many decode workers and streams: one for each actor of a cluster."""
    decode_s: float
    """Decoding time of all decode workers together."""
    run_s: float
    """Time inside the engine of all streams together."""
    first_prediction_s: float
    """From opening the engine file to the first batch's predictions, in the last attempt."""
    attempts: int
    """1 if it was never interrupted."""
    peak_rss_bytes: int

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Version 1 called some of its fields otherwise."""
        if data.get("schema") != "seatrial/throughput/1":
            return data
        return {_RENAMED.get(key, key): value for key, value in data.items()} | {"schema": "seatrial/throughput/2"}
