"""`seatrial compare` of two runs, or of two records of one engine: is the second one worse?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.compare.gate_expression import GateScope, check_gates, judge_gate, list_aliases
from seatrial.compare.gates import gather_evidence, judge_drop
from seatrial.compare.regression import (
    MAX_SLOWER_PCT,
    AccuracyChange,
    Changes,
    EngineChange,
    SpeedChange,
    compare_speed,
    find_changes,
    judge_slower,
)
from seatrial.compare.speed_column import Kind, describe_clock, describe_machine, read_measurement
from seatrial.compare.verdict import reach_verdict
from seatrial.errors import NotComparable, UsageError
from seatrial.metrics.inequality import Inequality
from seatrial.results.run import ACCURACY, SPEED
from seatrial.results.run_folder import Run, read_run
from seatrial.results.summarise import measure_size
from seatrial.store.record import read_json
from seatrial.store.records import GateKind, GateResult
from seatrial.workflow.compare.inputs import name_files
from seatrial.workflow.compare.predictions import compare_files, locate_predictions
from seatrial.workflow.compare.speed import read_columns


@dataclass(frozen=True, slots=True)
class ChangeSpec:
    """What the second run may lose against the first."""

    gate_pp: float | None = None
    """Top-1, in percentage points; the card's `reference_drop_pp` unless given."""
    max_slower_pct: float = MAX_SLOWER_PCT
    """Images per second at any batch size, in percent."""
    allowed: Collection[Kind] = ()
    """Differences that do not keep speeds from being judged."""
    gates: tuple[str, ...] = ()
    """Expressions (docs/gates.md) over the engines of the second run."""


def compare_runs(folders: Sequence[Path], spec: ChangeSpec) -> Changes:
    """Compare a run with an earlier one, engine by engine.

    Raises:
        UsageError: they are not two run folders.
        NotComparable: they have no engine in common, or are of different networks.
        RefusedFile: a record or a file of predictions is damaged, or does not belong to its record.
    """
    _check_pair(folders)
    before, after = (read_run(folder) for folder in folders)
    names = name_files(folders)
    _check_same_task(before, after, names, spec)
    common = [name for name in before.engines if name in after.engines]
    if not common:
        there = " and ".join(", ".join(run.engines) for run in (before, after))
        raise NotComparable(
            f"{names[0]} and {names[1]} have no engine in common ({there})", "run both with the same --engines"
        )
    required = check_gates(spec.gates, find_scope(after, names[1]))
    limit_pp = after.recipe.gates.reference_drop_pp if spec.gate_pp is None else spec.gate_pp
    changed = find_changes(*(_run_facts(run) for run in (before, after)))
    engines: list[EngineChange] = []
    gates: list[GateResult] = []
    for name in common:
        accuracy, judged = _compare_accuracy(name, (before, after), names, limit_pp)
        speed, paced = _compare_measured(name, (before, after), names, spec)
        gates += judged + paced
        facts = find_changes(*(_engine_facts(run, name) for run in (before, after)))
        own = {what: pair for what, pair in facts.items() if pair not in changed.values()}
        engines.append(EngineChange(name, accuracy, speed, own))
    gates += judge_run(after, required)
    only = {
        label: others
        for label, run in zip(names, (before, after), strict=True)
        if (others := tuple(name for name in run.engines if name not in common))
    }
    return Changes(names[0], names[1], tuple(engines), only, changed, reach_verdict(after.recipe.name, gates))


def _check_pair(folders: Sequence[Path]) -> None:
    if len(folders) != 2:
        raise UsageError(f"compare takes two runs, not {len(folders)}", "give the earlier first")
    if folders[0].resolve() == folders[1].resolve():
        raise UsageError(f"{folders[0]} and {folders[1]} are the same run", "give the earlier first")


def find_scope(run: Run, name: str) -> GateScope:
    """What gates may name in a run that is done."""
    builds = {each: (built.engine, built.precision, built.device) for each, built in run.built.items()}
    sizes = {point.batch_size for measured in run.measurements.values() for point in measured.points}
    return GateScope(
        run.engines, run.reference, tuple(sorted(sizes)), list_aliases(builds), measured_by=f"{name} was measured at"
    )


def judge_run(run: Run, gates: Sequence[Inequality]) -> tuple[GateResult, ...]:
    """Judge checked expressions by the records of a run."""
    built, recorded = run.built, run.accuracy
    sizes = {name: measure_size(run.folder / "engines" / name, manifest) for name, manifest in built.items()}
    evidence = {
        name: gather_evidence(name, recorded.get(name), run.measurements.get(name), built.get(name), sizes.get(name))
        for name in run.engines
    }
    scope = GateScope(run.engines, run.reference)
    return tuple(result for gate in gates for result in judge_gate(gate, evidence, scope))


