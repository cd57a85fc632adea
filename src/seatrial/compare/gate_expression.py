"""Gates that are expressions, such as `top1 >= 0.76` or `images_per_s(openvino) >= 1.2 * images_per_s(onnxruntime)`.

The grammar is `metrics.inequality`'s, the quantities are those of `compare.quantities`. A gate passes or fails by the
bounds of what has an interval. Of several uncertain figures each is moved to its bounds alone, and the distances add
like the sides of a right angle (MOVER: Zou and Donner 2008, "Construction of confidence intervals about effect
measures", Statistics in Medicine 27). That is of independent figures; those of the same images that push a gate in the
same way are not, and their distances are added up.
"""

import ast
import contextlib
import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from seatrial.compare.quantities import QUANTITIES, SHARE, Amount, Evidence
from seatrial.errors import UsageError
from seatrial.metrics.inequality import EACH, Inequality, Term, parse_inequality
from seatrial.metrics.units import NUMBER, Unit
from seatrial.store.records import GateKind, GateResult, Outcome
from seatrial.strict import suggest

EXAMPLE = "write it like `top1 >= 0.76` or `best(openvino-bf16) >= 1.2 * best(torch)`"
KINDS: tuple[GateKind, ...] = ("accuracy", "speed", "resources")
"""The kind of a gate is the first of these that one of its quantities has."""


@dataclass(frozen=True, slots=True)
class GateScope:
    """What gates may name in a run or a comparison; known before any work."""

    engines: tuple[str, ...]
    reference: str = ""
    """Which of them the others are compared with; empty where there is none."""
    batch_sizes: Collection[int] = ()
    """That are measured; empty where nobody knows."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names for the engines, such as `openvino:bf16`."""
    measured_by: str = "--batch-size is"
    """What says which batch sizes there are, before their list."""
    kinds: tuple[GateKind, ...] = KINDS
    """Of quantities that there can be figures of."""

    def resolve(self, term: Term) -> Term:
        """The term with the engine's own name.

        Raises:
            ValueError: there is no such engine, the batch size is not measured, or there is no such quantity here.
        """
        if QUANTITIES[term.quantity].kind not in self.kinds:
            known = ", ".join(name for name, row in QUANTITIES.items() if row.kind in self.kinds)
            raise ValueError(f"there is no {term.quantity} in what is compared; there can be {known}")
        name = self.aliases.get(term.engine, term.engine)
        if name != EACH and name not in self.engines:
            raise ValueError(f"there is no engine '{name}' here; {suggest(name, list(self.engines))}")
        if self.batch_sizes and term.batch_size not in (None, *self.batch_sizes):
            measured = ", ".join(map(str, self.batch_sizes))
            raise ValueError(f"batch {term.batch_size} is not measured; {self.measured_by} {measured}")
        return replace(term, engine=name)

    def choose(self, gate: Inequality) -> tuple[str, ...]:
        """The engines that take the place of `*`: all but the reference and those that the gate names."""
        named = {term.engine for term in gate.terms.values()} | {self.reference}
        return tuple(name for name in self.engines if name not in named)


def list_aliases(builds: Mapping[str, tuple[str, str, str]]) -> dict[str, str]:
    """Every way to request an engine of a run by which no other of them can be meant, and its name in the run.

    Args:
        builds: engine, precision and device by the name in the run.
    """
    spelled: dict[str, set[str]] = {}
    for name, (engine, precision, device) in builds.items():
        full = [f"{engine}:{precision}", f"{engine}-{precision}", *([engine] if precision == "fp32" else [])]
        for words in (*full, *(f"{each}@{device}" for each in full)):
            spelled.setdefault(words, set()).add(name)
    return {words: min(names) for words, names in spelled.items() if len(names) == 1 and words not in builds}


def read_gate(text: str) -> Inequality:
    """Read a gate and check everything that does not depend on the engines.

    Raises:
        UsageError: it cannot be read, names no known quantity, or sets unlike things against each other.
    """
    try:
        gate = parse_inequality(text)
        for term in gate.terms.values():
            _check_term(term, text)
        _check_units(gate)
        _check_range(gate)
    except ValueError as error:
        raise UsageError(f"gate '{text}': {error}", EXAMPLE) from None
    return gate


