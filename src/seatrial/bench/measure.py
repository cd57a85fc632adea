"""Times a callable without knowing what it does: warm-up until steady, then every sample is kept."""

import itertools
import math
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from seatrial.metrics.latency import count_samples
from seatrial.metrics.rate import find_half_width
from seatrial.strict import Strict

PRECISE_SAMPLES = count_samples(99)
"""With fewer no width ends the timing: what happens once in a hundred runs is in hardly any of them."""
PRECISE_S = 1.0
"""Nor before so many seconds, as what else a machine does comes and goes."""
LOOK_AFTER = 1.25
"""The width is looked at again when there are so many times as many samples: each look is a chance to end too soon."""
Stop = Literal["precision", "duration"]
"""What ended the timing: the width of the interval, or that the time and the samples requested were there."""
Clock = Callable[[], float]
"""Seconds from any fixed moment."""
Output = TypeVar("Output")


class Span(Protocol):
    """Whatever is to know when the timed part begins and ends, such as a meter; what it does is in no sample."""

    def start(self) -> None:
        """Called between the last run of warm-up and the first sample."""

    def stop(self, runs: int) -> None:
        """Called after the last sample, with the number of runs since the start."""


class Limits(Strict):
    """When warm-up is over, and when there are enough samples."""

    warmup_runs: Annotated[int, Field(ge=2)] = 6
    """Least number of warm-up runs of each stream."""
    warmup_s: NonNegativeFloat = 0.3
    """Least time of warm-up."""
    steady_within: PositiveFloat = 0.03
    """Warm-up is over when the medians of its last two windows, half of `warmup_runs` each, differ by no more."""
    warmup_budget_s: NonNegativeFloat = 10.0
    """Warm-up is over after this long, steady or not."""
    duration_s: NonNegativeFloat = 5.0
    """Time of timing: the least, and with `precision` also the most, unless samples are lacking."""
    min_samples: PositiveInt = 50
    """Least number of samples; 459 carry a 99th percentile, see `bench.spread`."""
    precision: PositiveFloat | None = None
    """Timing ends once half the rate's interval (`metrics.rate.find_half_width`) is within this share of the rate, over
    `PRECISE_SAMPLES` and `PRECISE_S` at least; None takes the whole `duration_s`."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Every timed run, in the order of their starts."""

    starts_s: tuple[float, ...]
    """After the first one's start."""
    durations_ms: tuple[float, ...]
    warmup_ms: tuple[float, ...]
    """Every run before the first sample, in the order of their ends."""
    steady: bool
    """Whether warm-up ended because times had settled, not because its budget was spent."""
    stopped: Stop = "duration"


def measure(
    run: Callable[[int], Output],
    limits: Limits,
    streams: int = 1,
    clock: Clock = time.perf_counter,
    on_sample: Callable[[int, float, Output], None] | None = None,
    span: Span | None = None,
) -> Samples:
    """Call `run` again and again from `streams` threads at once; blocks until the limits are met.

    Args:
        run: takes the number of the run, from 0 on over warm-up and samples, so that the caller rotates inputs.
        on_sample: gets each sample's number, start (by `clock`) and output after its end is noted, so its own time is
            in no sample of its stream. It is called from all threads.
        span: is called when the timed part begins and ends.

    Raises:
        Exception: whatever `run` raised first; the other streams stop after the run they are in.
    """
    recorder = Recorder(limits, streams, clock(), span)

    def repeat() -> None:
        try:
            while (begun := recorder.begin()) is not None:
                index, sampled = begun
                start = clock()
                output = run(index)
                recorder.end(sampled, start, clock())
                if sampled and on_sample is not None:
                    on_sample(index, start, output)
        finally:
            recorder.stop()

    _run_streams(repeat, streams)
    return recorder.samples()


def keep_running(run: Callable[[int], object], streams: int, is_done: Callable[[], bool]) -> None:
    """Call `run` again and again from so many threads, untimed, until `is_done`; at least once from each."""
    numbers = itertools.count()

    def repeat() -> None:
        run(next(numbers))
        while not is_done():
            run(next(numbers))

    _run_streams(repeat, streams)


