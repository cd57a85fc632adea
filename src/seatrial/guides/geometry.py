"""Sizes that follow from the image's own: the side that a resize sets, and crops out of the middle."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seatrial.guides.values import Known, Opaque, Value

Evaluate = Callable[[ast.expr, dict[str, Value]], Value]
SHORTER = "<shorter side>"
"""What a scope calls the side that is known to be the shorter one."""
_BELOW = (ast.Lt, ast.LtE)
_ABOVE = (ast.Gt, ast.GtE)


@dataclass(frozen=True, slots=True)
class Side:
    """What a resize sets, the other side following."""

    target: str
    """`short_side`, `long_side`, or `cover`, whose other side is rounded."""
    pixels: int
    line: int


def read_one_side(test: ast.expr, scope: Mapping[str, Value], holds: bool) -> dict[str, Value]:
    """Which side is the shorter one where a comparison of both holds, or where it does not."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return {}
    kinds = [
        value.kind if isinstance(value := scope.get(getattr(side, "id", "")), Opaque) else ""
        for side in (test.left, test.comparators[0])
    ]
    if set(kinds) != {"width", "height"} or not isinstance(test.ops[0], (*_BELOW, *_ABOVE)):
        return {}
    left_is_shorter = isinstance(test.ops[0], _BELOW) is holds
    return {SHORTER: Known(kinds[0 if left_is_shorter else 1], test.lineno)}


def find_side(node: ast.expr, evaluate: Evaluate, scope: dict[str, Value]) -> Side | None:
    """The side that a size `(width, height)` sets; None where that is not clear.

    Args:
        scope: what names are where it stands.
    """
    node = follow(node, scope)
    if isinstance(node, ast.IfExp):
        found = [
            find_side(branch, evaluate, {**scope, **read_one_side(node.test, scope, holds)})
            for branch, holds in ((node.body, True), (node.orelse, False))
        ]
        one, other = found
        alike = one and other and (one.target, one.pixels) == (other.target, other.pixels)
        return one if alike else None
    if not isinstance(node, ast.Tuple) or len(node.elts) != 2 or SHORTER not in scope:
        return None
    values = [evaluate(each, scope) for each in node.elts]
    known = [isinstance(value, Known) and isinstance(value.value, int) for value in values]
    if sum(known) != 1:
        return None
    place = known.index(True)
    shorter = scope[SHORTER].value == ("width", "height")[place]
    other_text = ast.unparse(follow(node.elts[1 - place], scope))
    rounded = "round" in other_text or "0.5" in other_text
    if rounded and not shorter:
        return None
    target = "cover" if rounded else "short_side" if shorter else "long_side"
    return Side(target, values[place].value, values[place].line)


def follow(node: ast.expr, scope: Mapping[str, Value]) -> ast.expr:
    """The expression that a name stands for."""
    for _ in range(4):
        value = scope.get(node.id) if isinstance(node, ast.Name) else None
        if not isinstance(value, Opaque) or value.node is None:
            return node
        node = value.node
    return node


def read_crop(
    node: ast.expr, evaluate: Callable[[ast.expr], Value], scope: Mapping[str, Value]
) -> tuple[dict[str, Any], int] | None:
    """Options of a crop out of the middle, and the line of its size; None for anything else.

    Args:
        node: what is between brackets of an array, rows first, or the box of Pillow's crop, columns first.
    """
    if not isinstance(node, ast.Tuple) or len(node.elts) < 2:
        return None
    first = node.elts[:2]
    if all(isinstance(each, ast.Slice) for each in first):
        starts = [each.lower for each in first if isinstance(each, ast.Slice)]
    elif len(node.elts) == 4 and not any(isinstance(each, ast.Slice) for each in node.elts):
        starts = [node.elts[1], node.elts[0]]
    else:
        return None
    top, left = (None if start is None else _find_margin(start, evaluate, scope) for start in starts)
    if top is None or left is None:
        return None
    height, rule, line = top
    return {"size": (height, left[0]), "offset": rule}, line


def _find_margin(
    start: ast.expr, evaluate: Callable[[ast.expr], Value], scope: Mapping[str, Value]
) -> tuple[int, str, int] | None:
    """Size and rule of a crop that starts at `(side - size) / 2`."""
    expression = follow(start, scope)
    text = ast.unparse(expression)
    if "/" not in text and ">> 1" not in text:
        return None
    for each in ast.walk(expression):
        if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub):
            size = evaluate(each.right)
            if isinstance(size, Known) and isinstance(size.value, int | float) and size.value >= 1:
                rule = "half_even" if "round" in text else "floor" if "//" in text else "truncate"
                return int(size.value), rule, size.line
    return None
