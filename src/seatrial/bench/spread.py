"""Reasons to doubt a measurement, in words; the figures themselves are in `metrics.latency`."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from seatrial.bench.output_checks import PAIRS_TO_JUDGE, PROVES
from seatrial.machine.conditions import Conditions
from seatrial.machine.device_use import IDLE
from seatrial.metrics.latency import Latency, count_samples
from seatrial.store.measurement import DeviceUse, Environment, Point, Setting

NOISE = 0.05
"""Variation, drift or disagreement above this share is a doubt: what others measure is often no larger."""
P99_SAMPLES = count_samples(99)
CLOCK_STEPS = 1000
"""A sample of fewer steps of the clock is wrong by more than a thousandth."""
BUSY = 0.2
"""A machine that is busier than this before the start is not quiet."""
SWAPPED = 0.01
"""Swap in use above this share of the memory means that memory is short."""


def find_doubts(points: Sequence[Point], environment: Environment, conditions: Conditions) -> tuple[str, ...]:
    """Reasons to doubt these points: a sentence for each, naming its batch size.

    Points of the same setting are repeats of one another, each from its own process.
    """
    repeats: dict[Setting, list[Point]] = {}
    for point in points:
        repeats.setdefault(point.setting, []).append(point)
    doubts = [*_doubt_machine(environment, conditions), *_doubt_pairs(points)]
    for (scope, streams, batch_size), group in repeats.items():
        label = f"batch {batch_size}" + (f" on {streams} streams" if streams > 1 else "")
        label += "" if scope == "host" else f", scope {scope}"
        doubts += [f"{label}: {reason}" for check in CHECKS for reason in check(group)]
    return tuple(doubts)


def _doubt_machine(environment: Environment, conditions: Conditions) -> Iterator[str]:
    if conditions.busy > BUSY:
        yield (
            f"something else used {conditions.busy:.0%} of the processors just before the start: "
            "it may have slowed these runs down; stop it and measure again"
        )
    if conditions.swap_bytes > SWAPPED * environment.memory_bytes:
        yield (
            f"{conditions.swap_bytes / 2**20:,.0f} MiB of memory was in swap at the start: "
            "memory is short, and fetching it back slows runs down"
        )
    if conditions.on_battery:
        yield "the machine ran on its battery, which slows many down; plug it in"


def _doubt_pairs(points: Sequence[Point]) -> Iterator[str]:
    checked = [point for point in points if point.outputs_checked is not None]
    pairs = sum(len(point.fresh_ms) for point in checked)
    if checked and pairs < PAIRS_TO_JUDGE:
        yield (
            f"{pairs} pairs of a new and a repeated batch are too few to show whether the engine caches outputs, "
            f"which takes {PAIRS_TO_JUDGE}"
        )


def _doubt_warmup(group: Sequence[Point]) -> Iterator[str]:
    if not all(point.steady for point in group):
        yield (
            "times had not settled when the warm-up's time limit was reached; "
            "a longer `seatrial run --bench-duration` or `seatrial bench --duration` allows a longer one"
        )


def _doubt_variation(group: Sequence[Point]) -> Iterator[str]:
    variation = max(Latency.of(point.durations_ms, point.batch_size).variation for point in group)
    if variation > NOISE:
        yield f"samples scatter by {variation:.0%} of their mean (standard deviation; over {NOISE:.0%} is noisy)"


def _doubt_drift(group: Sequence[Point]) -> Iterator[str]:
    drift = max((_drift(point.durations_ms) for point in group), key=abs)
    if abs(drift) > NOISE:
        yield (
            f"the last third of the run was {abs(drift):.0%} {'slower' if drift > 0 else 'faster'} than the first: "
            "the machine changed its speed (heat, clock rate, other work)"
        )


def _drift(durations_ms: Sequence[float]) -> float:
    third = len(durations_ms) // 3
    if third == 0:
        return 0.0
    first, last = statistics.median(durations_ms[:third]), statistics.median(durations_ms[-third:])
    return last / first - 1


def _doubt_repeats(group: Sequence[Point]) -> Iterator[str]:
    medians = [statistics.median(point.durations_ms) for point in group]
    spread = max(medians) / min(medians) - 1
    if spread > NOISE:
        yield (
            f"its {len(group)} processes disagree by {spread:.0%} "
            f"(fastest median {min(medians):.3g} ms, slowest {max(medians):.3g} ms): a single one of them proves little"
        )


def _doubt_count(group: Sequence[Point]) -> Iterator[str]:
    count = sum(len(point.durations_ms) for point in group)
    if count < P99_SAMPLES:
        yield f"{count} samples are too few to state a 99th percentile, which takes {P99_SAMPLES}"


def _doubt_clock(group: Sequence[Point]) -> Iterator[str]:
    shortest_ms = min(statistics.median(point.durations_ms) for point in group)
    step_ms = 1000 * time.get_clock_info("perf_counter").resolution
    if shortest_ms < CLOCK_STEPS * step_ms:
        yield f"a run takes {shortest_ms:.3g} ms, too short for a clock that counts in steps of {step_ms:.3g} ms"


def _doubt_processes(group: Sequence[Point]) -> Iterator[str]:
    if len(group) == 1:
        yield (
            "measured in one process, so the interval leaves out how much processes differ; "
            "`seatrial bench --processes 5` measures in five"
        )


def _doubt_others(group: Sequence[Point]) -> Iterator[str]:
    busy = max(point.others_busy or 0.0 for point in group)
    if busy > BUSY:
        yield f"other processes used {busy:.0%} of the processors while it was measured"


def doubt_device(uses: Iterable[DeviceUse | None]) -> Iterator[str]:
    """Why an accelerator was not the measurement's alone, from what it did before and after."""
    known = [use for use in uses if use is not None]
    busy = max((use.busy or 0.0 for use in known), default=0.0)
    if busy > IDLE:
        yield (
            f"something else kept the device {busy:.0%} busy just before or after it was measured; "
            "stop it and measure again"
        )
    others = {process.pid: process for use in known for process in use.others if process.memory_bytes != 0}
    if others:
        used = sum(process.memory_bytes or 0 for process in others.values()) / 2**20
        names = ", ".join(sorted({process.name or "unnamed" for process in others.values()}))
        amount = f"{used:.0f} MiB of the device's memory" if used else "memory of the device"
        yield f"other processes had {amount} and may have computed on it meanwhile; end them and measure again: {names}"


