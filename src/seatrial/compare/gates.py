"""The gates of a card, judged on stored records."""

import operator
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from seatrial.compare.gate_expression import GateScope, check_gates, describe_more, judge_gate, read_gate
from seatrial.compare.quantities import SHARE, Evidence
from seatrial.compare.speed_column import read_measurement
from seatrial.evaluation.exact_drop import images_to_settle
from seatrial.evaluation.plausibility import suspect_changes
from seatrial.evaluation.statistics import Paired
from seatrial.metrics.classification import METRICS
from seatrial.metrics.inequality import Inequality
from seatrial.metrics.intervals import CONFIDENCE, exact_bounds, images_to_part
from seatrial.recipes.schema import Gates, Recipe
from seatrial.report.numbers import write_points
from seatrial.store.comparison import find_confidence
from seatrial.store.measurement import Measurement
from seatrial.store.records import (
    NO_LABELS,
    AccuracyRecord,
    Compared,
    Comparison,
    EngineManifest,
    GateResult,
    Outcome,
    Suspicion,
)

POINTS = "points"
PUBLISHED_CONFIDENCE = 0.975
"""Of each bound of the interval that must lie below a published accuracy: together they are a 95 % interval."""


def judge_gates(
    recipe: Recipe,
    accuracies: Mapping[str, AccuracyRecord],
    measurements: Mapping[str, Measurement],
    built: Mapping[str, EngineManifest] = MappingProxyType({}),
    sizes: Mapping[str, int | None] = MappingProxyType({}),
    required: Sequence[Inequality] | None = None,
) -> tuple[GateResult, ...]:
    """Every gate of the card for every engine, the accuracy gates first.

    Args:
        accuracies: by engine name; the one that was compared with none is the reference.
        measurements: by engine name.
        sizes: bytes of each engine's files.
        required: checked expressions in the place of the card's `require`, of which they are the first.

    Raises:
        UsageError: an expression cannot be read, or one of the card's `require` names what there is not.
    """
    results: list[GateResult] = []
    for record in accuracies.values():
        results += judge_predictions(record, recipe.gates, recipe.gates.reference_drop_pp)
    for record in accuracies.values():
        results += _judge_published(recipe, record)
        results += [judge_metric(record, name, limit) for name, limit in recipe.gates.metrics.items()]
    names = tuple(dict.fromkeys([*accuracies, *measurements]))
    reference = next((name for name, record in accuracies.items() if record.compared is None), "")
    evidence = {
        name: gather_evidence(name, accuracies.get(name), measurements.get(name), built.get(name), sizes.get(name))
        for name in names
    }
    scope = GateScope(names, reference)
    for text in recipe.gates.speed:
        results += judge_gate(read_gate(text), evidence, scope, "speed")
    for gate in check_gates(recipe.gates.require, scope) if required is None else required:
        results += judge_gate(gate, evidence, scope)
    # A suspicion about the reference is reported once, however many engines were compared with it.
    return tuple(result for row, result in enumerate(results) if result not in results[:row])


def gather_evidence(
    name: str,
    record: AccuracyRecord | None,
    measured: Measurement | None,
    built: EngineManifest | None = None,
    size_bytes: int | None = None,
) -> Evidence:
    """What the records of an engine say to gates."""
    return Evidence(
        name=name,
        images=0 if record is None else record.images,
        hits=() if record is None else record.hits,
        metrics={} if record is None else record.metrics,
        compared=None if record is None else record.compared,
        left_out=0 if record is None else len(record.left_out),
        figures={} if measured is None else read_measurement(measured, name).headline,
        size_bytes=size_bytes,
        compile_s=None if built is None else built.compile_s,
    )


