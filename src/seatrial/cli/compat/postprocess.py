"""The guides' scripts that count top-1 to top-5."""

from pathlib import Path

from seatrial.cli.compat.call import Call, Flag, Plan, Tool, read_places
from seatrial.errors import UsageError

RESULT = "result.json"
SUMMARY, OLD_SUMMARIES = "_summary.json", ("sumary.json", "summary.json")
"""What ais_bench leaves beside the folder of its outputs, and what older ones left in it."""
USAGE = "PRED_DIR LABELS OUT_DIR NAME, or PRED_DIR LABELS JSON"
PARTIAL = "images without a prediction are left out of the count, as the script does; the table says how many there are"


def plan_score(call: Call) -> Plan:
    """`PRED_DIR LABELS OUT_DIR NAME` or `PRED_DIR LABELS JSON`.

    Raises:
        UsageError: the JSON file has no name.
    """
    predictions, labels, *place = read_places(call, ("result_path", "label_path"), call.arguments)
    if "save_path" in call.values:
        name = call.values.get("json_file_name")
        place = [call.values["save_path"], *([name] if name else [])]
    notes = (PARTIAL,) if place else (PARTIAL, f"the result goes to {RESULT}, as no name was given for it")
    place = place or [RESULT]
    folder, name = place if len(place) == 2 else (str(Path(place[0]).parent), Path(place[0]).name)
    if not name or (len(place) == 1 and Path(place[0]).is_dir()):
        raise UsageError(f"{call.name}: {place[-1]} is a folder, and the result is a file", f"its form: {USAGE}")
    words = ("score", _find_folder(predictions), labels, folder, name, "--allow-partial")
    return Plan((words,), notes)


def _find_folder(predictions: str) -> str:
    """The folder of predictions that a summary of ais_bench is about: it lies beside it, or in it."""
    path = Path(predictions)
    beside = path.with_name(path.name.removesuffix(SUMMARY) or SUMMARY)
    if path.name.endswith(SUMMARY) and beside.is_dir():
        return str(beside)
    return str(path.parent) if path.name in OLD_SUMMARIES and path.is_file() else predictions


FLAGS = (
    Flag(
        (
            *("result_path", "result_dir", "result", "infer_results", "infer_result_dir", "benchmark_out", "pre_dir"),
            *("pred_dir", "txt_path", "input_path", "input_dir", "output_dir", "folder_davinci_target"),
        ),
        means="PRED_DIR, or ais_bench's summary of it",
    ),
    Flag(
        (
            *("label_path", "label_file", "label", "anno_file", "annotation_path", "annotation_file_path", "gtfile"),
            *("gtfile_path", "gt_path", "gt_file", "target_file"),
        ),
        means="LABELS",
    ),
    Flag(
        ("save_path", "save_file", "result_file", "metrics_json", "output_path", "result_json_path"),
        means="JSON, or OUT_DIR where NAME is given too; result.json where it is not",
    ),
    Flag(("json_file_name",), means="NAME"),
    Flag(("batch_size", "batchsize", "bs"), dropped="there is one file for each image"),
)
"""How other guides' scripts call them."""
TOOLS = (
    Tool(
        (
            *("vision_metric_ImageNet.py", "*_postprocess.py", "postprocess.py", "vision_metric.py", "*_acc_eval.py"),
            "*_eval_acc.py",
        ),
        USAGE,
        "score",
        plan_score,
        FLAGS,
        (0, 2, 3, 4),
        abbreviates=True,
    ),
)
