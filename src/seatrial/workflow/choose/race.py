"""A race of settings: measured round by round, dropped when certainly slower, judged only where they may win.

Most settings are far behind, which a short look in a process that stays open shows: the screening. A process makes
engines faster or slower than another one does, so it drops only by a wide margin. Those in front of what is left are
measured in fresh processes: the finals; the others stay as what could not be told from them. A round measures each
setting that is still in its stage, in a random order, so that a change of the machine's speed falls on all alike.
Accuracy is looked at last and only of those in front: what a passing setting certainly beats is never evaluated.
`metrics.race` has the bounds and their error rate.
"""

import math
import random
from collections.abc import Sequence

from seatrial.errors import EngineError
from seatrial.metrics.race import ALPHA, share_error
from seatrial.progress import Progress, Update
from seatrial.workflow.choose.contenders import Contender, Drop, DropKind, Judged, LatencyLimit, RoundSamples, Track
from seatrial.workflow.choose.latency import LatencyProof
from seatrial.workflow.choose.stage import RaceStage

SCREENINGS, ROUNDS, MOST_ROUNDS = 4, 6, 9
"""Rounds of the screening and of the finals, and the most of a stage where settings join it late."""
LEAST_ROUNDS = 3
"""Of the screening; and of a finalist, with what the screening found as one."""
LEAST_PROCESSES = 3
"""Fresh ones of the setting that is chosen, as its rate is shown with an interval; the last checks its outputs, too."""
FINALISTS, LEAST_FINALISTS = 6, 3
"""So many settings at most are measured by fresh processes, unless others join, and at least, where they are left: a
process takes some ten times as long as a look."""
MARGIN = 1.2
"""What takes so many times as long in the screening is dropped there: some four times as much as two processes differ
by, where a process changes the speed by 3 %. Finalists are no further behind, or the first `LEAST_FINALISTS`."""


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
        self.finalists: list[Contender] = []
        self.complete = True
        """The time was not up before the end."""
        self._track, self._progress = track, progress
        self._seen: set[Contender] = set()
        most, looks = len(contenders) + late, 2 * MOST_ROUNDS
        self.level = share_error(most, looks)
        self.screening = RaceStage(SCREENINGS, self.level, MARGIN)
        self.finals = RaceStage(ROUNDS, self.level)
        self.latency = None if limit is None else LatencyProof(limit, ALPHA / (most * looks))

    def run(self) -> Contender | None:
        """Race to the end, or until the time is up; returns the fastest that passes, if there is one."""
        while self._goes_on():
            if self._is_screening():
                self._measure_round(self.screening, self.screening.choose_round(self.racing))
                stage = self.screening
            else:
                self._judge_all()
                if not self.racing or self._is_screening():
                    continue  # Others joined.
                self._admit()
                self._measure_round(self.finals, self._list_left(self.finals))
                stage = self.finals
            self._drop_late()
            if len(stage.rounds) > 1 or stage.before or len(self.racing) == 1:
                self._settle(stage)
        return self._measure_rate(self._find_best())

    def compare(self, contender: Contender, best: Contender) -> tuple[float, float] | None:
        """Bounds of how many times as long an image takes as in the best one; None where they were not compared."""
        for stage in (self.finals, self.screening):
            if contender in stage.samples and best in stage.samples:
                return stage.layout.compare(contender, best, self.level)
        return None

    def list_durations(self, contender: Contender) -> list[float]:
        """All its durations in ms."""
        stages = (self.screening, self.finals)
        rounds = [ms for stage in stages for each in stage.samples.get(contender, ()) for ms in each.durations_ms]
        return rounds if self.latency is None else rounds + self.latency.durations_ms.get(contender, [])

    def _find_best(self) -> Contender | None:
        passing = [each for each in self.racing if self._passes(each)]
        return self.finals.find_front(passing) or self.screening.find_front(passing)

    def _measure_rate(self, best: Contender | None) -> Contender | None:
        """Measure the best in as many fresh processes as an interval of its rate takes, and check its outputs.

        Raises:
            ParityError: timed outputs are not those of an untimed run.
        """
        while best is not None and len(self.finals.samples.get(best, ())) < LEAST_PROCESSES - 1 and self._has_time():
            self._measure_round(self.finals, [best])
            if best in self.dropped:
                return None
        if best is not None:
            self.finals.rounds.append({})
            self.finals.note(best, self._track.confirm(best))
        return best

    def _passes(self, contender: Contender) -> bool:
        judged = self.verdicts.get(contender.candidate)
        passed = judged is not None and judged.outcome == "PASS"
        return passed and (self.latency is None or contender in self.latency.kept)

    def _has_time(self) -> bool:
        self.complete = self.complete and not self._track.is_over()
        return self.complete

    def _is_screening(self) -> bool:
        """Whether the next round is one of the screening, which ends when it would drop no other."""
        screening, alone = self.screening, len(self.racing) == 1
        is_new = not alone and any(each not in screening.samples for each in self.racing)
        if is_new or self.finals.rounds or alone or len(screening.rounds) >= SCREENINGS:
            return is_new
        front = screening.find_front(self.racing)
        if len(screening.rounds) > 1 and len(self.racing) <= LEAST_FINALISTS:
            return False
        return front is None or len(screening.rounds) < LEAST_ROUNDS or not screening.is_settled(front, self.racing)

    def _goes_on(self) -> bool:
        if not self.racing or not self._has_time():
            return False
        if self._is_screening():
            return True
        finals, left = self.finals, self._list_left(self.finals) if self.finals.rounds else self.racing
        if len(left) == 1 and self._passes(left[0]):
            return False
        short = any(finals.count(each) < LEAST_ROUNDS for each in left)
        front = finals.find_front(left)
        if not short and front is not None and finals.is_settled(front, left):
            return False
        return len(finals.rounds) < ROUNDS or (short and len(finals.rounds) < MOST_ROUNDS)

    def _list_left(self, stage: RaceStage) -> list[Contender]:
        """Those that are in a stage."""
        return [each for each in self.racing if stage is self.screening or each in self.finalists]

    def _measure_round(self, stage: RaceStage, chosen: list[Contender]) -> None:
        number = len(stage.rounds)
        # Another order each time, the same in every attempt: what is measured early is not always the same.
        random.Random(number).shuffle(chosen)
        stage.rounds.append({})
        for place, contender in enumerate(chosen):
            if not self._has_time():
                break
            name = "screening" if stage is self.screening else "round"
            facts = {name: str(number + 1), "left": str(len(self._list_left(stage)))}
            self._progress(Update("choose", place, len(chosen), "settings", facts))
            try:
                stage.note(contender, self._measure(stage, contender, number))
            except EngineError as error:
                self._drop(contender, Drop("failed", error.problem))

    def _measure(self, stage: RaceStage, contender: Contender, number: int) -> RoundSamples:
        if stage is self.screening:
            return self._track.screen(contender, number)
        return self._track.measure(contender, number, 0)

    def _admit(self) -> None:
        """Let the front of the screening into the finals: of all where nobody is in them, later of those that joined.

        What the screening found of them counts as a round: it is that of one process each.
        """
        if not self.screening.rounds:
            self.finalists = list(self.racing)
            return
        layout = self.screening.layout
        effects = dict(zip(layout.keys, layout.effects.tolist(), strict=True))
        ranked = sorted((each for each in self.racing if each in effects), key=effects.__getitem__)
        first = not self._list_left(self.finals)
        new = [each for each in ranked if first or each not in self._seen]
        near = sum(effects[each] - effects[ranked[0]] < math.log(MARGIN) for each in new)
        self.finalists += new[: max(LEAST_FINALISTS if first else 0, min(FINALISTS, near))]
        self._seen.update(ranked)
        self.finals.before = {each: effects[each] for each in self.finalists}

    def _settle(self, stage: RaceStage) -> None:
        """Find the fastest that passes, dropping those before it that do not, and drop what it certainly beats."""
        while self._has_time():
            leader = stage.find_front(self.racing)
            if leader is None:
                return
            if self._judge(leader.candidate) and self._keeps_latency(leader):
                for contender, times in [*stage.list_slower(leader, self.racing)]:
                    reason = f"an image takes at least {times:.2f} times as long as with {leader}"
                    self._drop(contender, Drop("slower", reason))
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
            self._drop(contender, Drop(kind, judged.reason))
        joining = [each for each in self._track.replace(candidate) if each not in self.entered]
        self.entered += joining
        self.racing += joining
        return False

    def _keeps_latency(self, contender: Contender) -> bool:
        """Whether it certainly keeps the limit, measured further for that; if not, it leaves the race."""
        latency = self.latency
        if latency is None or contender in latency.kept:
            return True
        self._progress(Update("choose", note=f"{contender}: measured further, as its latency must be certain"))
        try:
            kept = latency.prove(contender, self._track)
        except EngineError as error:
            self._drop(contender, Drop("failed", error.problem))
            return False
        if not kept and (self._has_time() or kept is False):
            self._drop(contender, latency.explain(latency.durations_ms[contender], kept))
        return bool(kept)

    def _drop_late(self) -> None:
        """Drop what certainly misses the latency by what the rounds measured of it."""
        latency = self.latency
        for contender in list(self.racing) if latency is not None else ():
            durations = self.list_durations(contender)
            if latency is not None and contender not in latency.kept and latency.misses(durations):
                self._drop(contender, latency.explain(durations, False))

    def _drop(self, contender: Contender, drop: Drop) -> None:
        self.racing.remove(contender)
        self.dropped[contender] = drop