def judge_predictions(record: AccuracyRecord, gates: Gates, limit_pp: float | None) -> Iterator[GateResult]:
    """One evaluation's gates: drop and share of changed predictions, where the card limits them, and plausibility.

    An implausible reference leaves them open as well: what is at chance cannot lose.

    Args:
        limit_pp: the drop that is allowed; None judges plausibility alone.
    """
    compared = record.compared
    if compared is not None and limit_pp is not None:
        yield judge_reference_drop(record, limit_pp)
        if gates.changed_share is not None:
            yield judge_changed(record.name, compared, gates.changed_share)
    if compared is not None and gates.agreement is not None:
        yield judge_agreement(record.name, compared, gates.agreement)
    yield from judge_plausible(record.name, record.suspicions, compared, gates)
    if compared is not None:
        yield from judge_plausible(compared.reference, compared.suspicions, None, gates)


def judge_plausible(
    name: str, suspicions: Sequence[Suspicion], versus: Compared | None, gates: Gates
) -> tuple[GateResult, ...]:
    """INCONCLUSIVE for each suspicion about the predictions, unless the card switches that off.

    Without suspicions there is no result: plausible predictions prove no engine, so that is no PASS.

    Args:
        versus: their comparison with a reference; where the card limits the share of changed predictions, that gate
            alone judges it.
    """
    limited = gates.changed_share is not None or gates.agreement is not None
    changes = None if versus is None or limited else suspect_changes(versus)
    every = (*suspicions, *((changes,) if changes is not None else ()))
    return tuple(
        GateResult(
            gate="plausible",
            engine=name,
            outcome="INCONCLUSIVE",
            kind="accuracy",
            reason=f"{suspicion.reason}; {suspicion.fix}",
        )
        for suspicion in every
        if gates.plausible
    )


def judge_agreement(name: str, compared: Compared, limit: float) -> GateResult:
    """PASS when the share of equal first classes is surely above the limit, FAIL when it is surely below.

    "Surely" is an exact one-sided 95 % bound, of early stopping a surer one. No label is needed.
    """
    confidence = find_confidence(compared)
    low, high = exact_bounds(compared.images - compared.changed, compared.images, confidence)
    outcome: Outcome = "PASS" if low > limit else "FAIL" if high < limit else "INCONCLUSIVE"
    reason = (
        f"{compared.images - compared.changed} of {compared.images} first classes are those of {compared.reference} "
        f"({low:.2%} to {high:.2%} with {100 * confidence:.3g}% confidence on each side); the gate is {limit:.2%}"
    )
    if outcome == "INCONCLUSIVE":
        more = images_to_part(compared.images - compared.changed, compared.images, limit, confidence)
        reason += f"; {describe_more(more, 'the agreement')}"
    share = 1 - compared.changed / compared.images
    facts = {"value": share, "low": low, "high": high, "limit": limit, "unit": SHARE}
    return _judge_accuracy("agreement", name, outcome, reason, facts)


def _judge_possible_drop(name: str, compared: Compared, limit_pp: float) -> GateResult:
    """Without labels: PASS when surely fewer first classes changed than top-1 may fall, as only these can be lost.

    Else INCONCLUSIVE: whether what changed was right before is not known.
    """
    high = exact_bounds(compared.changed, compared.images)[1]
    reason = (
        f"top-1 is {NO_LABELS}, but falls by no more than what changed: {compared.changed} of {compared.images} first "
        f"classes against {compared.reference}, at most {100 * high:.2f} points with {CONFIDENCE:.0%} confidence; "
        f"the gate is {limit_pp:g}"
    )
    outcome: Outcome = "PASS" if 100 * high < limit_pp else "INCONCLUSIVE"
    if outcome == "INCONCLUSIVE":
        more = None
        if 100 * compared.changed < limit_pp * compared.images:
            more = images_to_part(compared.changed, compared.images, limit_pp / 100)
        fewer = "only labels can settle it" if more is None else f"labels, or {describe_more(more, 'it')}"
        reason += f"; {fewer}"
    facts = {"high": 100 * high, "limit": limit_pp, "unit": POINTS}
    return _judge_accuracy("reference_drop_pp", name, outcome, reason, facts)


