"""Reasons to doubt a measurement, in words; the figures themselves are in `metrics.latency`."""

import statistics
import time
from collections.abc import Iterator, Sequence

from seatrial.bench.environment import Conditions
from seatrial.metrics.latency import Latency
from seatrial.store.records import Environment, Point

NOISE = 0.05
"""Variation, drift or disagreement above this share is worth a word: what others measure is often no larger."""
P99_SAMPLES = 459
"""Fewest samples, all below a bound, that put the 99th percentile below it with 99 % confidence (MLPerf's rule)."""
CLOCK_STEPS = 1000
"""A sample of fewer steps of the clock is wrong by more than a thousandth."""
BUSY = 0.2
"""A machine that is busier than this before the start is not quiet."""
SWAPPED = 0.01
"""Swap in use above this share of the memory means that memory is short."""


def find_doubts(points: Sequence[Point], environment: Environment, conditions: Conditions) -> tuple[str, ...]:
    """Why these points may not tell the truth: a sentence for each reason, naming its batch size.

    Points of the same batch size and streams are repeats of one another, each from its own process.
    """
    repeats: dict[tuple[int, int], list[Point]] = {}
    for point in points:
        repeats.setdefault((point.batch_size, point.streams), []).append(point)
    found = list(_doubt_machine(environment, conditions))
    for (batch_size, streams), group in repeats.items():
        label = f"batch {batch_size}" + (f" on {streams} streams" if streams > 1 else "")
        for check in (_doubt_warmup, _doubt_variation, _doubt_drift, _doubt_repeats, _doubt_count, _doubt_clock):
            reason = check(group)
            if reason is not None:
                found.append(f"{label}: {reason}")
    return tuple(found)


def _doubt_machine(environment: Environment, conditions: Conditions) -> Iterator[str]:
    if conditions.busy > BUSY:
        yield (
            f"something else used {conditions.busy:.0%} of the processors just before the start: "
            "it may have slowed these runs down; stop it and measure again"
        )
    if conditions.swap_bytes > SWAPPED * environment.memory_bytes:
        yield (
            f"{conditions.swap_bytes / 2**20:,.0f} MiB of memory lay in swap at the start: "
            "memory is short, and fetching it back slows runs down"
        )


def _doubt_warmup(group: Sequence[Point]) -> str | None:
    if all(point.steady for point in group):
        return None
    return "times had not settled when the warm-up's time limit was reached; allow a longer warm-up"


def _doubt_variation(group: Sequence[Point]) -> str | None:
    variation = max(Latency.of(point.durations_ms, point.batch_size).variation for point in group)
    if variation <= NOISE:
        return None
    return f"samples scatter by {variation:.0%} of their mean (standard deviation; over {NOISE:.0%} is noisy)"


def _doubt_drift(group: Sequence[Point]) -> str | None:
    drift = max((_drift(point.durations_ms) for point in group), key=abs)
    if abs(drift) <= NOISE:
        return None
    return (
        f"the last third of the run was {abs(drift):.0%} {'slower' if drift > 0 else 'faster'} than the first: "
        "the machine changed its pace (heat, clock rate, other work)"
    )


def _drift(durations_ms: Sequence[float]) -> float:
    third = len(durations_ms) // 3
    if third == 0:
        return 0.0
    first, last = statistics.median(durations_ms[:third]), statistics.median(durations_ms[-third:])
    return last / first - 1


def _doubt_repeats(group: Sequence[Point]) -> str | None:
    medians = [statistics.median(point.durations_ms) for point in group]
    spread = max(medians) / min(medians) - 1
    if spread <= NOISE:
        return None
    return (
        f"its {len(group)} processes disagree by {spread:.0%} "
        f"(medians from {min(medians):.3g} to {max(medians):.3g} ms): a single one of them proves little"
    )


def _doubt_count(group: Sequence[Point]) -> str | None:
    count = sum(len(point.durations_ms) for point in group)
    if count >= P99_SAMPLES:
        return None
    return f"{count} samples are too few to state a 99th percentile, which takes {P99_SAMPLES}"


def _doubt_clock(group: Sequence[Point]) -> str | None:
    shortest_ms = min(statistics.median(point.durations_ms) for point in group)
    step_ms = 1000 * time.get_clock_info("perf_counter").resolution
    if shortest_ms >= CLOCK_STEPS * step_ms:
        return None
    return f"a run takes {shortest_ms:.3g} ms, too short for a clock that counts in steps of {step_ms:.3g} ms"
