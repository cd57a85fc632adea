"""What each doubt in a record is about and how far it reaches: one table of kinds, by the words that records use.

Records hold doubts as sentences, those of older versions too, so a kind is recognised by its words; a sentence that no
kind knows is taken for one that may change everything that its record decides.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Touches = Literal["verdict", "published", "speed", "figure"]
"""What a doubt may change: the verdict; a gate on the published accuracy; a rate, and so a ranking or a speed gate; or
one figure of a table, from which nothing is concluded."""

PROCESS_SHARE = 0.14
"""How far the rate of one process may lie from that of many: twice the deviation of processes' medians that was
measured on a quiet machine (benchmarks/results/bench.txt)."""
OPEN = 1.0
"""Of a rate that may be any number of times as high."""


@dataclass(frozen=True, slots=True)
class DoubtKind:
    """One row of `KINDS`."""

    title: str
    """The cause, for people."""
    sign: str
    """A pattern in its sentences; a group `share` holds per cent."""
    touches: Touches
    slower: float | None = 0.0
    """The share 0..1 of the rate that may be too much, beyond its interval; None is the sentence's own."""
    faster: float | None = 0.0
    """The share of the true rate that may be missing, beyond its interval; None is the sentence's own."""

    def reach(self, text: str) -> tuple[float, float]:
        """How far the true rate may lie below and above the measured one, as logarithms of ratios."""
        match = re.search(self.sign, text)
        named = match.groupdict().get("share") if match else None
        own = OPEN if named is None else min(OPEN, float(named) / 100)
        return _to_log(own if self.slower is None else self.slower), _to_log(
            own if self.faster is None else self.faster
        )


def _to_log(share: float) -> float:
    return math.inf if share >= OPEN else -math.log1p(-share)


_PERCENT = r"(?P<share>\d+(?:\.\d+)?) ?%"
KINDS: Mapping[str, DoubtKind] = {
    # Of a rate; its interval holds the scatter of samples, and of processes where there are several.
    "scatter": DoubtKind("Times scatter", r"samples scatter by ", "speed"),
    "processes": DoubtKind("Processes disagree", r"processes disagree by ", "speed"),
    "one process": DoubtKind("One process", r"measured in one process", "speed", PROCESS_SHARE, PROCESS_SHARE),
    "attempts": DoubtKind(
        "Measured in parts", r"of its \d+ points are of an earlier attempt", "speed", PROCESS_SHARE, PROCESS_SHARE
    ),
    "drift": DoubtKind("Speed changed", rf"the last third of the run was {_PERCENT}", "speed", None, None),
    "unsettled": DoubtKind("Never settled", r"times had not settled", "speed", faster=OPEN),
    "busy": DoubtKind("Other work", rf"(?:other processes|something else) used {_PERCENT}", "speed", faster=None),
    "device busy": DoubtKind("Device in use", rf"kept the device {_PERCENT} busy", "speed", faster=None),
    "device shared": DoubtKind("Device shared", r"other processes had .*memory", "speed", faster=OPEN),
    "swap": DoubtKind("Memory short", r"of memory was in swap", "speed", faster=OPEN),
    "battery": DoubtKind("On battery", r"the machine ran on its battery", "speed", faster=OPEN),
    "clock": DoubtKind("Clock fell", rf"the clock fell by {_PERCENT}", "speed", faster=None),
    "throttled": DoubtKind("Clock limited", r"heat or power limited the clock", "speed", faster=OPEN),
    "timer": DoubtKind("Too short to time", r"too short for a clock", "speed", OPEN, OPEN),
    "padding": DoubtKind("Padded batch", rf"so {_PERCENT} of the work was padding", "speed", faster=None),
    "contradicted": DoubtKind("Contradicted", r"images/s from files, the measurement", "speed", faster=OPEN),
    "unchecked outputs": DoubtKind(
        "Outputs hardly checked",
        r"none of its timed outputs was checked|outputs for different images hardly differ|"
        r"pairs of a new and a repeated batch are too few",
        "speed",
        slower=OPEN,
    ),
    "other conditions": DoubtKind(
        "Measured elsewhere", r"its speed was measured (?:on another machine|with other inputs)", "speed", OPEN, OPEN
    ),
    "percentile": DoubtKind("Few samples", r"too few to state a 99th percentile", "figure"),
    "unmeasured": DoubtKind("Not measured", r"^batch \d+: (?:not measured|given up after)", "figure"),
    "earlier record": DoubtKind("Earlier record", r"the record before was measured elsewhere", "figure"),
    "optimiser": DoubtKind("Compiled with less", r"optimiser changes what the graph computes", "figure"),
    # Of an accuracy.
    "stale": DoubtKind("Stale record", r"^stale: ", "verdict"),
    "old verdict": DoubtKind("Old verdict", r"an older version stored the verdict", "verdict"),
    "uncounted": DoubtKind("Not counted again", r"was not counted again$", "verdict"),
    "other accuracy": DoubtKind(
        "Accuracies do not compare", r"its accuracy (?:is that of another|is that of other|was reached with)", "verdict"
    ),
    "implausible": DoubtKind("Not checked", r"nothing checked whether its predictions are plausible", "verdict"),
    "channels": DoubtKind("Channels not checked", r"not checked whether red and blue are swapped", "verdict"),
    "chosen": DoubtKind("Chosen on these images", r"chose which layers of the graph stay in float", "verdict"),
    "reference": DoubtKind(
        "Reference differs",
        r"its (?:preprocessing|weights) differs?$|has the same weights is not known|image files have changed since|"
        r"its predictions do not identify their image files",
        "verdict",
    ),
    "repeats": DoubtKind("Equal images", r"images repeat another under another name", "verdict"),
    "contradicting": DoubtKind("Contradicting labels", r"equal to another that has another label", "figure"),
    "not published": DoubtKind("Other weights", r"are not the published file of the card", "published"),
    "below published": DoubtKind("Below published", r", whose weights these are not$", "figure"),
    "machines": DoubtKind("Several machines", r"kinds of CPU, which may differ in the last bits", "figure"),
    # What no kind knows.
    "other speed": DoubtKind("Other", r"(?!)", "speed", OPEN, OPEN),
    "other": DoubtKind("Other", r"(?!)", "verdict"),
}


def find_kind(text: str, fallback: str) -> str:
    """The name of the kind whose words a doubt has; `fallback` where none has them."""
    return next((name for name, kind in KINDS.items() if re.search(kind.sign, text)), fallback)