def judge_changed(name: str, versus: Compared, limit: float) -> GateResult:
    """PASS when the share of first classes that changed is surely below the limit, FAIL when it is surely above.

    "Surely" is an exact one-sided 95 % bound, of early stopping a surer one.
    """
    confidence = find_confidence(versus)
    low, high = exact_bounds(versus.changed, versus.images, confidence)
    outcome = _judge_bounds(low, high, limit)
    reason = (
        f"{versus.changed} of {versus.images} first classes changed against {versus.reference} "
        f"({low:.2%} to {high:.2%} with {100 * confidence:.3g}% confidence on each side); the gate is {limit:.2%}"
    )
    facts = {"value": versus.changed / versus.images, "low": low, "high": high, "limit": limit, "unit": SHARE}
    return _judge_accuracy("changed_share", name, outcome, reason, facts)


def _judge_accuracy(gate: str, engine: str, outcome: Outcome, reason: str, facts: Mapping[str, object]) -> GateResult:
    """The result of a gate on predictions, with its figures."""
    result = GateResult(gate=gate, engine=engine, outcome=outcome, kind="accuracy", reason=reason)
    return result.model_copy(update=facts)


def _judge_bounds(low: float, high: float, limit: float) -> Outcome:
    """What must lie below a limit, by the bounds of its interval."""
    return "PASS" if high < limit else "FAIL" if low > limit else "INCONCLUSIVE"


def judge_reference_drop(record: AccuracyRecord, limit_pp: float) -> GateResult:
    """`judge_drop` of an engine compared with the reference; a verdict of early stopping is not judged again."""
    assert record.compared is not None
    judged = judge_drop(record.name, record.compared, limit_pp)
    certain, outcome, remark = record.early_stopping, judged.outcome, _describe_partial(record)
    if certain is not None and certain.limit_pp == limit_pp:
        outcome = certain.outcome
        state = "not certain" if outcome == "INCONCLUSIVE" else "certain"
        remark = f"; {state} after {record.images} of {certain.of_images} images{remark}"
    return judged.model_copy(update={"outcome": outcome, "reason": judged.reason + remark})


def _describe_partial(record: AccuracyRecord) -> str:
    return f"; partial: {len(record.left_out)} images have no prediction" if record.left_out else ""


def judge_drop(name: str, versus: Compared, limit_pp: float) -> GateResult:
    """PASS when the drop is surely below the limit, FAIL when it is surely above, else INCONCLUSIVE.

    "Surely" is a one-sided 95 % bound of `evaluation.exact_drop.drop_interval`: each of the two may be wrong in 5 %.
    Without labels it is that of the share that changed, which no drop exceeds.
    """
    if not isinstance(versus, Comparison):
        return _judge_possible_drop(name, versus, limit_pp)
    outcome = _judge_bounds(versus.low_pp, versus.high_pp, limit_pp)
    low, high = write_points(versus.low_pp), write_points(versus.high_pp)
    bounds = f"{low} to {high} with {100 * versus.confidence:.3g} % confidence on each side"
    reason = (
        f"top-1 fell {write_points(versus.drop_pp)} points against {versus.reference} ({bounds}; {versus.lost} lost, "
        f"{versus.gained} gained of {versus.images} images); the gate is {limit_pp:g}"
    )
    if outcome == "INCONCLUSIVE":
        reason += f"; {_describe_what_settles(versus, limit_pp)}"
    facts = {"value": versus.drop_pp, "low": versus.low_pp, "high": versus.high_pp, "limit": limit_pp, "unit": POINTS}
    return _judge_accuracy("reference_drop_pp", name, outcome, reason, facts)


def _describe_what_settles(versus: Comparison, limit_pp: float) -> str:
    both_wrong = versus.images - versus.both_right - versus.lost - versus.gained
    paired = Paired(versus.both_right, versus.lost, versus.gained, both_wrong)
    more = images_to_settle(paired, limit_pp / 100, versus.confidence)
    return describe_more(more, "the drop")


