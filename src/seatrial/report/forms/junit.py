"""Gates as tests, in the XML of JUnit that CI systems show: a suite for each engine, a case for each gate.

FAIL is a failure. INCONCLUSIVE is an error, a test that could not be judged: like exit code 7 it lets no pipeline go
green, and is counted apart from failures. A run that was not judged has one case, which is an error.
"""

from collections.abc import Iterable, Iterator, Mapping

from seatrial.report.forms.rows import NOT_JUDGED, list_engine
from seatrial.report.forms.xml import quote, write_text
from seatrial.report.headline import gates_of, write_verdict
from seatrial.report.speed import best_speeds
from seatrial.results.run_folder import Run
from seatrial.store.records import GateResult

ALL = "all engines"
"""The suite of gates that are about no engine alone."""
_TAGS = {"FAIL": "failure", "INCONCLUSIVE": "error"}
_SHOWN = ("device", "precision", "images", "top1", "drop_pp", "times_reference")


def write_junit(run: Run) -> str:
    """The suites, the reference's first, with the engine's figures as properties."""
    gates = gates_of(run)
    suites = {name: [gate for gate in gates if gate.engine == name] for name in run.engines}
    rest = [gate for gate in gates if gate.engine not in suites]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f"<testsuites name={quote(f'seatrial {run.recipe.name}')} {_count([*gates, *_list_unjudged(run)])}>")
    for name, judged in suites.items():
        lines += _write_suite(run, name, judged)
    if rest or _list_unjudged(run):
        lines += _write_suite(run, ALL, [*rest, *_list_unjudged(run)])
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _list_unjudged(run: Run) -> list[GateResult]:
    """One gate in the place of those that a run without any lacks."""
    if gates_of(run):
        return []
    return [GateResult(gate="verdict", engine="", outcome="INCONCLUSIVE", kind="accuracy", reason=write_verdict(run))]


def _count(gates: Iterable[GateResult]) -> str:
    outcomes = [gate.outcome for gate in gates]
    failures, errors = outcomes.count("FAIL"), outcomes.count("INCONCLUSIVE")
    return f'tests="{len(outcomes)}" failures="{failures}" errors="{errors}" skipped="0"'


def _write_suite(run: Run, name: str, gates: list[GateResult]) -> Iterator[str]:
    yield f" <testsuite name={quote(name)} {_count(gates)}>"
    yield "  <properties>"
    for key, value in _list_properties(run, name).items():
        yield f"   <property name={quote(key)} value={quote(str(value))}/>"
    yield "  </properties>"
    for gate in gates:
        case = f"classname={quote(f'seatrial.{run.recipe.name}.{name}')} name={quote(gate.expression or gate.gate)}"
        if gate.outcome == "PASS":
            yield f"  <testcase {case}><system-out>{write_text(gate.reason)}</system-out></testcase>"
            continue
        tag = _TAGS[gate.outcome]
        words = f"message={quote(gate.reason)} type={quote(gate.outcome)}"
        yield f"  <testcase {case}><{tag} {words}>{write_text(gate.reason)}</{tag}></testcase>"
    yield " </testsuite>"


def _list_properties(run: Run, name: str) -> Mapping[str, object]:
    """An engine's figures, those that are known; of the run its outcome."""
    if name not in run.engines:
        return {"outcome": run.verdict.outcome if run.verdict else NOT_JUDGED, "command": run.manifest.command}
    figures = {key: value for key, value in list_engine(run, name).items() if key in _SHOWN and value is not None}
    best = best_speeds(run).get(name)
    return figures | ({"images_per_s": best.images_per_s, "batch_size": best.batch} if best else {})
