import itertools
import math
import threading
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from seatrial.bench.measure import LOOK_AFTER, PRECISE_SAMPLES, Limits, Recorder, Samples, keep_running, measure
from seatrial.metrics.rate import find_half_width


class Stopwatch:
    """A clock that moves only when a run takes its scripted time."""

    def __init__(self, duration_of: Callable[[int], float]) -> None:
        self.now = 100.0
        self.seen: list[int] = []
        self._duration_of = duration_of

    def run(self, index: int) -> None:
        self.seen.append(index)
        self.now += self._duration_of(index)

    def __call__(self) -> float:
        return self.now


def time_script(duration_of: Callable[[int], float], **limits: float) -> tuple[Samples, Stopwatch]:
    base = {"warmup_runs": 4, "warmup_s": 0, "warmup_budget_s": 1000, "duration_s": 0, "min_samples": 1}
    watch = Stopwatch(duration_of)
    return measure(watch.run, Limits(**(base | limits)), clock=watch), watch


def test_samples_are_the_scripted_times_and_starts() -> None:
    samples, watch = time_script(lambda i: 0.5 + (0.25 if i == 5 else 0), min_samples=3)
    assert samples == Samples(
        starts_s=(0.0, 0.5, 1.25), durations_ms=(500.0, 750.0, 500.0), warmup_ms=(500.0,) * 4, steady=True
    )
    assert watch.seen == list(range(7))


def test_warmup_lasts_its_runs_and_its_seconds() -> None:
    assert time_script(lambda i: 1.0, warmup_runs=6)[0].warmup_ms == (1000.0,) * 6
    assert time_script(lambda i: 1.0, warmup_s=9.5)[0].warmup_ms == (1000.0,) * 10


def test_warmup_goes_on_until_two_windows_agree() -> None:
    # Runs halve until the fifth: windows of two runs first agree over runs 5 to 8 (counted from 1).
    samples, _ = time_script(lambda i: max(2.0**-i, 2.0**-4), steady_within=0.01)
    assert len(samples.warmup_ms) == 8
    assert samples.steady
    assert set(samples.durations_ms) == {62.5}


@pytest.mark.parametrize(("last", "steady_at"), [(1.02, 4), (1.04, 5), (1.07, 6)])
def test_agreement_is_relative_to_the_earlier_window(last: float, steady_at: int) -> None:
    # After 5 runs the earlier window is half of each: the median of 1 and 1.04 is 1.02.
    samples, _ = time_script(lambda i: 1.0 if i < 2 else last, steady_within=0.03)
    assert len(samples.warmup_ms) == steady_at


def test_warmup_that_never_settles_ends_with_its_budget() -> None:
    samples, _ = time_script(lambda i: float(2**i), warmup_budget_s=60)
    assert len(samples.warmup_ms) == 6  # 1 + 2 + … + 32 = 63 seconds
    assert not samples.steady


def test_timing_lasts_its_seconds_and_its_samples() -> None:
    assert len(time_script(lambda i: 1.0, duration_s=4.5)[0].durations_ms) == 5
    assert len(time_script(lambda i: 1.0, duration_s=4.5, min_samples=9)[0].durations_ms) == 9


def test_timing_ends_when_the_interval_is_narrow_enough_and_never_before_its_least_samples() -> None:
    even = time_script(lambda i: 0.01, duration_s=60, precision=0.02)[0]
    assert (len(even.durations_ms), even.stopped) == (PRECISE_SAMPLES, "precision")
    # Of fast runs as many as take a second.
    fast = time_script(lambda i: 2.0**-10, duration_s=60, precision=0.02)[0]
    assert (len(fast.durations_ms), fast.stopped) == (2**10, "precision")
    wanted = time_script(lambda i: 0.01, duration_s=60, precision=0.02, min_samples=1000)[0]
    assert (len(wanted.durations_ms), wanted.stopped) == (1000, "precision")


def test_an_interval_that_stays_wide_takes_the_whole_time() -> None:
    def drift(index: int) -> float:
        return 0.01 * 1.001**index

    wide = time_script(drift, duration_s=20, precision=0.02)[0]
    assert wide.stopped == "duration" and sum(wide.durations_ms) >= 20_000
    assert find_half_width(wide.durations_ms) > 0.02
    plain = time_script(lambda i: 0.01, duration_s=20)[0]
    assert plain.stopped == "duration" and len(plain.durations_ms) >= 2000


