"""Why nothing is chosen, by what came of settings and candidates."""

import pytest

from seatrial.errors import ExitCode
from seatrial.store.choice import CandidateResult, SettingResult
from seatrial.workflow.choose.conclude import explain_none


def make_candidates(*outcomes: str | None) -> tuple[CandidateResult, ...]:
    facts = {"engine": "a", "precision": "fp32", "device": "cpu", "graph": "model.onnx", "size_bytes": 1}
    named = ({**facts, "name": str(place), "outcome": outcome} for place, outcome in enumerate(outcomes))
    return tuple(CandidateResult.model_validate(each) for each in named)


def make_settings(*states: str) -> tuple[SettingResult, ...]:
    facts = {"candidate": "0", "batch_size": 1, "streams": 1, "threads": None}
    return tuple(SettingResult.model_validate({**facts, "state": state}) for state in states)


@pytest.mark.parametrize(
    ("states", "outcomes", "code"),
    [
        (("accuracy", "accuracy"), ("FAIL", "FAIL"), ExitCode.ACCURACY),
        (("accuracy", "accuracy open"), ("FAIL", "INCONCLUSIVE"), ExitCode.INCONCLUSIVE),
        (("latency", "latency"), (None, None), ExitCode.SPEED),
        (("latency", "accuracy"), ("PASS", "FAIL"), ExitCode.SPEED),
        (("latency", "latency open"), ("PASS", None), ExitCode.INCONCLUSIVE),
        (("not evaluated", "accuracy"), (None, "FAIL"), ExitCode.INCONCLUSIVE),
        (("not measured", "accuracy"), (None, "FAIL"), ExitCode.INCONCLUSIVE),
        ((), ("FAIL", None), ExitCode.INCONCLUSIVE),
        ((), ("FAIL", "FAIL"), ExitCode.ACCURACY),
    ],
)
def test_what_is_open_goes_before_what_is_lost(
    states: tuple[str, ...], outcomes: tuple[str | None, ...], code: ExitCode
) -> None:
    assert explain_none(make_settings(*states), make_candidates(*outcomes)) is code


def test_a_candidate_that_could_not_be_compiled_is_not_counted() -> None:
    lost, absent = make_candidates("FAIL", None)
    assert explain_none((), (lost, absent.model_copy(update={"size_bytes": None}))) is ExitCode.ACCURACY
