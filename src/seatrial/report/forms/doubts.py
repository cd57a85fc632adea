"""The doubts about a run as lines, those that could change a conclusion first."""

from seatrial.report.doubt_tables import describe_doubts, split_doubts
from seatrial.report.language import retell, say
from seatrial.report.stakes import list_conclusions, weigh_doubts
from seatrial.results.run_folder import Run


def list_doubts(run: Run) -> list[str]:
    """Each doubt with the engines that it is about; those that differ in numbers only are one."""
    grave, mild = split_doubts(weigh_doubts(run))
    described = [describe_doubts(group) for group in (*grave, *mild)]
    return [say("{about}: {doubt}", about=retell(about), doubt=retell(doubt)) for _, doubt, about in described]


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
