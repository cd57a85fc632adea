"""The sample logs of other tools, and how they are read."""

from pathlib import Path

from seatrial.bench.vendor_logs import read_log
from seatrial.bench.vendor_logs.reading import LogHints, Reading

LOGS = Path(__file__).parent / "golden" / "logs"
HINTS = {
    "onnxruntime_perf_test.log": LogHints(8),
    "onnxruntime_perf_test-parallel.log": LogHints(8),
    "onnxruntime_perf_test-2019.log": LogHints(8),
    "PureInfer_perf_of_resnet50_bs4_in_device_0.txt": LogHints(4),
    "timm-results.csv": LogHints(model="resnet50@224"),
}
"""What a user has to add to a log."""


def read_golden(name: str, hints: LogHints | None = None) -> Reading:
    """What a sample log tells."""
    return read_log(LOGS / name, "auto", hints or HINTS.get(name, LogHints()))[2]


def read_changed(folder: Path, name: str, *changes: tuple[str, str], hints: LogHints | None = None) -> Reading:
    """What a sample log tells after some of its text was replaced."""
    text = (LOGS / name).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / name).write_text(text, encoding="utf-8")
    return read_log(folder / name, "auto", hints or HINTS.get(name, LogHints()))[2]
