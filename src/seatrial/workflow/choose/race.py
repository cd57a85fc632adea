"""A race of settings: measured round by round, dropped when certainly slower, judged only where they may win.

What a round measures is one short process of each setting that is still in the race, in a random order, so that a
change of the machine's speed falls on all alike. Accuracy is looked at last and only of those in front: what a passing
setting certainly beats is never evaluated. `metrics.race` has the bounds and their error rate.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from seatrial.errors import EngineError
from seatrial.metrics.race import (
    ALPHA,
    TwoWayFit,
    count_needed,
    fit_layout,
    judge_percentile,
    share_error,
)
from seatrial.progress import Progress, Update
from seatrial.store.records import Outcome

ROUNDS, MOST_ROUNDS = 6, 9
"""Rounds of a race, and the most where settings join it late."""
LEAST_ROUNDS = 3
"""Of a setting that stays in the race, and of a race before those behind the leader are evaluated, too."""
NEAR = 1.5
"""The second round is of settings that take no more times as long as the fastest of the first."""
LEAST_REPEATED = 4
"""And of so many at least, which show how much repeats differ."""
LATENCY_LOOKS = (1, 2, 4)
"""A latency is judged on so many times the fewest durations that may prove it."""
LATENCY_NUMBER = 1000
"""The first number of a measurement that is no round's."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One setting of one candidate."""

    candidate: str
    batch_size: int
    streams: int
    threads: int | None = None
    """None is the engine's default."""

    def __str__(self) -> str:
        threads = "" if self.threads is None else f", {self.threads} thread{'s' if self.threads > 1 else ''}"
        streams = f"{self.streams} stream{'s' if self.streams > 1 else ''}"
        return f"{self.candidate} at batch {self.batch_size}, {streams}{threads}"


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """What a batch may take."""

    limit_ms: float
    percent: float
    """Of all batches that may take no longer."""


@dataclass(frozen=True, slots=True)
class RoundSamples:
    """What one process measured of a setting."""

    durations_ms: tuple[float, ...]
    quiet: bool
    """Nothing else used the processors meanwhile, as far as that is known."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether a candidate keeps the accuracy."""

    outcome: Outcome
    reason: str


