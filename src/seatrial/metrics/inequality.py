"""Inequalities of figures that stand in text, such as `top1(openvino) >= 0.76`, as gates are written.

    inequality = sum ("<" | "<=" | ">" | ">=") sum
    sum        = numbers and terms with + - * / and parentheses
    term       = QUANTITY | QUANTITY(ENGINE) | QUANTITY(ENGINE, BATCH)

ENGINE is a name or `*`, which stands for one engine after the other and is meant where there is none. Which quantities
and engines there are is no matter of the grammar.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from seatrial.metrics.arithmetic import Number, evaluate, parse_arithmetic
from seatrial.metrics.expression_faults import find_fault

EACH = "*"
"""In the place of an engine's name."""
Sign = Literal["<", "<=", ">", ">="]
_SIGNS: Mapping[type[ast.cmpop], Sign] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_COMPARISONS: Mapping[Sign, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)(?:\s*\((?P<words>[^()]*)\))?|[-+*/()<>=\s]"
)

_PLACE = re.compile(r"\bterm\d+\b")


@dataclass(frozen=True, slots=True)
class Term:
    """A figure of an engine: a quantity, and the batch size that it is wanted at."""

    quantity: str
    engine: str = EACH
    batch_size: int | None = None

    def __str__(self) -> str:
        batch = "" if self.batch_size is None else f", {self.batch_size}"
        return self.quantity if self.engine == EACH and not batch else f"{self.quantity}({self.engine}{batch})"


@dataclass(frozen=True, slots=True)
class Inequality:
    """Two sums and the sign between them."""

    text: str
    """As it was written."""
    left: ast.expr
    sign: Sign
    right: ast.expr
    terms: Mapping[str, Term]
    """By the name that stands for each in the sums."""

    def __str__(self) -> str:
        sides = (_PLACE.sub(lambda place: str(self.terms[place[0]]), ast.unparse(side)) for side in self.sides)
        return f" {self.sign} ".join(sides)

    @property
    def signed(self) -> bool:
        """Whether a number in it has a minus sign of its own."""
        return any(isinstance(part, ast.UnaryOp) for side in self.sides for part in ast.walk(side))

    @property
    def sides(self) -> tuple[ast.expr, ast.expr]:
        """The left and the right sum."""
        return self.left, self.right

    def evaluate(self, number: Callable[[str], Number], values: Mapping[str, Number]) -> tuple[Number, Number]:
        """Both sides, with a value for each term by its name in `terms`.

        Raises:
            ValueError: there is something in it that is no arithmetic.
            ArithmeticError: it divides by zero.
        """
        return evaluate(self.left, number, values), evaluate(self.right, number, values)

    def holds(self, left: float, right: float) -> bool:
        """Whether the sign between these two is right."""
        return _COMPARISONS[self.sign](left, right)

    def names_on(self, side: ast.expr) -> tuple[str, ...]:
        """The names of the terms on one side."""
        return tuple(part.id for part in ast.walk(side) if isinstance(part, ast.Name))

    def bind(self, change: Callable[[Term], Term]) -> "Inequality":
        """The same with other terms."""
        return replace(self, terms={name: change(term) for name, term in self.terms.items()})


def parse_inequality(text: str) -> Inequality:
    """Read an inequality.

    Raises:
        ValueError: the text is none; says where and why.
    """
    fault = find_fault(text)
    if fault is not None:
        raise ValueError(fault)
    terms: dict[str, Term] = {}
    node = parse_arithmetic("".join(_name_terms(text, terms)))
    if not isinstance(node, ast.Compare) or len(node.ops) > 1 or type(node.ops[0]) not in _SIGNS:
        raise ValueError("it takes one of < <= > >=, once")
    if not terms:
        raise ValueError("it names no quantity, so it always comes out the same")
    found = Inequality(text, node.left, _SIGNS[type(node.ops[0])], node.comparators[0], terms)
    # No term is zero here, so only what divides by a zero that is written out fails.
    try:
        found.evaluate(float, dict.fromkeys(terms, float("nan")))
    except ZeroDivisionError:
        raise ValueError("it divides by zero") from None
    except RecursionError:
        raise ValueError("it cannot be read") from None
    return found


def list_terms(text: str) -> tuple[Term, ...]:
    """The terms of an inequality; none of a text that is none."""
    try:
        return tuple(parse_inequality(text).terms.values())
    except ValueError:
        return ()


def _name_terms(text: str, terms: dict[str, Term]) -> Iterator[str]:
    """The text with a name for each term, which are put into `terms`."""
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise ValueError(f"it has '{text[place]}', which belongs to no number, quantity, + - * / or comparison")
        place = token.end()
        if token["name"] is None:
            yield token[0]
            continue
        name = f"term{len(terms)}"
        terms[name] = _read_term(token["name"], token["words"])
        yield f" {name} "


def _read_term(quantity: str, words: str | None) -> Term:
    if words is None:
        return Term(quantity)
    engine, comma, batch = (part.strip() for part in words.partition(","))
    if not engine or (comma and not batch):
        raise ValueError(f"{quantity}() takes an engine, and a batch size after a comma")
    if comma and not re.fullmatch("[1-9][0-9]{0,9}", batch):
        raise ValueError(f"'{batch}' in {quantity}({words}) is no batch size")
    return Term(quantity, engine, int(batch) if comma else None)
