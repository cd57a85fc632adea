"""Every sentence of doubt that is written anywhere has a kind of its own."""

import math

import pytest

from run_folder import MACHINE, make_point
from seatrial.bench.spread import find_doubts
from seatrial.evaluation.notes import CHOSEN
from seatrial.machine.conditions import Conditions
from seatrial.report.doubt_kinds import KINDS, PROCESS_SHARE, find_kind
from seatrial.report.doubts import Doubt
from seatrial.store.measurement import ClockRates, DeviceProcess, DeviceUse, Point

DRIFTING = (*(1.0,) * 20, *(1.5,) * 20, *(2.0,) * 20)


def point(durations: tuple[float, ...] = (5.0,) * 500, **changes: object) -> Point:
    return make_point(4, durations).model_copy(update=changes)


CALM = Conditions(busy=0.0, swap_bytes=0)
MEASURED = {
    "scatter": [point(DRIFTING)] * 2,
    "drift": [point(DRIFTING)] * 2,
    "processes": [point(), point((6.0,) * 500)],
    "one process": [point()],
    "unsettled": [point(), point(steady=False)],
    "percentile": [point((5.0,) * 20)] * 2,
    "timer": [point((1e-7,) * 500)] * 2,
    "busy": [point(), point(others_busy=0.3)],
    "device busy": [point(), point(device_before=DeviceUse(busy=0.3))],
    "device shared": [point(), point(device_after=DeviceUse(others=(DeviceProcess(pid=1, memory_bytes=2**20),)))],
    "clock": [point(), point(pace=ClockRates(before_mhz=2000, after_mhz=1500))],
    "throttled": [point(), point(pace=ClockRates(before_mhz=2000, after_mhz=2000, throttled=True))],
    "unchecked outputs": [point(outputs_checked=0, fresh_ms=(5.0,) * 20)] * 2,
}


@pytest.mark.parametrize("name", MEASURED)
def test_what_a_measurement_notices_of_itself_has_its_kind(name: str) -> None:
    doubts = find_doubts(MEASURED[name], MACHINE, CALM)
    found = [find_kind(doubt, "other speed") for doubt in doubts]
    assert name in found and "other speed" not in found


def test_what_is_noticed_of_the_machine_has_its_kind() -> None:
    doubts = find_doubts([point()] * 2, MACHINE, Conditions(busy=0.5, swap_bytes=2**33, on_battery=True))
    assert [find_kind(doubt, "other speed") for doubt in doubts] == ["busy", "swap", "battery"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("4 pairs of a new and a repeated batch are too few to show whether the engine caches", "unchecked outputs"),
        ("batch 1: it ran in a file built for batch 4, so 75% of the work was padding; `compile", "padding"),
        ("2 of its 4 points are of an earlier attempt: the machine may have changed since", "attempts"),
        ("the record before was measured elsewhere (cpu: a to b): do not compare its figures", "earlier record"),
        ("the evaluation gave 500 images/s from files, the measurement 20 without them", "contradicted"),
        ("batch 64: not measured: it does not fit into memory", "unmeasured"),
        ("onnxruntime 1.31's optimiser changes what the graph computes: at optimisation=all", "optimiser"),
        ("run on 2 kinds of CPU, which may differ in the last bits: a; b", "machines"),
        ("not checked whether red and blue are swapped: too few images", "channels"),
        (CHOSEN, "chosen"),
        ("12 of 540 images repeat another under another name, so bounds are too narrow", "repeats"),
        ("2 of 5000 images are equal to another that has another label, first a (1) and b (2)", "contradicting"),
        ("torch: its preprocessing differs", "reference"),
        ("torch: whether it has the same weights is not known", "reference"),
        ("something that no version ever wrote", "fallback"),
    ],
)
def test_other_sentences_have_their_kinds(text: str, name: str) -> None:
    assert find_kind(text, "fallback") == name
    assert name == "fallback" or name in KINDS


def test_a_doubt_reaches_as_far_as_it_says() -> None:
    def reach(text: str, fallback: str = "other speed") -> tuple[float, float]:
        return KINDS[find_kind(text, fallback)].reach(text)

    assert reach("batch 1: samples scatter by 9% of their mean") == (0, 0)  # It is in the interval.
    assert reach("other processes used 50% of the processors while") == (0, pytest.approx(math.log(2)))
    assert reach("so 75% of the work was padding") == (0, pytest.approx(math.log(4)))
    assert reach("batch 1: measured in one process, so") == (pytest.approx(-math.log(1 - PROCESS_SHARE)),) * 2
    assert reach("the machine ran on its battery") == (0, math.inf)
    assert reach("the last third of the run was 250% slower") == (math.inf, math.inf)
    assert reach("nobody knows this") == (math.inf, math.inf)


def test_a_doubt_names_its_batch_as_speeds_do() -> None:
    def find_batch(text: str) -> str | None:
        return Doubt("scatter", "torch", text).batch

    assert find_batch("batch 4: noisy") == "4"
    assert find_batch("batch 4 on 2 streams: noisy") == "4 on 2 streams"
    assert find_batch("noisy") is None