DropKind = Literal["slower", "accuracy", "accuracy open", "latency", "latency open", "failed"]


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a setting left the race."""

    kind: DropKind
    reason: str


class Track(Protocol):
    """What a race is run on."""

    def measure(self, contender: Contender, number: int, least: int) -> RoundSamples:
        """Measure a setting in a fresh process, or find it measured.

        Args:
            number: of the round, or of another measurement.
            least: fewest durations; 0 leaves it open.

        Raises:
            EngineError: it cannot be run so.
        """

    def judge(self, candidate: str) -> Judged:
        """Evaluate a candidate until its verdict is certain."""

    def replace(self, candidate: str) -> Sequence[Contender]:
        """What joins the race as a candidate that does not keep the accuracy leaves it."""

    def is_over(self) -> bool:
        """Whether the time is up."""


class Race:
    """The settings of all candidates, those that are left, and why the others are not."""

    def __init__(
        self,
        contenders: Sequence[Contender],
        track: Track,
        progress: Progress,
        limit: LatencyLimit | None = None,
        late: int = 0,
    ) -> None:
        """A race before its first round.

        Args:
            limit: that a setting must certainly keep to win.
            late: at most so many may join.
        """
        self.entered: list[Contender] = list(contenders)
        self.racing: list[Contender] = list(contenders)
        self.dropped: dict[Contender, Drop] = {}
        self.verdicts: dict[str, Judged] = {}
        self.rounds: list[dict[Contender, float]] = []
        self.samples: dict[Contender, list[RoundSamples]] = {}
        self.beyond: dict[Contender, list[float]] = {}
        """Durations in ms of measurements that are no round's."""
        self.in_time: set[Contender] = set()
        """Whose latency is certainly within the limit."""
        self.complete = True
        """The time was not up before the end."""
        self._track, self._progress, self._limit = track, progress, limit
        most = len(contenders) + late
        self.level = share_error(most, MOST_ROUNDS)
        self._latency_level = ALPHA / (most * (MOST_ROUNDS + len(LATENCY_LOOKS)))

    def run(self) -> Contender | None:
        """Race to the end, or until the time is up; returns the fastest that passes, if there is one."""
        while self._goes_on():
            self._measure_round()
            self._drop_late()
            if len(self.rounds) > 1 or len(self.racing) == 1:
                self._settle()
            if len(self.rounds) >= LEAST_ROUNDS:
                self._judge_all()
        passing = [each for each in self.racing if self._passes(each)]
        return self.layout.find_fastest(passing) if passing else None

    @property
    def layout(self) -> TwoWayFit[Contender]:
        """The times of all rounds, taken apart."""
        return fit_layout(self.rounds)

    def list_durations(self, contender: Contender) -> list[float]:
        """All its durations in ms."""
        rounds = [ms for samples in self.samples.get(contender, ()) for ms in samples.durations_ms]
        return rounds + self.beyond.get(contender, [])

    def count_rounds(self, contender: Contender) -> int:
        """In how many rounds it was measured."""
        return len(self.samples.get(contender, ()))

    def _passes(self, contender: Contender) -> bool:
        judged = self.verdicts.get(contender.candidate)
        passed = judged is not None and judged.outcome == "PASS"
        return passed and (self._limit is None or contender in self.in_time)

    def _goes_on(self) -> bool:
        if not self.racing or not self._has_time():
            return False
        if len(self.racing) == 1 and self._passes(self.racing[0]) and self.count_rounds(self.racing[0]) > 1:
            return False
        short = any(self.count_rounds(each) < LEAST_ROUNDS for each in self.racing)
        if not short and self._is_settled():
            return False
        return len(self.rounds) < ROUNDS or (short and len(self.rounds) < MOST_ROUNDS)

    def _is_settled(self) -> bool:
        """Whether nothing that is left would be dropped by the last round either, if the estimates stay as they are.

        Bounds narrow with the root of the number of rounds. To stop then drops nothing, so it adds no error.
        """
        layout = self.layout
        leader = layout.find_fastest(self.racing)
        for contender in self.racing if self._passes(leader) else ():
            low, high = layout.compare(contender, leader, self.level)
            if low <= 0 or math.isinf(high):
                continue
            behind, width = math.log(high * low) / 2, math.log(high / low) / 2
            if contender != leader and behind > width * math.sqrt(self.count_rounds(contender) / ROUNDS):
                return False
        return self._passes(leader)

    def _has_time(self) -> bool:
        self.complete = self.complete and not self._track.is_over()
        return self.complete

    def _measure_round(self) -> None:
        number = len(self.rounds)
        chosen = self._choose_round(number)
        # Another order each time, the same in every attempt: what is measured early is not always the same.
        random.Random(number).shuffle(chosen)
        times: dict[Contender, float] = {}
        for place, contender in enumerate(chosen):
            if not self._has_time():
                break
            facts = {"round": str(number + 1), "left": str(len(self.racing))}
            self._progress(Update("choose", place, len(chosen), "settings", facts))
            try:
                samples = self._track.measure(contender, number, 0)
            except EngineError as error:
                self._drop(contender, "failed", error.problem)
                continue
            self.samples.setdefault(contender, []).append(samples)
            mean_ms = math.fsum(samples.durations_ms) / len(samples.durations_ms)
            times[contender] = math.log(mean_ms / (contender.batch_size * contender.streams))
        self.rounds.append(times)

    def _choose_round(self, number: int) -> list[Contender]:
        measured = [each for each in self.racing if self.count_rounds(each)]
        if number != 1 or not measured:
            return list(self.racing)
        times = self.rounds[0]
        ranked = sorted(measured, key=times.__getitem__)
        near = [each for each in ranked if times[each] - times[ranked[0]] < math.log(NEAR)]
        return ranked[: max(LEAST_REPEATED, len(near))]

    def _settle(self) -> None:
        """Find the fastest that passes, dropping those before it that do not, and drop what it certainly beats."""
        while self._has_time():
            measured = [each for each in self.racing if self.count_rounds(each)]
            if not measured:
                return
            leader = self.layout.find_fastest(measured)
            if self._judge(leader.candidate) and self._keeps_latency(leader):
                self._drop_slower(leader, measured)
                return

    def _judge_all(self) -> None:
        """Evaluate the candidates of all that are left: they may win, or stand beside the one that does."""
        for candidate in dict.fromkeys(each.candidate for each in self.racing):
            if self._has_time():
                self._judge(candidate)

    def _judge(self, candidate: str) -> bool:
        """Whether a candidate keeps the accuracy; if not, it leaves the race, and others may join."""
        judged = self.verdicts.get(candidate)
        if judged is None:
            judged = self.verdicts[candidate] = self._track.judge(candidate)
            self._progress(Update("choose", note=f"{candidate}: {judged.outcome}: {judged.reason}"))
        if judged.outcome == "PASS":
            return True
        kind: DropKind = "accuracy" if judged.outcome == "FAIL" else "accuracy open"
        for contender in [each for each in self.racing if each.candidate == candidate]:
            self._drop(contender, kind, judged.reason)
        joining = [each for each in self._track.replace(candidate) if each not in self.entered]
        self.entered += joining
        self.racing += joining
        return False

    def _keeps_latency(self, contender: Contender) -> bool:
        """Whether it certainly keeps the limit, measured further for that; if not, it leaves the race."""
        limit = self._limit
        if limit is None or contender in self.in_time:
            return True
        needed = count_needed(limit.percent, self._latency_level)
        kept = self._judge_latency(contender)
        for number, times in enumerate(LATENCY_LOOKS):
            short = times * needed - len(self.list_durations(contender))
            if kept is not None or not self._has_time():
                break
            if short > 0:
                samples = self._track.measure(contender, LATENCY_NUMBER + number, short)
                self.beyond.setdefault(contender, []).extend(samples.durations_ms)
            kept = self._judge_latency(contender)
        if kept:
            self.in_time.add(contender)
        elif self.complete or kept is False:
            self._drop_for_latency(contender, kept)
        return bool(kept)

    def _judge_latency(self, contender: Contender) -> bool | None:
        assert self._limit is not None
        durations = self.list_durations(contender)
        return judge_percentile(durations, self._limit.percent, self._limit.limit_ms, self._latency_level)

    def _drop_late(self) -> None:
        for contender in list(self.racing) if self._limit is not None else ():
            if contender not in self.in_time and self._judge_latency(contender) is False:
                self._drop_for_latency(contender, False)

    def _drop_for_latency(self, contender: Contender, kept: bool | None) -> None:
        assert self._limit is not None
        durations, limit = self.list_durations(contender), self._limit
        longer = sum(ms > limit.limit_ms for ms in durations)
        certain = "certainly too many" if kept is False else "not certain to be few enough"
        reason = f"{longer} of {len(durations)} batches took longer than {limit.limit_ms:g} ms: {certain}"
        self._drop(contender, "latency" if kept is False else "latency open", reason)

    def _drop_slower(self, leader: Contender, measured: Sequence[Contender]) -> None:
        layout = self.layout
        for contender in measured:
            samples = self.samples[contender]
            # One measurement beside other work may be anything.
            proves = len(samples) > 1 or samples[0].quiet
            times = layout.compare(contender, leader, self.level)[0]
            if contender != leader and proves and times > 1:
                self._drop(contender, "slower", f"at least {times:.2f} times as long an image as {leader}")

    def _drop(self, contender: Contender, kind: DropKind, reason: str) -> None:
        self.racing.remove(contender)
        self.dropped[contender] = Drop(kind, reason)
