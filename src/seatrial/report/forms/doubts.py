"""The doubts about a run as lines, those that could change a conclusion first."""

from seatrial.report.doubts import merge_doubts
from seatrial.report.language import retell
from seatrial.report.stakes import list_conclusions, weigh_doubts
from seatrial.results.run_folder import Run


def list_doubts(run: Run) -> list[str]:
    """Each doubt with the engine that it is about; those that differ in numbers only are one."""
    weighed = weigh_doubts(run)
    lines = []
    for counts in (True, False):
        texts: dict[str, list[str]] = {}
        for each in weighed:
            if bool(each.changes) is counts:
                texts.setdefault(each.doubt.engine, []).append(each.doubt.text)
        lines += [retell(f"{engine}: {doubt}") for engine, found in texts.items() for doubt in merge_doubts(found)]
    return lines


def list_weighed(run: Run) -> list[dict[str, object]]:
    """Every doubt by name, with the conclusions that it could change."""
    return [
        {
            "engine": each.doubt.engine,
            "kind": each.doubt.name,
            "doubt": each.doubt.text,
            "could_change": list_conclusions([each]),
        }
        for each in weigh_doubts(run)
    ]