def check_gates(texts: Iterable[str], scope: GateScope) -> tuple[Inequality, ...]:
    """Read gates, whose engines must be those of the scope.

    Raises:
        UsageError: as `read_gate`; or an engine or a batch size is not in the scope, or a gate applies to no engine.
    """
    return tuple(_check_gate(read_gate(text), scope) for text in texts)


def _check_gate(gate: Inequality, scope: GateScope) -> Inequality:
    try:
        found = gate.bind(scope.resolve)
        if any(term.engine == EACH for term in found.terms.values()) and not scope.choose(found):
            raise ValueError(
                "it applies to no engine, as it names none and is not of the reference or of those that it names: "
                f"there is {', '.join(scope.engines)}"
            )
    except ValueError as error:
        raise UsageError(f"gate '{gate.text}': {error}") from None
    # An alias gives way to the engine's own name, which is what readers of the result know.
    return found if found.terms == gate.terms else replace(found, text=str(found))


def _check_term(term: Term, text: str) -> None:
    row = QUANTITIES.get(term.quantity)
    if row is None:
        # `top-1` reads as top minus 1.
        whole = re.search(rf"\b{term.quantity}\s*-\s*\d+", text)
        written = whole[0] if whole else term.quantity
        raise ValueError(f"there is no quantity '{written}'; {suggest(written, list(QUANTITIES))}")
    if row.batch == "none" and term.batch_size is not None:
        raise ValueError(f"{term.quantity}() takes an engine alone, as it is of no batch size")
    if row.batch == "required" and term.batch_size is None:
        raise ValueError(f"{term.quantity}() takes an engine and a batch size, such as {term.quantity}(torch, 8)")


def _check_units(gate: Inequality) -> None:
    units = {name: Unit.named(QUANTITIES[term.quantity].unit) for name, term in gate.terms.items()}
    left, right = gate.evaluate(lambda digits: NUMBER, units)
    left + right  # The two sides are compared, which takes like units as a sum does.
    if gate.signed and Unit.named("points") not in units.values():
        raise ValueError("no figure is below 0")
    for unit, other in ((left, gate.right), (right, gate.left)):
        if unit == Unit.named(SHARE) and not gate.names_on(other):
            limit = gate.evaluate(float, dict.fromkeys(gate.terms, math.nan))[other is gate.right]
            if not 0 <= limit <= 1:
                raise ValueError(f"a share lies between 0 and 1, and {limit:g} does not; 76 % is 0.76")


_EXTREMES: Mapping[str, tuple[float, ...]] = {SHARE: (0.0, 1e-30, 1.0), "points": (-100.0, -1e-30, 0.0, 1e-30, 100.0)}
"""The ends of what a figure can be, by its unit; 0 with what is next to it, as it may be divided by."""
_ABOVE_ZERO = (1e-30, 1.0, 1e30)
MOST_TERMS = 4
"""A gate of more terms is not checked for whether anything can pass it."""


def _check_range(gate: Inequality) -> None:
    """Refuse a gate that no figures can pass, as sums and products are largest where their parts are at an end."""
    units = [QUANTITIES[term.quantity].unit for term in gate.terms.values()]
    if len(units) > MOST_TERMS:
        return
    for ends in itertools.product(*(_EXTREMES.get(unit, _ABOVE_ZERO) for unit in units)):
        with contextlib.suppress(ArithmeticError):
            if gate.holds(*gate.evaluate(float, dict(zip(gate.terms, ends, strict=True)))):
                return
    ranges = {SHARE: "a share lies between 0 and 1", "points": "points lie between -100 and 100"}
    known = dict.fromkeys(ranges.get(unit, "no figure is 0 or below") for unit in units)
    raise ValueError(f"nothing can pass it: {', and '.join(known)}")


def find_unit(gate: Inequality) -> str:
    """The unit of its left side; empty of a plain number."""
    units = {name: Unit.named(QUANTITIES[term.quantity].unit) for name, term in gate.terms.items()}
    left, right = gate.evaluate(lambda digits: NUMBER, units)
    return str(left + right)


