"""How long a stage took is noted where it was done, in one go."""

from pathlib import Path

import pytest

from seatrial.store import stage_times
from seatrial.store.stage_cache import CachedStage
from seatrial.store.stage_times import LatestStageTimes, StageClock, StageTime

STAGE = CachedStage("bake", "bake/3", "baked")


class Bread:
    key = "k"


def look(found: bool) -> None:
    STAGE.find("k" if found else "other", Bread, lambda bread: bread, lambda update: None)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageClock:
    """A clock on which every block takes two seconds."""
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr(stage_times.time, "perf_counter", lambda: float(next(ticks)))
    return StageClock(tmp_path / "times.json", "resnet50", "here")


def bake(engine: str = "", **facts: float) -> StageTime:
    return StageTime(stage="bake", engine=engine, seconds=0, **facts)


def test_what_was_done_has_a_time(clock: StageClock, tmp_path: Path) -> None:
    with clock.time(bake("oven", images=24)):
        look(found=False)
    with clock.time(bake("pan")):
        look(found=True)
    with clock.time(bake(), anew=True):
        pass
    stored = LatestStageTimes.load(tmp_path / "times.json")
    assert stored.find("bake", "oven") == StageTime(stage="bake", engine="oven", seconds=2, images=24)
    assert stored.find("bake", "pan") is None and stored.find("bake", "") is not None
    assert (stored.network, stored.machine) == ("resnet50", "here")


def test_the_latest_time_counts_and_others_stay(clock: StageClock, tmp_path: Path) -> None:
    for images in (10, 20):
        for engine in ("oven", "pan"):
            with clock.time(bake(engine, images=images), anew=True):
                pass
    again = StageClock(tmp_path / "times.json", "resnet50", "here")
    with again.time(bake("grill"), anew=True):
        pass
    stages = LatestStageTimes.load(tmp_path / "times.json").stages
    assert [(stage.engine, stage.images) for stage in stages] == [("oven", 20), ("pan", 20), ("grill", 0)]


def test_what_goes_on_or_fails_has_no_time(clock: StageClock, tmp_path: Path) -> None:
    (tmp_path / "ledger").touch()
    with clock.time(bake(), tmp_path / "ledger"):
        look(found=False)
    with pytest.raises(KeyError), clock.time(bake(), anew=True):
        raise KeyError
    assert not (tmp_path / "times.json").exists()


@pytest.mark.parametrize("other", [("resnet18", "here"), ("resnet50", "there")])
def test_times_of_another_network_or_machine_go(other: tuple[str, str], clock: StageClock, tmp_path: Path) -> None:
    with clock.time(bake("oven"), anew=True):
        pass
    with StageClock(tmp_path / "times.json", *other).time(bake("pan"), anew=True):
        pass
    assert [stage.engine for stage in LatestStageTimes.load(tmp_path / "times.json").stages] == ["pan"]


def test_what_is_known_when_a_stage_is_done_is_noted_with_its_time(clock: StageClock, tmp_path: Path) -> None:
    with clock.time(bake("oven", points=4, duration_s=10), anew=True) as facts:
        facts["timed_s"] = 1.5
    stored = LatestStageTimes.load(tmp_path / "times.json").find("bake", "oven")
    assert stored is not None and (stored.seconds, stored.timed_s) == (2, 1.5)
