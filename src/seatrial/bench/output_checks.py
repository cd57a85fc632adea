"""Whether what is timed is the work it claims to be, after MLPerf's compliance tests.

TEST01: outputs taken at random during the timed run must be those of an untimed run. TEST04: one and the same batch,
again and again, must not be faster than batches that are new; here they are new to the engine, so that outputs cached
in an earlier round show as well.
"""

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.bench.measure import Clock
from seatrial.errors import ParityError
from seatrial.store.measurement import Point

LEAST_REFERENCES = 2
"""Batches whose untimed outputs are always recorded, whatever the budget; these twice."""
MOST_REFERENCES = 64
"""Twice as many as there are timed outputs to compare with them."""
REFERENCE_ONE_IN = 8
"""Only some of many inputs have a reference: one of them comes this often, so that a short run has some to compare."""
MOST_KEPT = 32
"""Timed outputs that are kept for comparison."""
OF_SPREAD = 0.05
"""An output may differ by this share of what sets one image's logits apart from another's."""
OF_ITSELF = 10
"""And by this many times what two untimed runs differ."""
PROVES = 0.5
"""Of the spread: a larger tolerance would let another image's output pass."""
ROUNDING = {"fp32": 1e-3}
COARSE_ROUNDING = 1e-2
"""And by this share of the size of the logits: `ROUNDING` of a precision, else this, as an engine may run the same
layer by another algorithm in another thread."""
FASTER = 1.1
"""TEST04's limit: a repeated batch may be so many times as fast as one of many."""
LEAST_PAIRS = 3
MOST_PAIRS = 16
SIGNIFICANCE = 0.001
"""An engine is accused when chance would give as many pairs above the limit less often than this."""
PAIRS_TO_JUDGE = 10
"""Fewer cannot be significant, even if all are above."""
REBUILD = "compile the engine again, or measure another one"


@dataclass(frozen=True, slots=True)
class OutputComparison:
    """Timed outputs compared with untimed ones; differences are shares of the size of an image's logits."""

    checked: int
    error: float
    tolerance: float
    spread: float
    """What sets one image's logits apart from another's."""


class OutputCheck:
    """Keeps untimed outputs for some of the inputs and a random choice of the timed ones; safe between threads."""

    def __init__(self, precision: str, seed: int | None = None) -> None:
        self._rounding = ROUNDING.get(precision, COARSE_ROUNDING)
        # Seeded by the system, so that no engine can know which calls are compared.
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._references: dict[int, NDArray[np.float32]] = {}
        self._differs_from_itself = 0.0
        self._seen = 0
        self._kept: list[tuple[int, NDArray[np.float32]]] = []

    def record_references(
        self, run: Callable[[int], NDArray[np.float32]], inputs: int, budget_s: float, clock: Clock
    ) -> None:
        """Run a random choice of the inputs, as many as the budget allows; nothing is timed."""
        order = self._random.sample(range(inputs), inputs)
        began = clock()
        for count, index in enumerate(order):
            if count >= MOST_REFERENCES or (count >= LEAST_REFERENCES and clock() - began >= budget_s):
                break
            self._references[index] = run(index).copy()
        for index in order[:LEAST_REFERENCES]:
            self._differs_from_itself = max(self._differs_from_itself, _differ(run(index), self._references[index]))

    def order(self, inputs: int) -> list[int]:
        """A rotation of the inputs with a reference among any `REFERENCE_ONE_IN`, at a random place there."""
        referenced, rest = list(self._references), [index for index in range(inputs) if index not in self._references]
        if len(referenced) * REFERENCE_ONE_IN >= inputs:
            return list(range(inputs))
        order = []
        for block, first in enumerate(range(0, len(rest), REFERENCE_ONE_IN - 1)):
            chosen = rest[first : first + REFERENCE_ONE_IN - 1]
            chosen.insert(self._random.randint(0, len(chosen)), referenced[block % len(referenced)])
            order += chosen
        return order

    def offer(self, index: int, logits: NDArray[np.float32]) -> None:
        """Keep the timed output for an input, or do not: each has the same chance (Vitter's algorithm R)."""
        if index not in self._references:
            return
        with self._lock:
            self._seen += 1
            place = len(self._kept) if self._seen <= MOST_KEPT else self._random.randrange(self._seen)
            if place < MOST_KEPT:
                self._kept[place : place + 1] = [(index, logits.copy())]

    def compare(self) -> OutputComparison:
        """Compare the kept outputs with their references.

        Raises:
            ParityError: an output is not a number, or is not the one that the engine gives when nothing is timed, or
                that one differs each time.
        """
        # In 64 bits, as squares of large logits are infinite in 32.
        rows = np.concatenate(list(self._references.values())).astype(np.float64)
        if not np.isfinite(rows).all():
            raise ParityError("the engine gives logits that are not numbers", "`seatrial evaluate` names the images")
        size = float(np.sqrt(np.mean(np.sum(np.square(rows), axis=1)))) or 1.0
        spread = float(np.sqrt(np.mean(np.sum(np.square(rows - rows.mean(axis=0)), axis=1)))) / size
        noise = self._differs_from_itself / size
        if noise > max(PROVES * spread, self._rounding):
            raise ParityError(
                f"the engine runs the same batch twice with logits that differ by {noise:.2g} of their size, and "
                f"those of different images differ by {spread:.2g}: it does not compute its input",
                REBUILD,
            )
        errors = [_differ(logits, self._references[index]) / size for index, logits in self._kept]
        tolerance = max(OF_SPREAD * spread, min(OF_ITSELF * noise, PROVES * spread), self._rounding)
        wrong = sum(not error <= tolerance for error in errors)
        if wrong:
            raise ParityError(
                f"{wrong} of {len(errors)} outputs taken while it was timed are not those of an untimed run of the "
                f"same batches (off by up to {max(errors, default=0.0):.2g} of their size, {tolerance:.2g} allowed): "
                "the engine does not do the work that is timed",
                REBUILD,
            )
        return OutputComparison(len(errors), max(errors, default=0.0), tolerance, spread)