def judge_same_at_batches(records: Mapping[int, AccuracyRecord]) -> GateResult:
    """PASS when an engine gives every image the same first class at all batch sizes.

    Args:
        records: by batch size; all but the first compared with the first.
    """
    first, *others = records
    changed = {size: versus.changed for size in others if (versus := records[size].compared) is not None}
    counts = "; ".join(f"{n} of {records[first].images} predictions differ at {size}" for size, n in changed.items())
    return GateResult(
        gate="same_at_batches",
        engine=records[first].name,
        outcome="FAIL" if any(changed.values()) else "PASS",
        kind="accuracy",
        reason=f"against batch {first}: {counts or 'there is no other batch size'}",
    )


def judge_metric(record: AccuracyRecord, name: str, limit: float) -> GateResult:
    """PASS when a metric is within its limit; where it is not, FAIL unless its interval reaches the limit."""
    outcome, reason = _weigh_metric(record, name, limit)
    found = record.metrics.get(name) if record.labelled else None
    facts: dict[str, object] = {"limit": limit, "unit": SHARE}
    if found is not None:
        facts |= {"value": found.value, "low": found.low, "high": found.high}
    return _judge_accuracy(f"metrics.{name}", record.name, outcome, reason, facts)


def _weigh_metric(record: AccuracyRecord, name: str, limit: float) -> tuple[Outcome, str]:
    metric, estimate = METRICS[name], record.metrics.get(name)
    if not record.labelled:
        return "INCONCLUSIVE", f"{metric.title} is {NO_LABELS}"
    if estimate is None:
        return "INCONCLUSIVE", f"the record has no {metric.title}: evaluate again (top-k needs as many as k classes)"
    if metric.higher_is_better:
        within, side, best = operator.ge, "at least", estimate.high
    else:
        within, side, best = operator.le, "at most", estimate.low
    interval = "no interval" if best is None else f"{estimate.low:.2%} to {estimate.high:.2%}"
    reason = (
        f"{metric.title} {estimate.value:.2%} ({interval}, {record.images} images); the gate is {side} {limit:.2%}"
        f"{_describe_partial(record)}"
    )
    if within(estimate.value, limit):
        return "PASS", reason
    return ("INCONCLUSIVE" if best is not None and within(best, limit) else "FAIL"), reason


def _judge_published(recipe: Recipe, record: AccuracyRecord) -> Iterator[GateResult]:
    reference, gates = recipe.reference, recipe.gates
    if reference is None:
        return
    floors = {}
    if gates.published_relative_drop is not None:
        floors["published_relative_drop"] = reference.top1 * (1 - gates.published_relative_drop)
    if gates.at_least_published:
        floors["at_least_published"] = reference.top1
    top1 = record.accuracy()
    if top1 is None:
        for gate in floors:
            reason = f"top-1 is {NO_LABELS}, so nothing compares it with the published {reference.top1:.2%}"
            yield GateResult(gate=gate, engine=record.name, outcome="INCONCLUSIVE", kind="accuracy", reason=reason)
        return
    # Exact: Wilson's upper bound lies below a true accuracy near 1 in up to 10 % of all sets, not in 2.5 %.
    low, high = exact_bounds(record.hits[0], record.images, PUBLISHED_CONFIDENCE)
    for gate, floor in floors.items():
        # Below the floor, but not surely: another draw of images might lie above it.
        outcome: Outcome = "PASS" if top1 >= floor else "FAIL" if high < floor else "INCONCLUSIVE"
        reason = (
            f"top-1 {top1:.2%} ({low:.2%} to {high:.2%} on {record.images} images) against a floor of {floor:.2%}, "
            f"from the published {reference.top1:.2%}{_describe_partial(record)}"
        )
        facts = {"value": top1, "low": low, "high": high, "limit": floor, "unit": SHARE}
        yield _judge_accuracy(gate, record.name, outcome, reason, facts)
