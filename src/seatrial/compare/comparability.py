"""Comparability: what must be alike before figures are put side by side."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

from seatrial.compare.speed_column import PREFERRED, Kind, SpeedColumn, Unit
from seatrial.errors import NotComparable, UsageError
from seatrial.store.measurement import Scope
from seatrial.strict import check_name

KINDS: tuple[Kind, ...] = get_args(Kind)
_MENDS: Mapping[str, str] = {"chips": "import the log again with --chips-per-card N, or give --per chip"}
_SHORT = 12
"""Digits of a hash that are shown."""
AnyKind = TypeVar("AnyKind", bound=str)


@dataclass(frozen=True, slots=True)
class Basis:
    """Scope and unit of one column's figures."""

    scope: Scope
    unit: Unit


def check_kinds(allowed: Collection[str], kinds: Sequence[AnyKind], what: str = "difference") -> frozenset[AnyKind]:
    """Those of the `kinds` of difference that are allowed, by name; `what` they are in messages.

    Raises:
        UsageError: there is no such kind.
    """
    for name in allowed:
        check_name(name, kinds, f"--allow {name}: there is no such {what}")
    return frozenset(kind for kind in kinds if kind in allowed)


def choose_basis(
    columns: Sequence[SpeedColumn], scope: Scope | None = None, per: Unit | None = None
) -> tuple[Basis, ...]:
    """Scope and unit for each column: the same for all, where all have it.

    Args:
        scope: else the first of `PREFERRED` that all columns have, or that of the first column where they have it.
        per: default: whole cards; a column of unknown chips per card stays with one chip.

    Raises:
        UsageError: a column has no figures, or none in that scope.
    """
    for column in columns:
        if not column.figures:
            raise UsageError(f"{column.name} has no figures: every point failed", "measure again with `seatrial bench`")
        if scope is not None and scope not in column.figures:
            there = " or ".join(column.figures)
            raise UsageError(f"{column.name} was not measured in scope {scope}", f"take --scope {there}")
    known = [s for s in PREFERRED if s in columns[0].figures]
    alike = [s for s in known if all(s in column.figures for column in columns)]
    common: Scope = scope if scope is not None else (alike or known)[0]
    scopes: list[Scope] = [
        common if common in c.figures else next(s for s in PREFERRED if s in c.figures) for c in columns
    ]
    units: list[Unit] = ["chip" if per == "chip" or c.chips_per_card is None else "card" for c in columns]
    return tuple(map(Basis, scopes, units))


def find_unlike(
    columns: Sequence[SpeedColumn], bases: Sequence[Basis], kinds: Collection[Kind] = KINDS
) -> dict[Kind, dict[str, str]]:
    """What differs: for each kind the columns' facts in words, by name.

    An unknown fact is no difference. Graphs are compared at the same precision only, as another precision may need
    another graph.
    """
    facts: dict[str, Mapping[Kind, str | None]] = {
        c.name: {**c.facts, "scope": basis.scope, "chips": "one chip" if basis.unit == "chip" else "a card"}
        for c, basis in zip(columns, bases, strict=True)
    }
    unlike: dict[Kind, dict[str, str]] = {}
    for kind in kinds:
        known = {name: value for name, own in facts.items() if (value := own.get(kind)) is not None}
        different = _keep_other_graphs(known, facts) if kind == "graph" else known
        if len(set(different.values())) > 1:
            unlike[kind] = {name: shorten_hash(value) for name, value in different.items()}
    return unlike


def _keep_other_graphs(graphs: Mapping[str, str], facts: Mapping[str, Mapping[Kind, str | None]]) -> dict[str, str]:
    """Those that are not the only graph of their precision."""
    by_precision: dict[str | None, dict[str, str]] = {}
    for name, graph in graphs.items():
        by_precision.setdefault(facts[name].get("precision"), {})[name] = graph
    return {name: graph for own in by_precision.values() if len(set(own.values())) > 1 for name, graph in own.items()}


def shorten_hash(value: str) -> str:
    """A hash by its first digits, all else as it is."""
    return value[:_SHORT] if len(value) == 64 and " " not in value else value


def refuse_unlike(unlike: Mapping[AnyKind, Mapping[str, str]], allowed: Collection[str], what: str = "figures") -> None:
    """Refuse differences that are not allowed, of the things that messages call `what`.

    Raises:
        NotComparable: names every such difference, and the option that allows it.
    """
    refused = [kind for kind in unlike if kind not in allowed]
    if refused:
        differences = "; ".join(describe_unlike(kind, unlike[kind]) for kind in refused)
        mends = [_MENDS[kind] for kind in refused if kind in _MENDS]
        allow = f"--allow {','.join(sorted({*refused, *allowed}))} compares them all the same"
        raise NotComparable(f"these {what} are not comparable: {differences}", ", or else ".join([*mends, allow]))


def describe_unlike(kind: str, values: Mapping[str, str]) -> str:
    """A difference in words: `precision: fp32 (torch, onnxruntime), int8 (openvino)`."""
    names: dict[str, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return f"{kind}: " + ", ".join(f"{value} ({', '.join(who)})" for value, who in names.items())
