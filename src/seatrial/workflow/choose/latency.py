"""Whether settings keep a latency, proved on measurements that had no part in choosing what is looked at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from seatrial.metrics.race import count_needed, judge_share, spend_error
from seatrial.workflow.choose.contenders import Contender, Drop, LatencyLimit, Track

LOOKS = (1, 2, 4)
"""A latency is judged on so many times the fewest durations that may prove it."""
FIRST_NUMBER = 1000
"""Of a measurement that is no round's."""


@dataclass(slots=True)
class LatencyProof:
    """Which settings keep a limit; of the n-th that is looked at the verdict errs in `spend_error(n)`."""

    limit: LatencyLimit
    level: float
    """Of each bound by which a setting that is not in front is dropped."""
    durations_ms: dict[Contender, list[float]] = field(default_factory=dict)
    """Of measurements for this alone."""
    kept: set[Contender] = field(default_factory=set)

    def misses(self, durations_ms: Sequence[float]) -> bool:
        """Whether these durations of a round show that a setting certainly misses the limit."""
        return self._judge(durations_ms, self.level) is False

    def prove(self, contender: Contender, track: Track) -> bool | None:
        """Whether a setting keeps the limit, measured for that until it is certain or hopeless.

        Raises:
            EngineError: it cannot be run so.
        """
        if contender in self.kept:
            return True
        place = len(self.durations_ms) + (contender not in self.durations_ms)
        level = spend_error(place) / len(LOOKS)
        needed = count_needed(self.limit.percent, level)
        durations = self.durations_ms.setdefault(contender, [])
        kept: bool | None = None
        for number, times in enumerate(LOOKS):
            if track.is_over():
                return None
            samples = track.measure(contender, FIRST_NUMBER + number, times * needed - len(durations))
            durations.extend(samples.durations_ms)
            kept = self._judge(durations, level)
            if kept is not None or self._is_hopeless(durations, LOOKS[-1] * needed, level):
                break
        if kept:
            self.kept.add(contender)
        return kept

    def explain(self, durations_ms: Sequence[float], kept: bool | None) -> Drop:
        """Why a setting leaves the race."""
        limit_ms = self.limit.limit_ms
        longer = sum(ms > limit_ms for ms in durations_ms)
        certain = "certainly too many" if kept is False else "not certain to be few enough"
        reason = f"{longer} of {len(durations_ms)} batches took longer than {limit_ms:g} ms: {certain}"
        return Drop("latency" if kept is False else "latency open", reason)

    def _judge(self, durations_ms: Sequence[float], level: float) -> bool | None:
        longer = sum(ms > self.limit.limit_ms for ms in durations_ms)
        return judge_share(longer, len(durations_ms), self.limit.percent, level)

    def _is_hopeless(self, durations_ms: Sequence[float], most: int, level: float) -> bool:
        """Whether even so many durations, as many of them too long as of these, would prove nothing."""
        share = sum(ms > self.limit.limit_ms for ms in durations_ms) / len(durations_ms)
        return judge_share(math.floor(share * most), most, self.limit.percent, level) is not True