def test_the_width_is_looked_at_each_time_there_are_a_quarter_more_samples() -> None:
    # The first 459 scatter from block to block, those that follow do not: the next looks are at 574, 718, ...
    samples = time_script(
        lambda i: 0.01 * (1 + 0.05 * (i // 46 % 2)) if i < 463 else 0.01, duration_s=60, precision=0.02
    )[0]
    count, looks = len(samples.durations_ms), [PRECISE_SAMPLES]
    while looks[-1] < count:
        looks.append(math.ceil(LOOK_AFTER * looks[-1]))
    assert looks[-1] == count > PRECISE_SAMPLES and samples.stopped == "precision"
    assert find_half_width(samples.durations_ms) <= 0.02 < find_half_width(samples.durations_ms[: looks[-2]])


class NotedSpan:
    """Notes the moments of its two calls."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self.calls: list[tuple[float, int]] = []

    def start(self) -> None:
        self.calls.append((self._watch.now, len(self._watch.seen)))

    def stop(self, runs: int) -> None:
        self.calls.append((self._watch.now, runs))


def test_a_span_has_the_samples_in_it_and_nothing_else() -> None:
    watch = Stopwatch(lambda i: 1.0 if i < 4 else 2.0)
    span = NotedSpan(watch)
    limits = Limits(warmup_runs=4, warmup_s=0, warmup_budget_s=1000, duration_s=0, min_samples=3)
    samples = measure(watch.run, limits, clock=watch, span=span)
    # Four runs of warm-up from 100 s on, then three samples of 2 s.
    assert span.calls == [(104.0, 4), (110.0, 3)] and samples.durations_ms == (2000.0,) * 3


def test_the_runs_of_a_span_are_those_of_all_streams() -> None:
    watch = Stopwatch(lambda i: 0.0)
    span = NotedSpan(watch)
    limits = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=0, min_samples=40)
    samples = measure(watch.run, limits, streams=2, span=span)
    (_, _), (_, runs) = span.calls
    # What the second stream has begun before the start and at the end is one run each.
    assert abs(runs - len(samples.durations_ms)) <= 2


def test_work_goes_on_until_it_is_told_to_end() -> None:
    seen: list[int] = []
    keep_running(seen.append, 1, lambda: len(seen) >= 5)
    assert seen == [0, 1, 2, 3, 4]
    both_in = threading.Barrier(2)
    keep_running(lambda number: both_in.wait(timeout=30), 2, lambda: True)


def test_streams_run_at_the_same_time() -> None:
    both_in = threading.Barrier(2)
    ticks = itertools.count()

    def run(index: int) -> None:
        if index < 2:
            both_in.wait(timeout=30)

    limits = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=0, min_samples=50)
    samples = measure(run, limits, streams=2, clock=lambda: float(next(ticks)))
    assert len(samples.durations_ms) >= 50
    assert samples.starts_s[0] == 0
    assert list(samples.starts_s) == sorted(set(samples.starts_s))


def test_a_sample_never_runs_with_fewer_streams_than_the_others() -> None:
    recorder = Recorder(Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=0, min_samples=1), 2, 0.0)
    assert recorder.begin() == (0, False)
    assert recorder.begin() == (1, False)
    recorder.end(False, 0.0, 1.0)  # The budget is spent: timing begins while run 1 is still warming up.
    assert recorder.begin() == (2, True)
    recorder.end(False, 0.0, 2.0)
    assert recorder.begin() == (3, True)
    recorder.end(True, 1.0, 3.0)  # Enough, but run 3 is under way and must not finish alone.
    assert recorder.begin() == (4, False)
    recorder.end(True, 2.0, 7.0)
    assert recorder.begin() is None
    recorder.end(False, 3.0, 8.0)
    assert recorder.samples() == Samples((0.0, 1.0), (2000.0, 5000.0), warmup_ms=(1000.0, 2000.0), steady=False)


@pytest.mark.parametrize("streams", [1, 3])
def test_a_failing_run_stops_every_stream(streams: int) -> None:
    def run(index: int) -> None:
        if index == 7:
            raise ZeroDivisionError("run 7")

    with pytest.raises(ZeroDivisionError, match="run 7"):
        measure(run, Limits(min_samples=10**9), streams)


@pytest.mark.parametrize("wrong", [{"warmup_runs": 1}, {"min_samples": 0}, {"duration_s": -1}, {"warm_up_s": 1}])
def test_limits_that_cannot_be_kept_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Limits(**wrong)
