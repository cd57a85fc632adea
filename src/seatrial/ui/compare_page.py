"""Two runs side by side, as `seatrial compare` judges them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from seatrial.compare.change_tables import tabulate_changes, write_gate
from seatrial.compare.regression import Changes
from seatrial.errors import SeatrialError
from seatrial.store.command_line import write_words
from seatrial.store.records import WORST_FIRST, GateKind, GateResult, Verdict
from seatrial.ui.folders import find_run, make_address
from seatrial.ui.pages import get_query, render
from seatrial.ui.site import get_site
from seatrial.workflow.compare.runs import ChangeSpec, compare_runs

MEANING = {
    "PASS": "No engine that both have surely lost more accuracy or speed than is allowed.",
    "INCONCLUSIVE": "What there is does not settle it, or may not be compared.",
}
LOST: dict[GateKind, str] = {
    "accuracy": "An engine surely lost more accuracy than is allowed.",
    "speed": "An engine is surely slower than is allowed.",
    "resources": "An engine surely takes more than is allowed.",
}
"""What a gate that failed means, by its kind."""
ALLOW = re.compile(r"--allow [a-z]+\b")


def show_comparison(request: Request) -> Response:
    """A run against an earlier one; what is not comparable is said on the page, with the reason."""
    site, query = get_site(request), get_query(request)
    paths = [query.get(name, "") for name in ("before", "after")]
    folders = [find_run(site.root, path) for path in paths]
    shown = [f"{site.shown_root}/{path}" for path in paths]
    command = shlex.join(write_words("compare", *shown))
    facts: dict[str, Any] = {
        "paths": paths,
        "swapped": make_address("/compare", before=paths[1], after=paths[0]),
    }
    try:
        changes = compare_runs(folders, ChangeSpec())
    except SeatrialError as error:
        # What makes the command do it all the same.
        allow = ALLOW.search(error.fix or "")
        command = f"{command} {allow[0]}" if allow else command
        return render("compare", status=409, **facts, command=command, refusal=str(error))
    verdict, found = changes.verdict, tabulate_changes(changes)
    return render(
        "compare",
        **facts,
        command=command,
        refusal="",
        outcome=verdict.outcome if verdict.gates else "",
        meaning=explain(verdict),
        tables=(("Accuracy", found.accuracy), ("Speed", found.speed), ("What else changed", found.changed)),
        gates=list(_fold_gates(changes, shown)),
        notes=found.notes,
    )


def explain(verdict: Verdict) -> str:
    """What an outcome means; of a failure for each kind of gate that failed."""
    if not verdict.gates:
        return "Nothing was judged: no gate, or nothing to compare."
    failed = {gate.kind for gate in verdict.gates if gate.outcome == "FAIL"}
    return " ".join(words for kind, words in LOST.items() if kind in failed) or MEANING[verdict.outcome]


def _fold_gates(changes: Changes, shown: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The gates, the worst first: a line, and others of the same gate that are open or kept too."""

    def rank(gate: GateResult) -> tuple[int, str]:
        return WORST_FIRST.index(gate.outcome), gate.gate

    for (worst, _), gates in groupby(sorted(changes.verdict.gates, key=rank), rank):
        first, *others = (_name_run(write_gate(gate), gate, changes, shown) for gate in gates)
        if WORST_FIRST[worst] == "FAIL":
            yield from ((line, []) for line in (first, *others))
        else:
            yield first, others


def _name_run(line: str, gate: GateResult, changes: Changes, shown: Sequence[str]) -> str:
    """A gate's line with the run that it is about in the place of RUN in commands."""
    run = shown[0] if gate.reason.startswith(f"{changes.before}: ") else shown[1]
    return line.replace("diagnose RUN`", f"diagnose {shlex.quote(run)}`")
