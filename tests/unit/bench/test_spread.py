from collections.abc import Sequence
from typing import Any

import pytest

from seatrial.bench.spread import P99_SAMPLES, doubt_device, find_doubts
from seatrial.machine.conditions import Conditions
from seatrial.metrics.latency import Latency
from seatrial.store.measurement import ClockRates, DeviceProcess, DeviceUse, Environment, Point

MACHINE = Environment(cpu="Chip", cpu_flags=(), cores=2, memory_bytes=10**9, system="Linux", python="3.12", versions={})
QUIET = Conditions(busy=0.02, swap_bytes=0)


def make_point(durations_ms: Sequence[float], **changes: Any) -> Point:
    values: dict[str, Any] = {
        "batch_size": 4,
        "streams": 1,
        "load_s": 0.1,
        "first_inference_ms": 20,
        "warmup": 10,
        "starts_s": tuple(float(i) for i in range(len(durations_ms))),
        "durations_ms": tuple(durations_ms),
        "peak_rss_bytes": 1,
    }
    return Point(**(values | changes))


STEADY = make_point([10.0, 10.1, 9.9] * 153)


def doubts(*points: Point, conditions: Conditions = QUIET) -> tuple[str, ...]:
    """What is found beside the one process, which most of these points are measured in."""
    return tuple(d for d in find_doubts(points, MACHINE, conditions) if "measured in one process" not in d)


def test_an_honest_run_is_not_accused() -> None:
    assert doubts(STEADY, make_point([20.0] * 459, batch_size=8)) == ()


def test_p99_samples_is_the_closed_form_of_the_rule() -> None:
    # All of n samples below the bound has chance 0.99^n if the true percentile lies above it.
    assert 0.99**P99_SAMPLES <= 0.01 < 0.99 ** (P99_SAMPLES - 1)


def test_one_sample_too_few() -> None:
    (doubt,) = doubts(make_point([10.0] * 458, batch_size=16))
    assert doubt.startswith("batch 16: 458 samples")
    assert "459" in doubt


def test_repeats_pool_their_samples() -> None:
    half = make_point([10.0] * 230)
    assert doubts(half, half) == ()
    assert len(doubts(half, make_point([10.0] * 230, streams=2))) == 2


@pytest.mark.parametrize(("swing", "doubted"), [(0.049, False), (0.06, True)])
def test_scatter(swing: float, doubted: bool) -> None:
    # Alternating 1 ± swing has a standard deviation of swing.
    found = doubts(make_point([10 * (1 - swing), 10 * (1 + swing)] * 300))
    assert bool(found) == doubted
    assert all(d.startswith("batch 4: samples scatter by 6%") for d in found)


@pytest.mark.parametrize(("last", "word"), [(10.6, "6% slower"), (9.4, "6% faster")])
def test_drift(last: float, word: str) -> None:
    (doubt,) = doubts(make_point([10.0] * 400 + [last] * 250, streams=2))
    assert doubt.startswith("batch 4 on 2 streams: the last third")
    assert word in doubt


def test_unsettled_warmup() -> None:
    (doubt,) = doubts(STEADY, STEADY.model_copy(update={"steady": False}))
    assert doubt.startswith("batch 4: times had not settled")


def test_processes_that_disagree() -> None:
    (doubt,) = doubts(make_point([10.0] * 459), make_point([11.0] * 459))
    assert "2 processes disagree by 10% (fastest median 10 ms, slowest 11 ms)" in doubt


def test_runs_too_short_for_the_clock() -> None:
    (doubt,) = doubts(make_point([1e-5] * 459))
    assert doubt.startswith("batch 4: a run takes 1e-05 ms")


def test_busy_machine_and_swap() -> None:
    busy, swap = doubts(STEADY, conditions=Conditions(busy=0.35, swap_bytes=100 * 2**20))
    assert "35% of the processors" in busy
    assert "100 MiB" in swap
    assert doubts(STEADY, conditions=Conditions(busy=0.2, swap_bytes=10**7)) == ()


