"""Speed gates such as `best(openvino-bf16) >= 1.2 * best(torch)`: a comparison of two sums.

`best(NAME)` is an engine's highest images/s over its batch sizes, `at(NAME, BATCH)` its images/s at one; numbers,
`+ - * /` and parentheses combine them.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from seatrial.compare.speed_column import SpeedFigure, read_measurement
from seatrial.errors import UsageError
from seatrial.metrics.arithmetic import evaluate, parse_arithmetic
from seatrial.metrics.trust import MEASURE_AGAIN
from seatrial.store.measurement import Measurement
from seatrial.store.records import GateResult, Outcome

_FIGURE = re.compile(r"\b(best|at)\s*\(([^()]*)\)")
_BEST = re.compile(r"\bbest\s*\(([^()]*)\)")
_REST = re.compile(r"[\d\s.()<>=*/+-]*")
"""What may be in a gate beside the figures."""
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

Figures = Mapping[str, Mapping[int | None, SpeedFigure]]
"""What was measured, by engine name and batch size; None is an unknown batch size."""


def judge_speed(text: str, measurements: Mapping[str, Measurement]) -> GateResult:
    """`judge_figures` of everything that was measured; the best number of streams where there are several."""
    return judge_figures(text, {name: read_measurement(found, name).headline for name, found in measurements.items()})


def judge_figures(text: str, measured: Figures) -> GateResult:
    """PASS or FAIL by the figures; INCONCLUSIVE when one of them was not measured, or is in doubt.

    Raises:
        UsageError: the expression cannot be read.
    """
    figures = GateFigures(measured)
    try:
        left, holds, right = figures.compare(text)
    except (ValueError, ArithmeticError, RecursionError) as error:
        reason = "it divides by zero" if isinstance(error, ZeroDivisionError) else str(error)
        raise UsageError(
            f"speed gate '{text}': {reason}", "write it like `best(openvino-bf16) >= 1.2 * best(torch)`"
        ) from None
    outcome: Outcome = "INCONCLUSIVE" if figures.missing else "PASS" if holds else "FAIL"
    reason = figures.missing[0] if figures.missing else f"{left:.5g} against {right:.5g}"
    return GateResult(gate="speed", engine="", outcome=outcome, kind="speed", reason=f"{text}: {reason}")


def find_exceptions(text: str, measured: Figures) -> tuple[int, ...]:
    """Batch sizes at which the expression fails beyond doubt, were each `best()` in it the figure at that size."""
    names = {match[1].strip() for match in _BEST.finditer(text)}
    sizes = [set(measured.get(name, {})) - {None} for name in names]
    common = sorted(size for size in set.intersection(*sizes) if size is not None) if sizes else []
    failed = (judge_figures(_BEST.sub(rf"at(\1, {size})", text), measured).outcome == "FAIL" for size in common)
    return tuple(size for size, fails in zip(common, failed, strict=True) if fails)


@dataclass(frozen=True, slots=True)
class GateFigures:
    """The measured figures that a gate may name."""

    measured: Figures
    missing: list[str] = field(default_factory=list)
    """Why a figure of it decides nothing."""

    def compare(self, text: str) -> tuple[float, bool, float]:
        """Both sides, NaN where a figure is missing, and whether the comparison between them holds.

        Raises:
            ValueError: the text is no comparison of figures.
            ArithmeticError: it divides by zero.
        """
        if not _REST.fullmatch(_FIGURE.sub(" ", text)):
            raise ValueError("there may only be best(NAME), at(NAME, BATCH), numbers, + - * /, ( ) and a comparison")
        values: dict[str, float] = {}

        def name_figure(match: re.Match[str]) -> str:
            name = f"figure{len(values)}"
            values[name] = self._look_up(match[1], match[2])
            return f" {name} "

        node = parse_arithmetic(_FIGURE.sub(name_figure, text))
        if not isinstance(node, ast.Compare) or len(node.ops) > 1 or type(node.ops[0]) not in _COMPARISONS:
            raise ValueError("it takes one of < <= > >=, once")
        if any(isinstance(part, ast.UnaryOp) for part in ast.walk(node)):
            raise ValueError("no figure is below 0")
        if not values:
            raise ValueError("it names no figure, so it always comes out the same")
        left, right = (evaluate(side, float, values) for side in (node.left, node.comparators[0]))
        return left, _COMPARISONS[type(node.ops[0])](left, right), right

    def _look_up(self, function: str, argument: str) -> float:
        """The figure, or NaN with the reason in `missing`."""
        name, comma, batch = (part.strip() for part in argument.partition(","))
        if function == "best" and (not name or comma):
            raise ValueError("best() takes a name")
        if function == "at" and not (name and batch.isdecimal()):
            raise ValueError("at() takes a name and a batch size")
        figures = self.measured.get(name)
        if not figures:
            self.missing.append(f"'{name}' was not measured (there is {', '.join(self.measured) or 'nothing'})")
            return math.nan
        size = max(figures, key=lambda size: figures[size].rate.value) if function == "best" else int(batch)
        if size not in figures:
            self.missing.append(f"'{name}' was not measured at batch {batch}")
            return math.nan
        rate = figures[size].rate
        if rate.doubt is not None:
            self.missing.append(f"'{name}' is in doubt: {rate.doubt}; {MEASURE_AGAIN}")
        return rate.value
