"""The race on a made-up machine, whose times are a formula with noise: who is measured, evaluated and dropped."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from seatrial.errors import EngineError
from seatrial.metrics.race import ALPHA
from seatrial.progress import silent
from seatrial.workflow.choose.contenders import Contender, Judged, LatencyLimit, RoundSamples
from seatrial.workflow.choose.latency import FIRST_NUMBER
from seatrial.workflow.choose.race import FINALISTS, LEAST_PROCESSES, LEAST_ROUNDS, MARGIN, ROUNDS, Race
from seatrial.workflow.choose.stage import LEAST_REPEATED

PASS, FAIL, UNSURE = Judged("PASS", "kept"), Judged("FAIL", "lost"), Judged("INCONCLUSIVE", "few images")
CONFIRMED, OPEN = 90, 99
"""The numbers of the process that checks outputs, and of the one that stays open."""


@dataclass
class MadeUpTrack:
    """Times of an image in ms by setting, times noise of each process and of the machine in each round."""

    image_ms: dict[Contender, float]
    verdicts: dict[str, Judged] = field(default_factory=dict)
    noise: float = 0.02
    seed: int = 0
    quiet: bool = True
    most: int = 10**9
    """Measurements until the time is up."""
    joins: dict[str, Sequence[Contender]] = field(default_factory=dict)
    broken: frozenset[Contender] = frozenset()
    tail: Callable[[np.random.Generator, int], np.ndarray] = lambda rng, count: np.ones(count)
    screened: list[tuple[Contender, int]] = field(default_factory=list)
    measured: list[tuple[Contender, int]] = field(default_factory=list)
    """In fresh processes."""
    judged: list[str] = field(default_factory=list)

    def measure(self, contender: Contender, number: int, least: int) -> RoundSamples:
        self.measured.append((contender, number))
        return self._look(contender, number, least, self._draw(number, contender).normal(0, self.noise))

    def confirm(self, contender: Contender) -> RoundSamples:
        return self.measure(contender, CONFIRMED, 0)

    def screen(self, contender: Contender, number: int) -> RoundSamples:
        """The same process each time: what it does to candidate and setting stays, and a look has its own noise."""
        self.screened.append((contender, number))
        process = self._draw(OPEN, contender.candidate).normal(0, self.noise / 2)
        process += self._draw(OPEN, contender).normal(0, self.noise)
        return self._look(
            contender, 100 + number, 0, process + self._draw(100 + number, contender).normal(0, self.noise)
        )

    def _draw(self, number: int, who: object) -> np.random.Generator:
        return np.random.default_rng([self.seed, number, zlib.crc32(str(who).encode())])

    def _look(self, contender: Contender, number: int, least: int, noise: float) -> RoundSamples:
        if contender in self.broken:
            raise EngineError("no memory for it")
        scale = np.exp(np.random.default_rng([self.seed, number]).normal(0, 0.2) + noise)
        batch_ms = self.image_ms[contender] * contender.batch_size * contender.streams * scale
        rng = self._draw(number, f"tail of {contender}")
        return RoundSamples(tuple((batch_ms * self.tail(rng, max(5, least))).tolist()), self.quiet)

    def judge(self, candidate: str) -> Judged:
        self.judged.append(candidate)
        return self.verdicts.get(candidate, PASS)

    def replace(self, candidate: str) -> Sequence[Contender]:
        return self.joins.get(candidate, ())

    def is_over(self) -> bool:
        return len(self.screened) + len(self.measured) >= self.most


def enter(**image_ms: float) -> dict[Contender, float]:
    """A setting of each of these candidates."""
    return {Contender(name, 1, 1): ms for name, ms in image_ms.items()}


def run(track: MadeUpTrack, limit: LatencyLimit | None = None) -> tuple[Race, str | None]:
    race = Race(
        list(set(track.image_ms) - {each for some in track.joins.values() for each in some}), track, silent, limit
    )
    race.racing.sort(key=str)
    best = race.run()
    return race, None if best is None else best.candidate


def test_the_fastest_that_passes_wins_and_what_it_beats_is_never_evaluated() -> None:
    track = MadeUpTrack(enter(fast=1, lossy=0.5, slow=2, slower=3, slowest=9), {"lossy": FAIL})
    race, best = run(track)
    assert best == "fast" and race.complete
    assert track.judged == ["lossy", "fast"]
    kinds = {each.candidate: drop.kind for each, drop in race.dropped.items()}
    assert kinds == {"lossy": "accuracy", "slow": "slower", "slower": "slower", "slowest": "slower"}
    assert "times as long as with fast at batch 1, 1 stream" in race.dropped[Contender("slow", 1, 1)].reason


def test_what_is_far_behind_is_looked_at_once_and_gets_no_process_of_its_own() -> None:
    track = MadeUpTrack(enter(a=1, b=1.1, c=1.12, d=1.14, **{f"far{i}": 5.0 + i for i in range(10)}))
    race, best = run(track)
    looks = Counter(contender.candidate for contender, _ in track.screened)
    assert best == "a" and all(looks[f"far{i}"] == 1 for i in range(10))
    assert [number for _, number in track.screened].count(1) == LEAST_REPEATED
    assert {contender.candidate for contender, _ in track.measured} == {"a", "b", "c", "d"}
    assert len(race.finals.samples[Contender("a", 1, 1)]) >= LEAST_PROCESSES


def test_what_is_less_than_the_margin_behind_is_not_dropped_by_the_screening() -> None:
    near, far = Contender("near", 1, 1), Contender("far", 1, 1)
    track = MadeUpTrack({**enter(a=1), near: 0.99 * MARGIN, far: 1.01 * MARGIN}, noise=1e-4)
    race, best = run(track)
    assert best == "a" and {near, far} <= {*race.dropped}
    assert near in race.finals.samples and far not in race.finals.samples


def test_beside_other_work_one_look_drops_nothing() -> None:
    track = MadeUpTrack(enter(a=1, b=1.1, c=1.12, d=1.14, far=5), quiet=False)
    run(track)
    assert Counter(contender.candidate for contender, _ in track.screened)["far"] == 2


def test_those_that_cannot_be_told_apart_are_all_left_and_all_evaluated() -> None:
    track = MadeUpTrack(enter(a=1, b=1, c=1.001, d=4), noise=0.05)
    race, best = run(track)
    assert {each.candidate for each in race.racing} == {"a", "b", "c"} and best in {"a", "b", "c"}
    assert sorted(track.judged) == ["a", "b", "c"] and LEAST_ROUNDS - 1 <= len(race.finals.rounds) <= ROUNDS


def test_the_race_ends_where_no_further_round_would_drop_another() -> None:
    same = MadeUpTrack(enter(a=1, b=1.0001, c=1.0002, d=1.0003, e=9), noise=0.2, seed=1)
    race, _ = run(same)
    assert len(race.finals.rounds) < ROUNDS and len(race.racing) > 1
    apart = MadeUpTrack(enter(a=1, b=1.1, c=1.12, d=1.14, e=9), noise=0.005, seed=1)
    race, best = run(apart)
    assert best == "a" and len(race.racing) == 1


def test_the_race_ends_where_what_is_left_is_certainly_about_as_fast() -> None:
    race, best = run(MadeUpTrack(enter(a=1, b=1.004, c=1.006, d=1.007), noise=0.002))
    assert best == "a" and len(race.finals.rounds) == LEAST_PROCESSES and len(race.racing) > 1


def test_of_many_that_are_as_fast_a_few_get_processes_of_their_own_and_all_stay() -> None:
    track = MadeUpTrack(enter(**{f"s{i}": 1 + i / 1000 for i in range(12)}), noise=0.01)
    race, best = run(track)
    measured = {contender for contender, _ in track.measured}
    assert len(measured) == FINALISTS and measured == {*race.finalists}
    assert best in {each.candidate for each in measured} and len(race.racing) > FINALISTS
    assert len(track.judged) == len(race.racing)


def test_where_no_finalist_keeps_the_accuracy_the_next_in_front_take_their_places() -> None:
    lossy = [Contender("lossy", size, 1) for size in range(1, FINALISTS + 1)]
    track = MadeUpTrack({each: 1.0 for each in lossy} | enter(a=1.01, b=9), {"lossy": FAIL}, noise=1e-3)
    race, best = run(track)
    assert best == "a" and len(race.finals.samples[Contender("a", 1, 1)]) >= LEAST_PROCESSES
    assert {race.dropped[each].kind for each in lossy} == {"accuracy"}


def test_a_single_setting_is_not_screened() -> None:
    track = MadeUpTrack(enter(a=1))
    assert run(track)[1] == "a" and not track.screened and len(track.measured) == LEAST_PROCESSES


def test_what_replaces_a_lossy_candidate_joins_and_may_win() -> None:
    mixed = Contender("mixed", 1, 1)
    track = MadeUpTrack({**enter(lossy=0.5, slow=3, slower=4), mixed: 0.8}, {"lossy": FAIL}, joins={"lossy": (mixed,)})
    race, best = run(track)
    assert best == "mixed" and mixed in race.entered
    assert len(race.finals.samples[mixed]) >= LEAST_PROCESSES
    assert race.dropped[Contender("slow", 1, 1)].kind == "slower"


@pytest.mark.parametrize(("judged", "kind"), [(FAIL, "accuracy"), (UNSURE, "accuracy open")])
def test_without_a_candidate_that_passes_nobody_wins(judged: Judged, kind: str) -> None:
    race, best = run(MadeUpTrack(enter(a=1, b=2), {"a": judged, "b": judged}))
    assert best is None and race.complete
    assert {drop.kind for drop in race.dropped.values()} == {kind}


def test_a_setting_that_cannot_be_run_is_dropped_with_the_reason() -> None:
    broken = Contender("a", 1, 1)
    race, best = run(MadeUpTrack(enter(a=1, b=2), broken=frozenset({broken})))
    assert best == "b" and race.dropped[broken].reason == "no memory for it"


def test_as_the_time_is_up_the_fastest_that_passed_is_chosen_if_there_is_one() -> None:
    early, nobody = run(MadeUpTrack(enter(a=1, b=2, c=3), most=2))
    assert nobody is None and not early.complete and len(early.racing) == 3
    # After two rounds of the screening one process: of another than the best, which counts by the screening.
    screened, best = run(MadeUpTrack(enter(a=1.1, b=1, c=1.1), most=7, noise=0.001))
    assert best == "b" and not screened.complete
    assert len(screened.finals.samples) == 2 and len(screened.finals.samples[Contender("b", 1, 1)]) == 1
    race, best = run(MadeUpTrack(enter(a=1, b=1, c=1), most=10, noise=0.05))
    assert best in {"a", "b", "c"} and not race.complete and race.finals.rounds


def test_a_latency_is_proved_by_many_batches_and_missed_by_few() -> None:
    # Large batches give more images and take 16 and 4 ms.
    settings = {Contender("a", 16, 1): 1.0, Contender("a", 4, 1): 1.2, Contender("a", 1, 1): 2.0}
    track = MadeUpTrack(settings, noise=0.001)
    race, _ = run(track, LatencyLimit(10, 99))
    assert race.dropped[Contender("a", 16, 1)].kind == "latency"
    assert race.latency is not None and race.latency.kept == {Contender("a", 4, 1)}
    assert len(race.list_durations(Contender("a", 4, 1))) > 470
    assert [number for contender, number in track.measured if number >= FIRST_NUMBER] == [FIRST_NUMBER]


def test_a_tail_that_is_too_long_misses_the_latency() -> None:
    def long(rng: np.random.Generator, count: int) -> np.ndarray:
        return np.where(rng.random(count) < 0.05, 30.0, 1.0)

    race, best = run(MadeUpTrack(enter(a=1), noise=0.001, tail=long), LatencyLimit(10, 99))
    assert best is None and race.dropped[Contender("a", 1, 1)].kind == "latency"


def test_a_tail_at_the_limit_stays_open() -> None:
    def long(rng: np.random.Generator, count: int) -> np.ndarray:
        return np.where(np.arange(count) % 100 == 50, 30.0, 1.0)

    race, best = run(MadeUpTrack(enter(a=1), noise=0.001, tail=long), LatencyLimit(10, 99))
    assert best is None and race.dropped[Contender("a", 1, 1)].kind == "latency open"


@pytest.mark.parametrize("noise", [0.02, 0.03, 0.1])
def test_few_races_drop_the_fastest(noise: float) -> None:
    races = 60
    image_ms = enter(best=1, next=1.02, **{f"s{i}": 1.1 + 0.15 * i for i in range(10)})
    lost = 0
    for seed in range(races):
        race, _ = run(MadeUpTrack(image_ms, noise=noise, seed=seed))
        lost += Contender("best", 1, 1) in race.dropped
    assert lost / races <= ALPHA