def _differ(logits: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The largest difference of one image's logits."""
    if logits.shape != reference.shape:
        return float("inf")
    return float(np.sqrt(np.max(np.sum(np.square(logits.astype(np.float64) - reference), axis=1))))


def time_pairs(
    time_ms: Callable[[NDArray[Any]], float],
    make_fresh: Callable[[], NDArray[Any]],
    repeated: NDArray[Any],
    budget_s: float,
    clock: Clock,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Time new batches and a repeated one in turns, in random order within each pair.

    Args:
        time_ms: runs a batch and returns its time.
    """
    order = random.Random()
    fresh_ms: list[float] = []
    repeated_ms: list[float] = []
    for _ in range(2):
        time_ms(repeated)
    began = clock()
    while len(fresh_ms) < LEAST_PAIRS or (len(fresh_ms) < MOST_PAIRS and clock() - began < budget_s):
        fresh = make_fresh()
        first_is_fresh = order.random() < 0.5
        times = [time_ms(batch) for batch in ((fresh, repeated) if first_is_fresh else (repeated, fresh))]
        fresh_ms.append(times[not first_is_fresh])
        repeated_ms.append(times[first_is_fresh])
    return tuple(round(ms, 6) for ms in fresh_ms), tuple(round(ms, 6) for ms in repeated_ms)


def check_caching(engine: str, points: Iterable[Point]) -> None:
    """Refuse an engine that is faster on a batch that it has run before.

    A one-sided sign test of the pairs of all processes: those in which the repeated batch was more than `FASTER` times
    as fast, against one half.

    Raises:
        ParityError: it does, for points of one kind or for all together.
    """
    groups: dict[object, list[tuple[float, float]]] = {}
    for point in points:
        pairs = list(zip(point.fresh_ms, point.repeated_ms, strict=True))
        for kind in (point.setting, None):
            groups.setdefault(kind, []).extend(pairs)
    from scipy.special import bdtrc  # Here, as a process that measures does not judge.

    for pairs in groups.values():
        faster = sum(fresh > FASTER * repeated for fresh, repeated in pairs)
        if faster and float(bdtrc(faster - 1, len(pairs), 0.5)) < SIGNIFICANCE:
            ratio = float(np.median([fresh / repeated for fresh, repeated in pairs]))
            raise ParityError(
                f"{engine} runs a batch that it has seen {ratio:.1f} times as fast as one that it has not "
                f"(more than {FASTER:g} in {faster} of {len(pairs)} pairs): it caches outputs",
                REBUILD,
            )
