"""The verdict in sentences for readers who know neither the run nor its gates."""

from collections.abc import Mapping

from seatrial.metrics.trust import MEASURE_RUN_AGAIN
from seatrial.report.numbers import count_of, join_words, write_figures, write_points
from seatrial.report.speed import best_speeds, explain_withheld, find_ratio, find_tied
from seatrial.results.run import describe_reference
from seatrial.results.run_folder import Run
from seatrial.results.speed import Speed
from seatrial.store.records import WORST_FIRST, GateKind, GateResult, Outcome

PLAUSIBLE = "plausible"
"""The gate that stays open for implausible predictions: see `compare.gates.judge_plausible`."""

MEANING = {
    "PASS": "Every gate is met. A gate is a limit that the recipe sets.",
    "FAIL": (
        "At least one gate, a limit that the recipe sets, is missed. An accuracy gate fails only when chance does not "
        "explain the loss."
    ),
    "INCONCLUSIVE": (
        "INCONCLUSIVE is neither PASS nor FAIL: the true value may lie on either side of a gate, a limit that the "
        "recipe sets. More images, or labels where there are none, decide an accuracy gate; a speed gate needs the "
        "figures of each engine that it names; implausible predictions have a cause, which must be mended first."
    ),
}


def write_meaning(run: Run) -> str:
    """What the outcome means, and where every engine passed, by how much."""
    if run.verdict is None:
        return "A run is judged when all its stages are done."
    outcome, limit = run.verdict.outcome, run.recipe.gates.reference_drop_pp
    passed = {gate.engine for gate in gates_of(run) if (gate.gate, gate.outcome) == ("reference_drop_pp", "PASS")}
    highest = [r.versus.high_pp for name, r in run.accuracy.items() if name in passed and r.versus is not None]
    if outcome != "PASS" or limit is None or not highest:
        return MEANING[outcome]
    most = f"at most {write_points(max(0.0, *highest))} points, with 95 % confidence"
    return f"Against {run.reference}, top-1 falls by {most}; the gate is {limit:g} points. {MEANING[outcome]}"


def describe_subject(run: Run) -> str:
    """What was tested, on which images, engines and machine."""
    network, machine = run.recipe.network, run.manifest.environment
    others = [name for name in run.engines if name != run.reference]
    images = f"{_images(run)}{f' of {run.manifest.images}' if run.manifest.images else ''}" if run.accuracy else ""
    against = f"{join_words(others)} against {run.reference}" if others else f"{run.reference} alone"
    parts = [
        f"{network.name} with {network.classes:,} classes",
        images,
        against,
        f"{machine.cpu}, {count_of(machine.cores, 'core')}",
    ]
    return " · ".join(part for part in parts if part)


def outcome_of(run: Run, engine: str) -> Outcome | None:
    """The worst outcome of an engine's gates; None when it has none."""
    found = {gate.outcome for gate in gates_of(run) if gate.engine == engine}
    return min(found, key=WORST_FIRST.index, default=None)


def gates_of(run: Run) -> tuple[GateResult, ...]:
    """The judged gates, the worst first; none when the run was not judged."""
    gates = run.verdict.gates if run.verdict else ()
    return tuple(sorted(gates, key=lambda gate: WORST_FIRST.index(gate.outcome)))


def write_verdict(run: Run) -> str:
    """What was found, in one sentence."""
    if run.verdict is None and run.stale:
        stale = f"{count_of(len(run.stale), 'record')} of this folder {'is' if len(run.stale) == 1 else 'are'} of"
        return f"NOT JUDGED: {stale} other inputs than its run.json names; run it again."
    if run.verdict is None:
        return "NOT JUDGED: this run has no verdict."
    if not run.verdict.gates:
        return f"{run.verdict.outcome}: no gate was judged, which proves nothing."
    write = {"FAIL": _write_failed, "INCONCLUSIVE": _write_undecided, "PASS": _write_passed}[run.verdict.outcome]
    words = describe_reference(run.recipe)
    return f"{run.verdict.outcome}: {'; '.join(write(run))}{f' (reference: {words})' if words else ''}."


def write_speed(run: Run) -> str:
    """Which engine is the fastest of those that did not fail, in one sentence."""
    best = best_speeds(run)
    if not best:
        return "Speed was not measured."
    sound = [name for name in best if outcome_of(run, name) != "FAIL"]
    if not sound:
        return "Every engine whose speed was measured fails a gate."
    fastest = max(sound, key=lambda name: best[name].images_per_s)
    tied = find_tied(best, fastest, sound)
    rate = f"{write_figures(best[fastest].images_per_s)} images/s at batch size {best[fastest].batch}"
    ratio = find_ratio(run, best, fastest, run.reference)
    times = "" if ratio is None or fastest == run.reference else f", {write_figures(ratio)} × {run.reference}"
    found = f"{_name_fastest(len(sound) == len(best), bool(tied))} is {fastest}: {rate}{times}"
    why = "their intervals overlap"
    why += "" if all(best[name].rate.bounds for name in (fastest, *tied)) else " or are not known"
    doubt = f"; it cannot be told from {join_words(tied)}, as {why}" if tied else ""
    return f"{found}{doubt}.{_write_withheld(run, best, fastest)}{_write_vain(run, best)}"