def compare_measurements(paths: Sequence[Path], spec: ChangeSpec) -> Changes:
    """Compare a record of speed with an earlier one of the same engine.

    Raises:
        UsageError: they are not two records of speed.
    """
    if len(paths) != 2:
        raise UsageError(f"--max-slower-pct judges two records, not {len(paths)}", "give the earlier first")
    before, after = read_columns(paths)
    change = compare_speed(before, after, spec.allowed)
    name = read_json(paths[1])["name"]
    verdict = reach_verdict(name, [judge_slower(name, change, spec.max_slower_pct)])
    engine = EngineChange(name, None, change, {})
    changed = find_changes(*({str(k): v for k, v in c.facts.items()} | {"made by": c.origin} for c in (before, after)))
    return Changes(before.name, after.name, (engine,), {}, changed, verdict)


def _check_same_task(before: Run, after: Run, names: tuple[str, ...], spec: ChangeSpec) -> None:
    networks = [run.recipe.network.name for run in (before, after)]
    if networks[0] != networks[1] and "model" not in spec.allowed:
        raise NotComparable(
            f"{names[0]} is a run of {networks[0]} and {names[1]} of {networks[1]}", "--allow model compares them"
        )


def _compare_accuracy(
    name: str, runs: tuple[Run, Run], names: tuple[str, ...], limit_pp: float | None
) -> tuple[AccuracyChange | None, list[GateResult]]:
    there = [name in run.accuracy for run in runs]
    if not all(there):
        stale = [run.stale.get(ACCURACY.format(name)) for run in runs]
        return None, _miss("reference_drop_pp", "accuracy", name, tuple(zip(names, stale, there, strict=True)))
    files = [locate_predictions(run.folder / "evaluation" / f"{name}.json") for run in runs]
    try:
        found = compare_files(files, names=names, gates=runs[1].recipe.gates)
    except NotComparable as error:
        return None, [_leave_open("reference_drop_pp", "accuracy", name, f"not comparable: {error}")]
    assert found.differences is not None
    change = AccuracyChange(found.accuracies[0], found.accuracies[1], found.differences)
    if limit_pp is None:
        return change, []
    suspected = [
        gate.model_copy(update={"engine": name, "reason": f"{gate.engine}: {gate.reason}"}) for gate in found.suspected
    ]
    compared = found.differences.versus or found.differences.agreement
    return change, [judge_drop(name, compared, limit_pp), *suspected]


def _compare_measured(
    name: str, runs: tuple[Run, Run], names: tuple[str, ...], spec: ChangeSpec
) -> tuple[SpeedChange | None, list[GateResult]]:
    there = [name in run.measurements and bool(run.measurements[name].points) for run in runs]
    if not all(there):
        stale = [run.stale.get(SPEED.format(name)) for run in runs]
        return None, _miss("max_slower_pct", "speed", name, tuple(zip(names, stale, there, strict=True)))
    columns = [read_measurement(run.measurements[name], label) for run, label in zip(runs, names, strict=True)]
    change = compare_speed(columns[0], columns[1], spec.allowed)
    return change, [judge_slower(name, change, spec.max_slower_pct)]


def _miss(gate: str, kind: GateKind, name: str, runs: Sequence[tuple[str, str | None, bool]]) -> list[GateResult]:
    """A gate left open where a run has no record of an engine, or a stale one; none where both simply have none.

    Args:
        runs: of each its name, the inputs that a stale record is of, and whether it has a sound one.
    """
    reasons = [
        f"{label} has no {kind} of it" if other is None else f"the {kind} in {label} is of {other}: run it again"
        for label, other, has in runs
        if not has
    ]
    known = any(other or has for _, other, has in runs)
    return [_leave_open(gate, kind, name, "; ".join(reasons))] if known else []


def _leave_open(gate: str, kind: GateKind, name: str, reason: str) -> GateResult:
    return GateResult(gate=gate, engine=name, outcome="INCONCLUSIVE", kind=kind, reason=reason)


def _run_facts(run: Run) -> dict[str, str | None]:
    graph, environment = run.graph, run.manifest.environment
    return {
        "weights": run.checkpoint.sha256 if run.checkpoint else None,
        "graph": graph.sha256 if graph else None,
        "opset": str(graph.opset) if graph else None,
        "preprocess": graph.preprocess_hash if graph else None,
        "machine": describe_machine(environment),
        "clock": describe_clock(environment),
        "python": environment.python,
        **dict(sorted(environment.versions.items())),
    }


def _engine_facts(run: Run, name: str) -> dict[str, str | None]:
    built, measured = run.built.get(name), run.measurements.get(name)
    facts: dict[str, str | None] = {}
    if built is not None:
        facts = {
            "SDK": built.sdk_version,
            "device": built.device,
            "precision": built.precision,
            "layers that run": ", ".join(f"{n} in {precision}" for precision, n in sorted(built.executed.items())),
            "options": ", ".join(f"{key}={value}" for key, value in sorted(built.options.items())),
            "graph": built.graph.sha256,
        }
    return facts | ({"measured on": describe_machine(measured.environment)} if measured else {})
