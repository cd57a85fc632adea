"""A stage of a race: rounds in which its settings are measured in the same way."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from seatrial.metrics.race import TwoWayFit, fit_layout
from seatrial.workflow.choose.contenders import Contender, RoundSamples

NEAR = 1.5
"""The second round is of settings that take no more times as long as the fastest of the first."""
LEAST_REPEATED = 4
"""And of so many at least, which show how much repeats differ."""
TOLERANCE = 1.03
"""A stage may end when no setting can be certain to be so many times as fast as the one in front."""


@dataclass(slots=True)
class RaceStage:
    """The rounds so far, and what they drop."""

    most: int
    """Rounds."""
    level: float
    """Of each bound, see `metrics.race`."""
    margin: float = 1.0
    """What certainly takes more than so many times as long as the one in front is dropped."""
    rounds: list[dict[Contender, float]] = field(default_factory=list)
    """Logarithms of the time of an image."""
    samples: dict[Contender, list[RoundSamples]] = field(default_factory=dict)
    before: dict[Contender, float] = field(default_factory=dict)
    """Logarithms of the same from the stage before, which count as a round."""

    @property
    def layout(self) -> TwoWayFit[Contender]:
        """The times of all rounds, taken apart."""
        return fit_layout([self.before, *self.rounds] if self.before else self.rounds)

    def count(self, contender: Contender) -> int:
        """In how many rounds a setting was measured, that from before included."""
        return len(self.samples.get(contender, ())) + (contender in self.before)

    def list_measured(self, racing: Sequence[Contender]) -> list[Contender]:
        """Those that were measured in this stage."""
        return [each for each in racing if each in self.samples]

    def choose_round(self, racing: Sequence[Contender]) -> list[Contender]:
        """What the next round measures: the second one only those near the front."""
        measured = self.list_measured(racing)
        if len(self.rounds) != 1 or not measured:
            return list(racing)
        times = self.rounds[0]
        ranked = sorted(measured, key=times.__getitem__)
        near = [each for each in ranked if times[each] - times[ranked[0]] < math.log(NEAR)]
        return ranked[: max(LEAST_REPEATED, len(near))]

    def note(self, contender: Contender, samples: RoundSamples) -> None:
        """Add what was measured to the round that is under way, the last one."""
        self.samples.setdefault(contender, []).append(samples)
        mean_ms = math.fsum(samples.durations_ms) / len(samples.durations_ms)
        self.rounds[-1][contender] = math.log(mean_ms / (contender.batch_size * contender.streams))

    def find_front(self, racing: Sequence[Contender]) -> Contender | None:
        """The fastest by the estimate, that from before included; None where none was measured."""
        measured = [each for each in racing if self.count(each)]
        return self.layout.find_fastest(measured) if measured else None

    def list_slower(self, leader: Contender, racing: Sequence[Contender]) -> Iterator[tuple[Contender, float]]:
        """What certainly takes more than `margin` times as long as the leader, and how many times at least."""
        layout = self.layout
        for contender in self.list_measured(racing):
            # One measurement beside other work may be anything.
            proves = self.count(contender) > 1 or self.samples[contender][0].quiet
            times = layout.compare(contender, leader, self.level)[0]
            if contender != leader and proves and times > self.margin:
                yield contender, times

    def is_settled(self, leader: Contender, racing: Sequence[Contender]) -> bool:
        """Whether the last round would drop nothing either, if the estimates stay, or what is left is about as fast.

        Bounds narrow with the root of the number of rounds. To stop then drops nothing, so it adds no error.
        """
        layout = self.layout
        for contender in self.list_measured(racing):
            low, high = layout.compare(contender, leader, self.level)
            if contender == leader or low <= 0 or math.isinf(high):
                continue
            behind, width = math.log(high * low) / 2, math.log(high / low) / 2
            least = width * math.sqrt(self.count(contender) / self.most)
            if behind - least > math.log(self.margin) and not self._is_as_fast(low):
                return False
        return True

    def _is_as_fast(self, low: float) -> bool:
        """Whether a setting may well be as fast as the one in front, and certainly not much faster."""
        return self.margin == 1 and low > 1 / TOLERANCE