def _name_fastest(of_all: bool, is_tied: bool) -> str:
    if is_tied:
        return "Measured as the fastest" if of_all else "Measured as the fastest that does not fail"
    return "The fastest engine" if of_all else "The fastest engine that does not fail"


def _write_withheld(run: Run, best: Mapping[str, Speed], fastest: str) -> str:
    """Why the ratio of the fastest engine to the reference is left out."""
    doubts = explain_withheld(best, fastest, run.reference)
    if fastest == run.reference or run.reference not in best or not doubts:
        return ""
    return f" The ratio to {run.reference} is withheld ({doubts}); {MEASURE_RUN_AGAIN}."


def _write_vain(run: Run, best: Mapping[str, Speed]) -> str:
    """Each int8 engine that is certainly slower than a float one of the same runtime and device."""
    made = {name: run.measurements[name] for name in best}
    slower = []
    for name, int8 in made.items():
        _, high = best[name].rate.bounds or (0.0, float("inf"))
        for other, plain in made.items():
            low, _ = best[other].rate.bounds or (0.0, 0.0)
            alike = (plain.engine, plain.device) == (int8.engine, int8.device)
            if int8.precision == "int8" != plain.precision and alike and high < low:
                slower.append(f" {name} is slower than {other}: int8 gains nothing there.")
    return "".join(slower)


def _write_failed(run: Run) -> list[str]:
    wrong = _engines(run, "FAIL")
    undecided = [name for name in _engines(run, "INCONCLUSIVE") if name not in wrong]
    return [
        *_write_clause(wrong, "falls", "fall", f"short of the required {_name_quality(run)}"),
        *(["the required speed is not reached"] if _has_gate(run, "speed", "FAIL") else []),
        *(["a limit on resources is exceeded"] if _has_gate(run, "resources", "FAIL") else []),
        *_write_clause(undecided, "is", "are", "undecided"),
        *_write_rest(run),
    ]


def _write_undecided(run: Run) -> list[str]:
    doubted = _engines(run, "INCONCLUSIVE", PLAUSIBLE)
    unsure = [name for name in _engines(run, "INCONCLUSIVE") if name not in doubted]
    measure = "the required accuracy" if run.reference in unsure else f"the accuracy of {run.reference}"
    measure += "" if run.labelled else " without labels"
    return [
        *([f"the predictions of {join_words(doubted)} are not plausible"] if doubted else []),
        *(
            f"{_images(run)} cannot settle whether {clause}"
            for clause in _write_clause(unsure, "keeps", "keep", measure)
        ),
        *(["a speed gate could not be judged"] if _has_gate(run, "speed", "INCONCLUSIVE") else []),
        *(["a gate on resources could not be judged"] if _has_gate(run, "resources", "INCONCLUSIVE") else []),
        *_write_rest(run),
    ]


def _write_passed(run: Run) -> list[str]:
    accurate = _engines(run, "PASS")
    compared = [name for name in accurate if (record := run.accuracy.get(name)) and record.compared]
    if compared and not run.labelled:
        kept = f"with {run.reference} on {_images(run)} without labels"
        clause = _write_clause(compared, "agrees", "agree", kept)
    elif compared:
        clause = _write_clause(compared, "keeps", "keep", f"the accuracy of {run.reference} on {_images(run)}")
    else:
        clause = _write_clause(accurate, "reaches", "reach", f"the required accuracy on {_images(run)}")
    speed = ["the required speed is reached"] if _has_gate(run, "speed", "PASS") else []
    resources = ["every limit on resources is kept"] if _has_gate(run, "resources", "PASS") else []
    return [*clause, *speed, *resources]


def _write_rest(run: Run) -> list[str]:
    kept = [name for name in run.engines if outcome_of(run, name) == "PASS" and name != run.reference]
    return _write_clause(kept, "passes", "pass", "every gate")


def _write_clause(names: list[str], singular: str, plural: str, rest: str) -> list[str]:
    return [f"{join_words(names)} {singular if len(names) == 1 else plural} {rest}"] if names else []


def _engines(run: Run, outcome: Outcome, name: str | None = None) -> list[str]:
    """Engines with an accuracy gate of that outcome, the gate of that name if one is given, in the order of the run."""
    judged = [gate for gate in gates_of(run) if (gate.outcome, gate.kind) == (outcome, "accuracy")]
    engines = {gate.engine for gate in judged if name in (None, gate.gate)}
    return [name for name in run.engines if name in engines]


def _has_gate(run: Run, kind: GateKind, outcome: Outcome) -> bool:
    return any((gate.outcome, gate.kind) == (outcome, kind) for gate in gates_of(run))


def _name_quality(run: Run) -> str:
    """What the gates on predictions are about."""
    return "accuracy" if run.labelled else "agreement"


def _images(run: Run) -> str:
    counts = {record.images for record in run.accuracy.values()}
    return count_of(max(counts), "image") if counts else "the images"
