"""Goals, and which candidates a choice has."""

from pathlib import Path

import pytest

from seatrial.engines.base import Capabilities
from seatrial.errors import EngineError, UsageError
from seatrial.progress import Update, silent
from seatrial.workflow.choose import spec
from seatrial.workflow.choose.contenders import LatencyLimit
from seatrial.workflow.choose.spec import ChooseSpec, Goal, list_candidates, open_subject, parse_goal


def test_a_goal_is_read() -> None:
    assert parse_goal("throughput") == Goal("throughput", "throughput")
    assert parse_goal("size").kind == "size"
    assert parse_goal("latency=2.5ms@p99.9").limit == LatencyLimit(2.5, 99.9)
    assert parse_goal("latency=1s@p50").limit == LatencyLimit(1000, 50)


@pytest.mark.parametrize("text", ["speed", "latency", "latency=10@p99", "latency=10ms", "latency=0ms@p99", ""])
def test_what_is_no_goal_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--goal {text} "):
        parse_goal(text)


@pytest.mark.parametrize("percent", ["100", "10"])
def test_a_percentile_that_no_sample_proves_or_that_says_nothing_is_refused(percent: str) -> None:
    with pytest.raises(UsageError, match=r"give a time, and p50 to p99\.9"):
        parse_goal(f"latency=10ms@p{percent}")


MADE_UP = {
    "quick": Capabilities("quick", "1", ("cpu", "npu:0"), ("fp32", "int8"), in_graph=("int8",)),
    "torchy": Capabilities("torchy", "1", ("cpu",), ("fp32", "bf16"), needs_network=True),
    "absent": Capabilities("absent", None, missing="it is not installed"),
}


@pytest.fixture
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines whose hardware is not here."""

    class MadeUp:
        def __init__(self, name: str) -> None:
            self.name = name

        def probe(self) -> Capabilities:
            return MADE_UP[self.name]

    for module in ("seatrial.workflow.choose.spec", "seatrial.workflow.compile"):
        monkeypatch.setattr(f"{module}.get_engine", MadeUp)
    monkeypatch.setattr(spec, "list_engines", lambda: tuple(MADE_UP))


@pytest.mark.usefixtures("_made_up")
def test_every_engine_that_is_here_is_a_candidate_in_every_precision() -> None:
    assert list_candidates((), False, True, silent) == ("quick:fp32", "quick:int8", "torchy:fp32", "torchy:bf16")
    assert list_candidates((), True, True, silent) == ("quick:fp32", "quick:int8")


@pytest.mark.usefixtures("_made_up")
def test_without_calibration_images_there_is_no_int8_and_that_is_said() -> None:
    notes: list[Update] = []
    assert list_candidates(("quick",), False, False, notes.append) == ("quick:fp32",)
    assert [note.note for note in notes] == ["quick: no int8, as there are no calibration images (--calibration)"]
    with pytest.raises(UsageError, match="'quick:int8' needs calibration images; give --calibration"):
        list_candidates(("quick:int8",), False, False, silent)


@pytest.mark.usefixtures("_made_up")
def test_a_precision_and_a_device_that_are_named_are_taken() -> None:
    assert list_candidates(("torchy:bf16", "quick@npu:0"), False, True, silent) == (
        "torchy:bf16",
        "quick:fp32@npu:0",
        "quick:int8@npu:0",
    )
    with pytest.raises(EngineError, match="it is not installed"):
        list_candidates(("absent",), False, True, silent)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no run folder .*`seatrial run` makes one"):
        open_subject(ChooseSpec(str(tmp_path), parse_goal("size")), silent)
