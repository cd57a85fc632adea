"""Speed gates such as `best(openvino-bf16) >= 1.2 * best(torch)`, read by a small parser.

    gate    = sum ("<" | "<=" | ">" | ">=") sum
    sum     = product {("+" | "-") product}
    product = factor {("*" | "/") factor}
    factor  = number | "best(" name ")" | "at(" name "," batch ")" | "(" sum ")"

`best` is an engine's highest images/s over its batch sizes, `at` its images/s at one.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from seatrial.compare.speed_column import Figure, read_measurement
from seatrial.errors import UsageError
from seatrial.metrics.trust import MEASURE_AGAIN
from seatrial.store.measurement import Measurement
from seatrial.store.records import GateResult

_TOKEN = re.compile(r"\s*(?:(best|at)\s*\(([^()]*)\)|(\d+(?:\.\d+)?)|(<=|>=|[-<>+*/()]))")
_BEST = re.compile(r"\bbest\s*\(([^()]*)\)")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}

Rates = Mapping[str, Mapping[int | None, float]]
"""Images per second by engine name and batch size, which None stands for where nobody told it."""


Doubts = Mapping[str, Mapping[int | None, str]]
"""Why a figure decides nothing, by engine name and batch size; those that do are not in it."""


class _NotMeasured(Exception):
    """The expression names what this run has no figure for, or one that decides nothing."""


def read_rates(figures: Mapping[str, Mapping[int | None, Figure]]) -> dict[str, dict[int | None, float]]:
    """Images/s by engine and batch size."""
    return {name: {size: figure.rate.value for size, figure in found.items()} for name, found in figures.items()}


def read_doubts(figures: Mapping[str, Mapping[int | None, Figure]]) -> dict[str, dict[int | None, str]]:
    """What is in doubt among them."""
    return {
        name: {size: figure.rate.doubt for size, figure in found.items() if figure.rate.doubt}
        for name, found in figures.items()
    }


def judge_speed(text: str, measurements: Mapping[str, Measurement]) -> GateResult:
    """`judge_rates` of everything that was measured; the best number of streams where there are several."""
    figures = {name: read_measurement(measured, name).headline for name, measured in measurements.items()}
    return judge_rates(text, read_rates(figures), read_doubts(figures))


def judge_rates(text: str, rates: Rates, doubts: Doubts = MappingProxyType({})) -> GateResult:
    """PASS or FAIL by the figures; INCONCLUSIVE when one of them was not measured, or is in doubt.

    Raises:
        UsageError: the expression cannot be read.
    """
    try:
        left, comparison, right = SpeedExpression(text, rates, doubts).evaluate()
    except _NotMeasured as missing:
        outcome, reason = "INCONCLUSIVE", f"{text}: {missing}"
    else:
        outcome = "PASS" if _COMPARISONS[comparison](left, right) else "FAIL"
        reason = f"{text}: {left:.5g} against {right:.5g}"
    return GateResult.model_validate(
        {"gate": "speed", "engine": "", "outcome": outcome, "kind": "speed", "reason": reason}
    )


def find_exceptions(text: str, rates: Rates) -> tuple[int, ...]:
    """Batch sizes at which the expression fails, were each `best()` in it the figure at that size."""
    names = {match[1].strip() for match in _BEST.finditer(text)}
    sizes = [set(rates.get(name, {})) - {None} for name in names]
    common = sorted(size for size in set.intersection(*sizes) if size is not None) if sizes else []
    failed = (judge_rates(_BEST.sub(rf"at(\1, {size})", text), rates).outcome == "FAIL" for size in common)
    return tuple(size for size, fails in zip(common, failed, strict=True) if fails)


class SpeedExpression:
    """One expression over measured rates."""

    def __init__(self, text: str, rates: Rates, doubts: Doubts = MappingProxyType({})) -> None:
        self.text = text
        self.rates = rates
        self.doubts = doubts
        self.missing: list[str] = []
        self.named: set[str] = set()
        self.tokens = self._split(text)

    def evaluate(self) -> tuple[float, str, float]:
        """Both sides and the comparison between them."""
        # Read to its end before anything is said to be missing: what cannot be read must not pass for unmeasured.
        sides = self._compare()
        if self.missing:
            raise _NotMeasured(self.missing[0])
        return sides

    def _compare(self) -> tuple[float, str, float]:
        left = self._sum()
        comparison = self._take()
        if comparison not in _COMPARISONS:
            raise self._refuse(f"expected one of {' '.join(_COMPARISONS)}")
        right = self._sum()
        if self.tokens:
            raise self._refuse(f"'{self.tokens[0]}' stands too much")
        if not self.named:
            raise self._refuse("it names no figure, so it always comes out the same")
        return left, str(comparison), right

    def _split(self, text: str) -> list[str | float]:
        tokens: list[str | float] = []
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._refuse(f"cannot read '{text[at : at + 20].strip()}'")
            function, argument, number, symbol = match.groups()
            tokens.append(self._look_up(function, argument) if function else float(number) if number else symbol)
            at = match.end()
        return tokens

    def _look_up(self, function: str, argument: str) -> float:
        """The figure, or NaN with the reason in `missing`."""
        name, comma, batch = (part.strip() for part in argument.partition(","))
        if function == "best" and (not name or comma):
            raise self._refuse("best() takes a name")
        if function == "at" and not (name and batch.isdecimal()):
            raise self._refuse("at() takes a name and a batch size")
        self.named.add(name)
        rates = self.rates.get(name)
        if not rates:
            self.missing.append(f"'{name}' was not measured (there is {', '.join(self.rates) or 'nothing'})")
            return math.nan
        size = max(rates, key=lambda size: rates[size]) if function == "best" else int(batch)
        if size not in rates:
            self.missing.append(f"'{name}' was not measured at batch {batch}")
        if (doubt := self.doubts.get(name, {}).get(size)) is not None:
            self.missing.append(f"'{name}' is in doubt, for {doubt}; {MEASURE_AGAIN}")
        return rates.get(size, math.nan)

    def _sum(self) -> float:
        value = self._product()
        while self.tokens and self.tokens[0] in ("+", "-"):
            value = _ARITHMETIC[str(self._take())](value, self._product())
        return value

    def _product(self) -> float:
        value = self._factor()
        while self.tokens and self.tokens[0] in ("*", "/"):
            symbol, factor = str(self._take()), self._factor()
            if symbol == "/" and factor == 0:
                raise self._refuse("it divides by zero")
            value = _ARITHMETIC[symbol](value, factor)
        return value

    def _factor(self) -> float:
        token = self._take()
        if isinstance(token, float):
            return token
        if token == "(":
            value = self._sum()
            if self._take() != ")":
                raise self._refuse("a ')' is missing")
            return value
        raise self._refuse(f"'{token}' is no figure" if token else "it ends too early")

    def _take(self) -> str | float | None:
        return self.tokens.pop(0) if self.tokens else None

    def _refuse(self, reason: str) -> UsageError:
        return UsageError(
            f"speed gate '{self.text}': {reason}", "write it like `best(openvino-bf16) >= 1.2 * best(torch)`"
        )
