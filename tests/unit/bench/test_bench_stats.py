from collections.abc import Sequence
from typing import Any

import pytest

from seatrial.bench.environment import Conditions
from seatrial.bench.stats import P99_SAMPLES, find_doubts
from seatrial.metrics.latency import Latency
from seatrial.store.records import Environment, Point

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
    return find_doubts(points, MACHINE, conditions)


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
    assert "2 processes disagree by 10% (medians from 10 to 11 ms)" in doubt


def test_runs_too_short_for_the_clock() -> None:
    (doubt,) = doubts(make_point([1e-5] * 459))
    assert doubt.startswith("batch 4: a run takes 1e-05 ms")


def test_busy_machine_and_swap() -> None:
    busy, swap = doubts(STEADY, conditions=Conditions(busy=0.35, swap_bytes=100 * 2**20))
    assert "35% of the processors" in busy
    assert "100 MiB" in swap
    assert doubts(STEADY, conditions=Conditions(busy=0.2, swap_bytes=10**7)) == ()


def test_streams_share_the_rate() -> None:
    # Two callers, each 10 ms for 4 images: 400 images/s from each.
    assert Latency.of([10.0] * 6, 4, streams=2).images_per_s == pytest.approx(800)
