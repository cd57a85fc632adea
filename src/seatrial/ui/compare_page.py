"""Two runs side by side, as `seatrial compare` judges them."""

import shlex
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from seatrial.compare.change_tables import tabulate_changes
from seatrial.errors import SeatrialError
from seatrial.store.command_line import write_words
from seatrial.ui.folders import find_run, make_address
from seatrial.ui.pages import get_query, render
from seatrial.ui.site import get_site
from seatrial.workflow.compare.runs import ChangeSpec, compare_runs

MEANING = {
    "PASS": "No engine that both have surely lost more than is allowed.",
    "FAIL": "An engine surely lost more than is allowed.",
    "INCONCLUSIVE": "What there is does not settle it, or may not be compared.",
}


def show_comparison(request: Request) -> Response:
    """A run against an earlier one; what is not comparable is said on the page, with the reason."""
    site, query = get_site(request), get_query(request)
    paths = [query.get(name, "") for name in ("before", "after")]
    folders = [find_run(site.root, path) for path in paths]
    facts: dict[str, Any] = {
        "paths": paths,
        "swapped": make_address("/compare", before=paths[1], after=paths[0]),
        "command": shlex.join(write_words("compare", *(f"{site.shown_root}/{path}" for path in paths))),
    }
    try:
        changes = compare_runs(folders, ChangeSpec())
    except SeatrialError as error:
        return render("compare", status=409, **facts, refusal=str(error))
    outcome = changes.verdict.outcome if changes.verdict.gates else ""
    found = tabulate_changes(changes)
    tables = (("Accuracy", found.accuracy), ("Speed", found.speed), ("What else changed", found.changed))
    meaning = MEANING.get(outcome, "Nothing was judged.")
    return render("compare", **facts, refusal="", outcome=outcome, meaning=meaning, tables=tables, lines=found.lines)