def test_one_process_is_a_doubt_and_two_are_not() -> None:
    (doubt,) = find_doubts([STEADY], MACHINE, QUIET)
    assert doubt.startswith("batch 4: measured in one process")
    assert find_doubts([STEADY, STEADY], MACHINE, QUIET) == ()


def test_scopes_do_not_repeat_one_another() -> None:
    found = doubts(make_point([10.0] * 230), make_point([10.0] * 230, scope="e2e", streams=2))
    assert [d.partition(":")[0] for d in found] == ["batch 4", "batch 4 on 2 streams, scope e2e"]


def test_the_battery_is_a_doubt() -> None:
    (doubt,) = doubts(STEADY, conditions=Conditions(busy=0.0, swap_bytes=0, on_battery=True))
    assert "battery" in doubt


@pytest.mark.parametrize(("busy", "doubted"), [(0.2, False), (0.31, True), (None, False)])
def test_others_that_work_meanwhile(busy: float | None, doubted: bool) -> None:
    found = doubts(STEADY, STEADY.model_copy(update={"others_busy": busy}))
    assert found == (("batch 4: other processes used 31% of the processors while it was measured",) if doubted else ())


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (DeviceUse(busy=0.05, memory_bytes=10**9, hidden=3), None),
        (DeviceUse(), None),
        (DeviceUse(busy=0.06), "something else kept the device 6% busy just before or after"),
        (DeviceUse(others=(DeviceProcess(pid=7, name="idle", memory_bytes=0),)), None),
        (DeviceUse(others=(DeviceProcess(pid=7, name="b", memory_bytes=2**20),) * 2), "other processes had 1 MiB of"),
        (DeviceUse(others=(DeviceProcess(pid=7),)), "other processes had memory of the device"),
    ],
)
@pytest.mark.parametrize("field", ["device_before", "device_after"])
def test_a_device_that_others_use(field: str, use: DeviceUse, words: str | None) -> None:
    found = doubts(STEADY, STEADY.model_copy(update={field: use}))
    assert len(found) == (words is not None)
    assert all(doubt.startswith(f"batch 4: {words}") for doubt in found)


def test_those_who_have_memory_are_named_once() -> None:
    one, two = (DeviceProcess(pid=n, name=name, memory_bytes=2**30) for n, name in ((9, "python"), (8, "")))
    uses = [DeviceUse(others=(one,)), None, DeviceUse(others=(one, two))]
    (doubt,) = doubt_device(uses)
    assert "had 2048 MiB" in doubt and doubt.endswith(": python, unnamed")


@pytest.mark.parametrize(
    ("pace", "words"),
    [
        (ClockRates(before_mhz=3000, after_mhz=2860), None),
        (ClockRates(before_mhz=3000, after_mhz=2700), "the clock fell by 10% while"),
        (ClockRates(before_mhz=1980, after_mhz=1980, throttled=True), "heat or power limited the clock"),
    ],
)
def test_a_clock_that_falls(pace: ClockRates, words: str | None) -> None:
    found = doubts(STEADY, STEADY.model_copy(update={"pace": pace}))
    assert len(found) == (words is not None)
    assert all(words in doubt for doubt in found if words)


def looked(**changes: Any) -> Point:
    checks = {"outputs_checked": 4, "outputs_tolerance": 0.01, "outputs_spread": 0.3, "fresh_ms": (1.0,) * 5}
    return STEADY.model_copy(update={**checks, "repeated_ms": (1.0,) * 5, **changes})


def test_checks_that_could_not_be_made_are_doubts() -> None:
    assert doubts(looked(), looked()) == ()
    (few,) = doubts(looked())
    assert few.startswith("5 pairs of a new and a repeated batch are too few")
    (unseen,) = doubts(*[looked(outputs_checked=0)] * 2)
    assert "none of its timed outputs was checked" in unseen
    for spread in (0.019, 0.0):
        (alike,) = doubts(looked(), looked(outputs_spread=spread))
        assert "hardly differ" in alike


def test_streams_share_the_rate() -> None:
    # Two callers, each 10 ms for 4 images: 400 images/s from each.
    assert Latency.of([10.0] * 6, 4, streams=2).images_per_s == pytest.approx(800)