def _run_streams(repeat: Callable[[], None], streams: int) -> None:
    if streams == 1:
        repeat()
        return
    with ThreadPoolExecutor(streams) as pool:
        for stream in [pool.submit(repeat) for _ in range(streams)]:
            stream.result()


class Recorder:
    """Decides whether a run is warm-up or a sample, and when to stop; safe to share between threads.

    A sample is a run that began after warm-up and before there were enough. The other streams go on until the last
    of them has ended, so that each of them shared the machine alike.
    """

    def __init__(self, limits: Limits, streams: int, now: float, span: Span | None = None) -> None:
        self._limits, self._span = limits, span
        self._span_runs = 0
        self._least_warmup = limits.warmup_runs * streams
        self._began = now
        self._lock = threading.Lock()
        self._runs = 0
        self._warmup_s: list[float] = []
        self._steady = False
        self._timed_from: float | None = None
        self._samples: list[tuple[float, float]] = []
        self._in_flight = 0
        self._enough = False
        self._stopped = False
        self._look_at = PRECISE_SAMPLES
        """Samples at which the width is looked at next."""
        self._cause: Stop = "duration"

    def begin(self) -> tuple[int, bool] | None:
        """The number of the next run and whether it is a sample; None when it is time to stop."""
        with self._lock:
            if self._stopped:
                return None
            sampled = self._timed_from is not None and not self._enough
            self._in_flight += sampled
            self._runs += 1
            return self._runs - 1, sampled

    def end(self, sampled: bool, start: float, now: float) -> None:
        """Note a run that took from `start` to `now`."""
        with self._lock:
            if sampled:
                self._in_flight -= 1
                self._samples.append((start, now - start))
                self._enough = self._enough or self._has_enough(now)
            elif not self._enough:
                self._warmup_s.append(now - start)
                if self._timed_from is None and self._is_warm(now):
                    self._timed_from = now
                    self._start_span()
            if not self._stopped and self._enough and self._in_flight == 0:
                self._stopped = True
                self._stop_span()

    def stop(self) -> None:
        """Let every stream stop after the run it is in."""
        with self._lock:
            self._stopped = True

    def samples(self) -> Samples:
        """The timed runs, once every stream has stopped."""
        ordered = sorted(self._samples)
        return Samples(
            # Whole microseconds and nanoseconds: a clock's noise is not worth half of the file.
            starts_s=tuple(round(start - ordered[0][0], 6) for start, _ in ordered),
            durations_ms=tuple(round(1000 * duration, 6) for _, duration in ordered),
            warmup_ms=tuple(round(1000 * duration, 6) for duration in self._warmup_s),
            steady=self._steady,
            stopped=self._cause,
        )

    def _start_span(self) -> None:
        # Here no sample has begun; runs of other streams are warm-up still.
        if self._span is not None:
            self._span_runs = self._runs
            self._span.start()

    def _stop_span(self) -> None:
        # What other streams have begun at both ends is as much.
        if self._span is not None:
            self._span.stop(self._runs - self._span_runs)

    def _has_enough(self, now: float) -> bool:
        assert self._timed_from is not None
        elapsed, limits = now - self._timed_from, self._limits
        if len(self._samples) < limits.min_samples:
            return False
        if elapsed < limits.duration_s and self._is_precise(elapsed):
            self._cause = "precision"
        return self._cause == "precision" or elapsed >= limits.duration_s

    def _is_precise(self, elapsed: float) -> bool:
        count = len(self._samples)
        if self._limits.precision is None or count < self._look_at or elapsed < PRECISE_S:
            return False
        self._look_at = math.ceil(LOOK_AFTER * count)
        return find_half_width([duration for _, duration in sorted(self._samples)]) <= self._limits.precision

    def _is_warm(self, now: float) -> bool:
        elapsed = now - self._began
        if len(self._warmup_s) >= self._least_warmup and elapsed >= self._limits.warmup_s:
            self._steady = self._has_settled()
        return self._steady or elapsed >= self._limits.warmup_budget_s

    def _has_settled(self) -> bool:
        window = self._least_warmup // 2
        before = statistics.median(self._warmup_s[-2 * window : -window])
        after = statistics.median(self._warmup_s[-window:])
        return abs(after - before) <= self._limits.steady_within * before
