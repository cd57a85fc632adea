"""What an expression of a script is known to be without running it, with the line that its figure stands in."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Known:
    """A number, a string, a tuple of values or a dictionary of them."""

    value: Any
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something that only running would tell."""

    node: ast.expr | None = field(default=None, compare=False)
    kind: str = ""
    """`width` or `height` of an image, where it is that."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The image on its way to the network, or one of its channels."""

    channel: int | None = None
    """None: all; below 0: it is not known whether `image[0]` is a channel, a row or an image."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that is done to an image, in the words of this package."""

    name: str
    options: Mapping[str, Any]
    file: str = field(compare=False)
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Transform:
    """Operations that are given a name before they are applied."""

    operations: tuple[Any, ...]
    """Of `Operation`, or instances of the script's own classes."""
    training: bool = False
    """Some of them are drawn at random."""


@dataclass(slots=True)
class Instance:
    """An object of a class of the script."""

    cls: ast.ClassDef
    attributes: dict[str, Any] = field(default_factory=dict)


def find_line(value: Any, otherwise: int) -> int:
    """The line in which a value's figures stand."""
    if not isinstance(value, Known):
        return otherwise
    parts = value.value if isinstance(value.value, tuple) else ()
    return next((part.line for part in parts if isinstance(part, Known)), value.line)


Value = Any
"""One of the above, or a function of the script (`ast.FunctionDef`) or a class (`ast.ClassDef`)."""
UNKNOWN = Opaque()
BY_NAME = {
    "IMAGENET_DEFAULT_MEAN": (0.485, 0.456, 0.406),
    "IMAGENET_DEFAULT_STD": (0.229, 0.224, 0.225),
    "IMAGENET_INCEPTION_MEAN": (0.5, 0.5, 0.5),
    "IMAGENET_INCEPTION_STD": (0.5, 0.5, 0.5),
}
"""timm's constants, which scripts import by these names."""
FILTERS = ("NEAREST", "BILINEAR", "BICUBIC", "LANCZOS", "BOX", "HAMMING", "ANTIALIAS")
"""Pillow's filters, whatever they are an attribute of."""
PILLOW_NUMBERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
OPENCV = {"INTER_LINEAR": "bilinear", "INTER_CUBIC": "bicubic", "INTER_NEAREST": "nearest", "INTER_LANCZOS4": "lanczos"}
MOST = 1e9
"""No figure of an image is larger."""
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "round": round,
    "math.floor": math.floor,
    "math.ceil": math.ceil,
    "str": str,
}


def name_of(node: ast.expr) -> str:
    """The dotted name that an expression is; empty for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := name_of(node.value)):
        return f"{base}.{node.attr}"
    return ""


def find_named(node: ast.expr) -> Known | None:
    """A filter or a constant that is known by its name."""
    last = name_of(node).rpartition(".")[2]
    line = getattr(node, "lineno", 0)
    if last in BY_NAME:
        return Known(tuple(Known(value, line) for value in BY_NAME[last]), line)
    if last in FILTERS:
        return Known("lanczos" if last == "ANTIALIAS" else last.lower(), line)
    if last.upper() in FILTERS and "Resampling" in name_of(node):
        return Known(last, line)
    return Known(OPENCV[last], line) if last in OPENCV else None


def apply_operator(kind: ast.operator, left: Value, right: Value) -> Value:
    """The result of arithmetic on two values; unknown where one of them is."""
    if isinstance(left, Known) and isinstance(right, Known) and type(kind) in _OPERATORS:
        if isinstance(kind, ast.Mult) and not (_is_number(left.value) and _is_number(right.value)):
            return _repeat(left, right) or _spread(kind, left, right)
        try:
            return Known(_OPERATORS[type(kind)](left.value, right.value), left.line)
        except (TypeError, ArithmeticError, MemoryError):
            return _spread(kind, left, right)
    return UNKNOWN


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _repeat(left: Known, right: Known) -> Known | None:
    """`[0.5] * 3`; None for anything longer than the channels of an image."""
    few = isinstance(left.value, tuple) and len(left.value) == 1 and right.value in (1, 3)
    return Known(left.value * right.value, left.line) if few else None


def _spread(kind: ast.operator, left: Known, right: Known) -> Value:
    """Arithmetic on a tuple and a number, as numpy does it."""
    if isinstance(left.value, tuple) and isinstance(right.value, int | float):
        return Known(tuple(apply_operator(kind, each, right) for each in left.value), left.line)
    return UNKNOWN


def compare(node: ast.Compare, left: Value, right: Value) -> bool | None:
    """The result of a comparison; None where it is not known."""
    test = _COMPARISONS.get(type(node.ops[0]))
    if test is None or not (isinstance(left, Known) and isinstance(right, Known)):
        return None
    try:
        return bool(test(left.value, right.value))
    except TypeError:
        return None


def call_plain(name: str, arguments: list[Value]) -> Value | None:
    """The result of a function of numbers; None for any other."""
    function = _FUNCTIONS.get(name)
    if function is None or len(arguments) != 1 or not isinstance(arguments[0], Known):
        return None
    try:
        return Known(function(arguments[0].value), arguments[0].line)
    except (TypeError, ValueError, OverflowError):
        return None


def read_numbers(value: Value) -> tuple[float, ...] | None:
    """The numbers of a value, one or several."""
    if not isinstance(value, Known):
        return None
    if isinstance(value.value, bool):
        return None
    if isinstance(value.value, int | float):
        number = float(value.value) if abs(value.value) < MOST else math.inf
        return (number,) if math.isfinite(number) else None
    if isinstance(value.value, tuple):
        parts = [read_numbers(each) for each in value.value]
        if parts and all(part is not None and len(part) == 1 for part in parts):
            return tuple(part[0] for part in parts if part)
    return None


def read_size(value: Value) -> tuple[int, ...] | None:
    """A size in pixels: one number, or height and width."""
    numbers = read_numbers(value)
    if numbers is None or len(numbers) > 2 or any(number != int(number) or number < 1 for number in numbers):
        return None
    return tuple(int(number) for number in numbers)


def read_filter(value: Value) -> str | None:
    """The interpolation that a value names."""
    if isinstance(value, Known) and isinstance(value.value, str):
        return value.value.lower() if value.value.upper() in FILTERS else None
    if isinstance(value, Known) and isinstance(value.value, int):
        return PILLOW_NUMBERS.get(value.value)
    return None
