"""Places in the source at which a small change must make a test fail: listed, chosen, found again, changed."""

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

NEEDS_HARDWARE = ("engines/tensorrt/cuda.py", "train/transfer.py", "train/device_copies.py")
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult,
}  # fmt: skip
NEAR = 0.6
"""Least likeness of two statements in functions of one name that can be one statement, edited."""


@dataclass(frozen=True, slots=True)
class Place:
    """One change, described so that it can be found in a later tree."""

    module: str
    """Path below the package's folder."""
    function: str
    """Qualified name."""
    kind: str
    """compare, constant, arithmetic, branch, not or boolean."""
    change: str
    """`< to <=`."""
    index: int
    """Among the changes of this kind in the function."""
    text: str
    """The expression that is changed."""
    statement: str
    """The statement around it, without its body."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a parsed module."""

    place: Place
    node: ast.AST
    slot: int
    """Which operator of a chain of comparisons."""


def list_sites(tree: ast.Module, module: str) -> list[Site]:
    """Every place in the functions of a module, in the order of the source."""
    return [] if module in NEEDS_HARDWARE or module.endswith("__main__.py") else list(_walk_block(tree, module, "", {}))


def apply_change(site: Site) -> None:
    """Change the parsed module."""
    match site.node:
        case ast.Compare(ops=ops):
            ops[site.slot] = COMPARISONS[type(ops[site.slot])]()
        case ast.Constant(value=value) as node:
            node.value = not value if isinstance(value, bool) else value + 1  # type: ignore[operator]
        case ast.BinOp() | ast.AugAssign() as node:
            node.op = ARITHMETIC[type(node.op)]()
        case ast.If() | ast.IfExp() as node:
            node.test = ast.Constant(False)
        case ast.BoolOp() as node:
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp() as node:
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        case _:
            raise TypeError(type(site.node))


def parse_package(package: Path) -> dict[str, ast.Module]:
    """The parsed modules by path below the package's folder."""
    files = sorted(package.rglob("*.py"))
    return {str(path.relative_to(package)): ast.parse(path.read_text()) for path in files}


def choose_places(package: Path, count: int, seed: int) -> list[Place]:
    """Places at random, one a function, from each package as many as its share of all places."""
    groups: dict[str, dict[tuple[str, str], list[Place]]] = {}
    for module, tree in parse_package(package).items():
        for site in list_sites(tree, module):
            functions = groups.setdefault(module.split("/")[0] if "/" in module else "", {})
            functions.setdefault((module, site.place.function), []).append(site.place)
    sizes = {name: sum(map(len, functions.values())) for name, functions in groups.items()}
    shares = {name: count * size / sum(sizes.values()) for name, size in sizes.items()}
    quotas = {name: int(share) for name, share in shares.items()}
    for name in sorted(shares, key=lambda name: quotas[name] - shares[name])[: count - sum(quotas.values())]:
        quotas[name] += 1
    chance = random.Random(seed)
    chosen = [place for name in sorted(groups) for place in _choose_in(groups[name], quotas[name], chance)]
    chance.shuffle(chosen)  # so that the first of them stand for all
    return chosen


def _choose_in(functions: dict[tuple[str, str], list[Place]], count: int, chance: random.Random) -> list[Place]:
    """A larger function is more likely; in it each kind of change is as likely as another."""
    left, chosen = dict(functions), []
    while left and len(chosen) < count:
        places = left.pop(chance.choices(list(left), [len(places) for places in left.values()])[0])
        kind = chance.choice(sorted({place.kind for place in places}))
        chosen.append(chance.choice([place for place in places if place.kind == kind]))
    return chosen


def list_package(package: Path) -> list[Site]:
    """Every place of a package."""
    return [site for module, tree in parse_package(package).items() for site in list_sites(tree, module)]


def make_change(source: str, place: Place) -> str:
    """The source of a module with the change made."""
    tree = ast.parse(source)
    apply_change(next(site for site in list_sites(tree, place.module) if site.place == place))
    return ast.unparse(ast.fix_missing_locations(tree))


