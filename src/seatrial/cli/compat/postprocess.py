"""The guides' scripts that count top-1 to top-5."""

from pathlib import Path

from seatrial.cli.compat.call import Call, Plan, Tool
from seatrial.errors import UsageError

USAGE = "PRED_DIR LABELS OUT_DIR NAME, or PRED_DIR LABELS JSON"
PARTIAL = "images without a prediction are left out of the count, as the script does; the table says how many there are"


def plan_score(call: Call) -> Plan:
    """`PRED_DIR LABELS OUT_DIR NAME` or `PRED_DIR LABELS JSON`.

    Raises:
        UsageError: the JSON file has no name.
    """
    predictions, labels, *place = call.arguments
    folder, name = place if len(place) == 2 else (str(Path(place[0]).parent), Path(place[0]).name)
    if not name or (len(place) == 1 and Path(place[0]).is_dir()):
        raise UsageError(f"{call.name}: {place[-1]} is a folder, and the result is a file", f"its form: {USAGE}")
    return Plan((("score", predictions, labels, folder, name, "--allow-partial"),), (PARTIAL,))


TOOLS = (
    Tool(
        ("vision_metric_ImageNet.py", "*_postprocess.py", "vision_metric.py"),
        USAGE,
        "score",
        plan_score,
        arguments=(3, 4),
    ),
)
