"""The checks know a sound engine from broken ones, and name what is broken."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnx
import pytest

from seatrial.engines.base import Session
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import UsageError
from seatrial.export.graph import open_graph
from seatrial.testing import CheckResult, ContractBroken, EngineSubject, check_engine, checks, contract, make_case
from seatrial.testing.__main__ import main
from seatrial.testing.checks import CHECKS, check_batches, check_logits, check_repeat, check_wrong_batches
from seatrial.testing.contract import run_check
from seatrial.testing.subject import draw_pixels

PIXELS = draw_pixels(16)


def test_the_float64_logits_are_those_of_the_graph(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    logits = open_graph(onnx.load(case.graph.path))(case.pixels)
    assert np.linalg.norm(logits - case.expected) <= 1e-6 * np.linalg.norm(case.expected)
    assert len(set(case.expected.argmax(axis=1))) > 1
    other = open_graph(onnx.load(case.other.path))(case.pixels)
    assert np.linalg.norm(other - case.expected) > 0.1 * np.linalg.norm(case.expected)


class BrokenSession:
    """The right logits with one fault."""

    def __init__(self, expected: np.ndarray, fault: str) -> None:
        self.expected, self.fault = expected.astype(np.float32), fault
        self.buffer = np.empty_like(self.expected)

    def run(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[1:] != PIXELS.shape[1:]:
            return self.expected[: len(batch)]
        places = [int(np.flatnonzero((image == PIXELS).all(axis=(1, 2, 3)))[0]) for image in batch]
        logits = self.expected[places]
        if self.fault == "depends on the batch":
            logits = logits + len(batch)
        if self.fault == "off":
            logits = logits * np.float32(1.001)
        if self.fault == "float64":
            return logits.astype(np.float64)
        if self.fault == "one buffer":
            self.buffer[: len(batch)] = logits
            return self.buffer[: len(batch)]
        return logits

    def __enter__(self) -> "BrokenSession":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("fault", "check", "words"),
    [
        ("none", check_logits, None),
        ("none", check_repeat, None),
        ("none", check_batches, None),
        ("off", check_logits, r"logits are off by 1\.0e-03 of their size, and fp32 explains 1e-05"),
        ("float64", check_logits, "logits are float64"),
        ("one buffer", check_repeat, "the next run overwrote logits"),
        ("depends on the batch", check_batches, r"one at a time differ by up to 1\.1e\+01"),
        ("takes everything", check_wrong_batches, "raised nothing instead of UsageError"),
    ],
)
def test_a_broken_session_is_found(
    fault: str, check: Any, words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = EngineSubject(BuildSpec("broken"), make_case(tmp_path), tmp_path)
    session = cast(Session, BrokenSession(subject.case.expected, fault))
    monkeypatch.setattr(EngineSubject, "open", lambda self, *_, **__: session)
    monkeypatch.setitem(subject.__dict__, "file", SimpleNamespace(manifest=SimpleNamespace(precision="fp32")))
    if words is None:
        check(subject)
        return
    with pytest.raises(AssertionError, match=words):
        check(subject)


def test_whatever_a_check_raises_is_its_failure(tmp_path: Path) -> None:
    def check_nothing(subject: EngineSubject) -> None:
        """Of itself."""
        raise ZeroDivisionError("x")

    subject = cast(EngineSubject, None)
    assert run_check(check_nothing, subject) == CheckResult("nothing", "Of itself.", "ZeroDivisionError: x")


def test_every_broken_promise_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def check_bad(subject: EngineSubject) -> None:
        """Never holds."""
        raise AssertionError("it does not")

    monkeypatch.setattr(contract, "CHECKS", (CHECKS[0], check_bad))
    with pytest.raises(ContractBroken, match="onnxruntime breaks 1 of 2 promises\nbad: it does not") as caught:
        check_engine("onnxruntime")
    assert [result.failure for result in caught.value.results] == [None, "it does not"]
    assert main(["onnxruntime"]) == 5
    assert capsys.readouterr().out.splitlines()[1] == "BROKEN  bad: it does not"


def test_an_engine_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="there is no engine 'onnxruntim'"):
        check_engine("onnxruntim")
    assert main(["onnxruntim"]) == 2 and "did you mean 'onnxruntime'" in capsys.readouterr().err


def test_every_check_says_its_promise_and_is_in_the_table() -> None:
    names = {name for name in vars(checks) if name.startswith("check_")} - {"check_self_test"}
    assert {check.__name__ for check in CHECKS} == names
    assert all(check.__doc__ for check in CHECKS)
