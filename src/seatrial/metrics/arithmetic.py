"""Arithmetic that stands in text, such as `1.2 * (a + b)`: parsed, and never run as Python."""

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, Self, TypeVar

LONGEST_TEXT = 500


class Arithmetic(Protocol):
    """What can be added, multiplied and negated: float, Decimal, a unit."""

    def __add__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __neg__(self) -> Self: ...


Number = TypeVar("Number", bound=Arithmetic)

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def parse_arithmetic(text: str) -> ast.expr:
    """The expression, on however many lines it stands.

    Raises:
        ValueError: it is no expression, or so long that it could be nested too deep.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"it is longer than {LONGEST_TEXT} characters")
    try:
        return ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("it cannot be read") from error


def evaluate(
    node: ast.expr, number: Callable[[str], Number], names: Mapping[str, Number] = MappingProxyType({})
) -> Number:
    """The value of `+ - * /` and signs between numbers and `names`.

    Args:
        number: makes a number of its digits, or of whatever else counts as one, such as a unit.

    Raises:
        ValueError: there is something else in it.
        ArithmeticError: it divides by zero.
    """
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as sign, right):
            value: Number = _OPERATORS[type(sign)](evaluate(left, number, names), evaluate(right, number, names))
            return value
        case ast.UnaryOp(ast.USub(), operand):
            return -evaluate(operand, number, names)
        case ast.Constant(int() | float() as digits) if not isinstance(digits, bool):
            return number(str(digits))
        case ast.Name(name) if name in names:
            return names[name]
    raise ValueError("it takes numbers, + - * / and parentheses only")