def judge_gate(
    gate: Inequality, evidence: Mapping[str, Evidence], scope: GateScope, name: str = "require"
) -> tuple[GateResult, ...]:
    """Judge a gate, once for each engine that takes the place of `*`; an engine without evidence leaves it open.

    Args:
        name: of the key of `[gates]` that it comes from.
    """
    return tuple(judge_bound(bound, evidence, engine, name) for engine, bound in spread_gate(gate, scope))


def spread_gate(gate: Inequality, scope: GateScope) -> tuple[tuple[str, Inequality], ...]:
    """The gate for each engine that takes the place of `*`; else as it is, with the engine that it is of alone."""
    engines = {term.engine for term in gate.terms.values()}
    if EACH in engines:
        return tuple((engine, gate.bind(partial(_put_engine, engine))) for engine in scope.choose(gate))
    return ((next(iter(engines)) if len(engines) == 1 else "", gate),)


def _put_engine(engine: str, term: Term) -> Term:
    return replace(term, engine=engine) if term.engine == EACH else term


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both sides of a gate by the figures, and the bounds of the left one with all uncertainty of both on it."""

    left: float
    right: float
    bounds: tuple[float, float] | None


def judge_bound(gate: Inequality, evidence: Mapping[str, Evidence], engine: str, name: str = "require") -> GateResult:
    """Judge a gate that names its engines; `engine` is the one that the result is of, empty where it is of several."""
    readings = {place: _read(term, evidence) for place, term in gate.terms.items()}
    known = {place: reading for place, reading in readings.items() if isinstance(reading, Amount)}
    missing = [reading for reading in readings.values() if isinstance(reading, str)]
    sides = None
    try:
        sides = None if missing else _weigh(gate, known)
    except ArithmeticError:
        missing = ["it divides by zero"]
    result = GateResult(
        gate=name, engine=engine, outcome="INCONCLUSIVE", kind=_find_kind(gate), reason="", expression=gate.text
    )
    if sides is None:
        return result.model_copy(update={"reason": f"{gate.text}: {missing[0]}"})
    outcome = _decide(gate, sides)
    remarks = [
        *_list_remarks(gate, known, evidence),
        *([] if outcome != "INCONCLUSIVE" else _advise(gate, known, sides)),
    ]
    low, high = sides.bounds or (None, None)
    facts = {"value": sides.left, "low": low, "high": high, "limit": sides.right, "unit": find_unit(gate)}
    reason = "; ".join([f"{gate.text}: {_describe(gate, sides)}", *remarks])
    return result.model_copy(update={"outcome": outcome, "reason": reason, **facts})


def _read(term: Term, evidence: Mapping[str, Evidence]) -> Amount | str:
    if term.engine not in evidence:
        return f"'{term.engine}' was not measured (there is {', '.join(evidence) or 'nothing'})"
    return QUANTITIES[term.quantity].read(evidence[term.engine], term.batch_size)


def _find_kind(gate: Inequality) -> GateKind:
    kinds = {QUANTITIES[term.quantity].kind for term in gate.terms.values()}
    return next(kind for kind in KINDS if kind in kinds)


def _weigh(gate: Inequality, readings: Mapping[str, Amount]) -> _Sides:
    values = {place: reading.value for place, reading in readings.items()}
    left, right = gate.evaluate(float, values)
    reach: dict[object, tuple[float, float]] = {}
    for term, places in _group_places(gate).items():
        bounds = readings[places[0]].bounds
        if bounds is None:
            continue
        sides = (gate.evaluate(float, {**values, **dict.fromkeys(places, bound)}) for bound in bounds)
        moved = [one - other - (left - right) for one, other in sides]
        partners = _find_partners(term, moved[1] >= moved[0])
        down, up = reach.get(partners, (0.0, 0.0))
        reach[partners] = down - min(0.0, *moved), up + max(0.0, *moved)
    below, above = math.hypot(*(down for down, _ in reach.values())), math.hypot(*(up for _, up in reach.values()))
    return _Sides(left, right, (left - below, left + above) if reach else None)


def _group_places(gate: Inequality) -> dict[Term, list[str]]:
    """The places of each figure: one that is there twice moves in both at once."""
    found: dict[Term, list[str]] = {}
    for place, term in gate.terms.items():
        found.setdefault(term, []).append(place)
    return found


def _find_partners(term: Term, rises: bool) -> object:
    """What is the same of figures that chance moves together, so that their distances add up.

    Those that are counted on the same images do: where the images are easy ones, every engine is better at every k. Two
    that push the gate in opposite ways then take from each other, and the right angle is wide enough.
    """
    row = QUANTITIES[term.quantity]
    return row.higher_is_better == rises if row.kind == "accuracy" else term


def _decide(gate: Inequality, sides: _Sides) -> Outcome:
    if sides.bounds is None:
        return "PASS" if gate.holds(sides.left, sides.right) else "FAIL"
    holds = {gate.holds(bound, sides.right) for bound in sides.bounds}
    return "INCONCLUSIVE" if len(holds) > 1 else "PASS" if holds == {True} else "FAIL"


def _describe(gate: Inequality, sides: _Sides) -> str:
    write = _write_bytes if find_unit(gate) == "bytes" else _write_number
    bounds = "" if sides.bounds is None else f" ({write(sides.bounds[0])} to {write(sides.bounds[1])})"
    return f"{write(sides.left)}{bounds} against {write(sides.right)}"


def _write_number(value: float) -> str:
    text = f"{value:.5g}"
    return f"−{text[1:]}" if value < 0 else text


def _write_bytes(value: float) -> str:
    return f"{value:,.0f}"


def _list_remarks(gate: Inequality, readings: Mapping[str, Amount], evidence: Mapping[str, Evidence]) -> Iterator[str]:
    """What a reader must know of the figures."""
    plain = dict.fromkeys(gate.terms[place].quantity for place, reading in readings.items() if reading.bounds is None)
    silent = [name for name in plain if not QUANTITIES[name].silent]
    if silent:
        have = "has" if len(silent) == 1 else "have"
        yield f"judged by the value alone, as {' and '.join(silent)} {have} no interval"
    images = max(reading.images for reading in readings.values())
    if not images:
        return
    yield f"{images} images"
    for name in dict.fromkeys(term.engine for term in gate.terms.values()):
        if evidence[name].left_out:
            yield f"partial: {evidence[name].left_out} images have no prediction"


def _advise(gate: Inequality, readings: Mapping[str, Amount], sides: _Sides) -> Iterator[str]:
    """What would settle a gate that stays open."""
    settle = next(iter(readings.values())).settle
    bare = isinstance(gate.left, ast.Name) and not gate.names_on(gate.right)
    if bare and settle is not None:
        yield describe_more(settle(sides.right), gate.terms[gate.names_on(gate.left)[0]].quantity)
    elif _find_kind(gate) == "speed":
        yield "longer measurements in more processes narrow the interval"


def describe_more(more: int | None, what: str) -> str:
    """How many more images settle a gate; None where none do, as `what` lies on it."""
    if more is None:
        return f"{what} lies on the gate, so more images like these would not settle it"
    return f"about {float(f'{more:.1e}'):,.0f} more images would settle it, if predictions flip at these rates"


def find_exceptions(gate: Inequality, evidence: Mapping[str, Evidence]) -> tuple[int, ...]:
    """Batch sizes at which it fails beyond doubt, were each rate in it that is of the best batch that at this size."""
    best = [term for term in gate.terms.values() if _is_best(term)]
    sizes = [set(found.figures) - {None} for term in best if (found := evidence.get(term.engine))]
    common = set.intersection(*sizes) if best and len(sizes) == len(best) else set()
    judged = {
        size: judge_bound(gate.bind(partial(_put_size, size)), evidence, "")
        for size in sorted(size for size in common if size is not None)
    }
    return tuple(size for size, result in judged.items() if result.outcome == "FAIL")


def _is_best(term: Term) -> bool:
    return term.batch_size is None and QUANTITIES[term.quantity].unit == "images/s"


def _put_size(size: int, term: Term) -> Term:
    return replace(term, batch_size=size) if _is_best(term) else term