def find_place(place: Place, sites: list[Site]) -> Place | None:
    """The place in another package, whatever has moved.

    In a function of the same name the same expression, or else an expression in a statement much like the old one; in
    any other function the same statement, if there is only one.
    """
    sites = [site for site in sites if (site.place.kind, site.place.change) == (place.kind, place.change)]
    inside = [site for site in sites if site.place.function == place.function]
    candidates = [site for site in inside if site.place.text == place.text]
    candidates = candidates or [site for site in inside if _measure_likeness(site.place, place) >= NEAR]
    if not candidates:
        same = [site for site in sites if (site.place.text, site.place.statement) == (place.text, place.statement)]
        candidates = same if len(same) == 1 else []
    return max((site.place for site in candidates), key=lambda found: _rank(found, place), default=None)


def _rank(place: Place, wanted: Place) -> tuple[bool, float, int]:
    return place.module == wanted.module, _measure_likeness(place, wanted), -abs(place.index - wanted.index)


def _measure_likeness(place: Place, wanted: Place) -> float:
    return SequenceMatcher(None, place.statement, wanted.statement, autojunk=False).ratio()


def _walk_block(node: ast.AST, module: str, scope: str, counts: dict[str, int]) -> Iterator[Site]:
    """The sites below a module, class or function, function by function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = f"{scope}.{child.name}".lstrip(".")
            if not isinstance(child, ast.ClassDef):
                own: dict[str, int] = {}
                for statement in child.body:
                    yield from _walk_statement(statement, module, inner, own)
            yield from _walk_block(child, module, inner, counts)
        elif isinstance(child, ast.stmt):
            yield from _walk_block(child, module, scope, counts)


def _walk_statement(node: ast.stmt, module: str, scope: str, counts: dict[str, int]) -> Iterator[Site]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    statement = _write_head(node)
    for part, slot, kind, change in _list_changes(node):
        index = counts[kind] = counts.get(kind, -1) + 1
        place = Place(module, scope, kind, change, index, _write_head(part), statement)
        yield Site(place, part, slot)
    for child in _list_statements(node):
        yield from _walk_statement(child, module, scope, counts)


def _list_statements(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from _list_statements(child)


def _list_changes(node: ast.AST) -> Iterator[tuple[ast.AST, int, str, str]]:
    """What can be changed in a statement but not in the statements, texts and annotations below it."""
    yield from _list_own_changes(node)
    skipped = node.annotation if isinstance(node, ast.AnnAssign) else None
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.match_case):
            yield from _list_changes(child.guard) if child.guard is not None else ()
        elif child is not skipped and not isinstance(child, ast.stmt | ast.ExceptHandler | ast.JoinedStr):
            yield from _list_changes(child)


def _list_own_changes(node: ast.AST) -> Iterator[tuple[ast.AST, int, str, str]]:
    match node:
        case ast.Compare(ops=ops):
            for slot, op in enumerate(ops):
                yield node, slot, "compare", f"{type(op).__name__} to {COMPARISONS[type(op)].__name__}"
        case ast.Constant(value=bool() | int() | float() as value):
            yield node, 0, "constant", f"{value} to {not value if isinstance(value, bool) else value + 1}"
        case ast.BinOp() | ast.AugAssign() if type(node.op) in ARITHMETIC and not _joins_text(node):
            yield node, 0, "arithmetic", f"{type(node.op).__name__} to {ARITHMETIC[type(node.op)].__name__}"
        case ast.If() | ast.IfExp():
            yield node, 0, "branch", "condition to False"
        case ast.BoolOp(op=op):
            yield node, 0, "boolean", "and to or" if isinstance(op, ast.And) else "or to and"
        case ast.UnaryOp(op=ast.Not()):
            yield node, 0, "not", "not dropped"


def _joins_text(node: ast.BinOp | ast.AugAssign) -> bool:
    sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
    return any(isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", 0), str) for side in sides)


def _write_head(node: ast.AST) -> str:
    """The source of an expression or statement, without the statements below it."""
    if isinstance(node, ast.expr):
        return ast.unparse(node)
    parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr | ast.withitem)]
    compound = any(True for _ in _list_statements(node)) or isinstance(node, ast.Match)
    return type(node).__name__.lower() + " " + ", ".join(map(ast.unparse, parts)) if compound else ast.unparse(node)