def _doubt_device(group: Sequence[Point]) -> Iterator[str]:
    yield from doubt_device(use for point in group for use in (point.device_before, point.device_after))


def _doubt_pace(group: Sequence[Point]) -> Iterator[str]:
    clocks = [point.pace for point in group if point.pace is not None]
    slowest = min((clock.after_mhz / clock.before_mhz for clock in clocks if clock.before_mhz), default=1.0)
    if any(clock.throttled for clock in clocks):
        yield "the driver reports that heat or power limited the clock"
    elif slowest < 1 - NOISE:
        yield f"the clock fell by {1 - slowest:.0%} while it was measured (heat, power, or how the system sets it)"


def _doubt_outputs(group: Sequence[Point]) -> Iterator[str]:
    checked = [point for point in group if point.outputs_checked is not None]
    if checked and not sum(point.outputs_checked or 0 for point in checked):
        yield "none of its timed outputs was checked: there were too few samples"
    elif any((point.outputs_tolerance or 0) > PROVES * (point.outputs_spread or 0) for point in checked):
        yield "outputs for different images hardly differ, so comparing timed with untimed outputs proves little"


CHECKS: tuple[Callable[[Sequence[Point]], Iterator[str]], ...] = (
    _doubt_warmup,
    _doubt_variation,
    _doubt_drift,
    _doubt_repeats,
    _doubt_processes,
    _doubt_count,
    _doubt_clock,
    _doubt_others,
    _doubt_device,
    _doubt_pace,
    _doubt_outputs,
)
"""Checks of the points of one setting."""
