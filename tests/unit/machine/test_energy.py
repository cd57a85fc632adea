"""Energy by a folder in the place of the system's counters, a fake driver library and an emulated npu-smi."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ascend_machine import emulate_ascend
from fake_nvml import FakeLibrary, fake_nvml
from seatrial.machine.energy import EnergyMeter, ProcessorPackage, list_packages, watch_power
from seatrial.store.measurement import Energy

RANGE_J = 262_143.328850
"""Of a counter of 32 bits in steps of 61 µJ, as Intel's processors have."""


class Moments:
    """A clock that shows scripted seconds."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = list(seconds)

    def __call__(self) -> float:
        return self._seconds.pop(0)


@pytest.fixture
def library() -> Iterator[FakeLibrary]:
    with fake_nvml() as fake:
        yield fake


def write_zone(root: Path, zone: str, name: str, joules: float) -> Path:
    folder = root / zone
    folder.mkdir(exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{round(1e6 * RANGE_J)}\n")
    (folder / "energy_uj").write_text(f"{round(1e6 * joules)}\n")
    return folder / "energy_uj"


def measure_packages(root: Path, ends: dict[str, float], seconds: float) -> tuple[Energy, ...]:
    """What a meter reads in so many seconds, in which the counters go to `ends`."""
    meter = EnergyMeter("cpu", Moments(50.0, 50.0 + seconds), list_packages(root))
    meter.start()
    for zone, joules in ends.items():
        write_zone(root, zone, f"package-{zone[-1]}", joules)
    meter.stop(runs=10)
    return meter.read(batch_size=8)


def test_packages_are_added_and_parts_and_platform_are_not(tmp_path: Path) -> None:
    write_zone(tmp_path, "intel-rapl:0", "package-0", 100.0)
    write_zone(tmp_path, "intel-rapl:1", "package-1", 500.0)
    write_zone(tmp_path, "intel-rapl:2", "psys", 900.0)
    write_zone(tmp_path, "intel-rapl:0:0", "core", 7.0)
    write_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 100.0)
    (energy,) = measure_packages(tmp_path, {"intel-rapl:0": 130.0, "intel-rapl:1": 512.5}, seconds=2.0)
    assert energy.joules == pytest.approx(42.5)
    assert (energy.scope, energy.seconds, energy.images, energy.counted) == ("CPU packages", 2.0, 80, True)


def test_a_counter_that_begins_again_at_zero(tmp_path: Path) -> None:
    write_zone(tmp_path, "intel-rapl:0", "package-0", RANGE_J - 5.0)
    (energy,) = measure_packages(tmp_path, {"intel-rapl:0": 7.5}, seconds=2.0)
    assert energy.joules == pytest.approx(12.5)


@pytest.mark.parametrize(("seconds", "known"), [(0.99, False), (1.0, True), (262.0, True), (263.0, False)])
def test_too_short_for_the_steps_or_so_long_that_it_may_have_wrapped_twice(
    seconds: float, known: bool, tmp_path: Path
) -> None:
    write_zone(tmp_path, "intel-rapl:0", "package-0", 10.0)
    assert bool(measure_packages(tmp_path, {"intel-rapl:0": 20.0}, seconds)) == known


def test_a_package_that_cannot_be_read_leaves_none(tmp_path: Path) -> None:
    write_zone(tmp_path, "intel-rapl:0", "package-0", 10.0)
    # As root may read everything, what a user may not read is a folder here: reading it fails too.
    counter = write_zone(tmp_path, "intel-rapl:1", "package-1", 10.0)
    counter.unlink()
    counter.mkdir()
    assert len(list_packages(tmp_path)) == 2
    assert measure_packages(tmp_path, {"intel-rapl:0": 20.0}, seconds=2.0) == ()


def test_a_counter_that_stands_still_counts_nothing(tmp_path: Path) -> None:
    write_zone(tmp_path, "intel-rapl:0", "package-0", 10.0)
    assert measure_packages(tmp_path, {}, seconds=2.0) == ()


def test_a_machine_without_counters(tmp_path: Path) -> None:
    assert list_packages(tmp_path / "nowhere") == ()
    meter = EnergyMeter("cpu", Moments(), ())
    assert meter.read(8) == (), "nothing was measured"


def test_a_board_is_read_beside_the_processors(tmp_path: Path, library: FakeLibrary) -> None:
    library.joules = [1000.0, 1900.0]
    path = write_zone(tmp_path, "intel-rapl:0", "package-0", 0.0)
    meter = EnergyMeter("cuda:0", Moments(0.0, 3.0), [ProcessorPackage(path, RANGE_J)])
    meter.start()
    path.write_text("60000000")
    meter.stop(runs=3)
    found = {energy.scope: (energy.joules, energy.images, energy.counted) for energy in meter.read(2)}
    assert found == {"CPU packages": (60.0, 6, True), "GPU board": (900.0, 6, True)}


def test_a_board_that_does_not_count(library: FakeLibrary) -> None:
    meter = EnergyMeter("cuda:1", Moments(0.0, 3.0), ())
    meter.start()
    meter.stop(runs=3)
    assert meter.read(2) == ()


def test_an_npu_has_its_mean_power_times_the_time() -> None:
    meter = EnergyMeter("npu:0", Moments(0.0, 4.0), ())
    meter.start()
    meter.stop(runs=2)
    (energy,) = meter.read(5, watts=[14.0, 16.0, 18.0])
    assert energy == Energy(scope="NPU card", joules=64.0, seconds=4.0, images=10, counted=False)


def test_power_is_read_while_the_work_goes_on(tmp_path: Path) -> None:
    worked: list[bool] = []

    def work(is_done: Callable[[], bool]) -> None:
        while not is_done():
            worked.append(True)

    with emulate_ascend(tmp_path, "310P3"):
        assert watch_power("npu:0", work) == [15.8] * 3 and worked
        assert watch_power("npu:1", lambda is_done: pytest.fail("it is not there")) == []
    assert watch_power("cpu", lambda is_done: pytest.fail("there is nothing to read")) == []
