"""Processes started by torch's launcher: one error, one exit code, no noise."""

import functools
import signal
from pathlib import Path

import pytest

import seatrial
from seatrial.errors import EngineError, ExitCode, SeatrialError
from seatrial.train.distributed.launch import launch
from tiny_training import return_or_fail


def test_the_first_process_returns_and_reports(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Also where the package was found by a relative path.
    monkeypatch.syspath_prepend(str(Path(seatrial.__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    assert (
        launch(functools.partial(return_or_fail, "well"), 2, lambda u: notes.append(u.note))
        == f"result of 0 in {tmp_path}"
    )
    assert notes == ["0 of 2"]
    assert signal.getsignal(signal.SIGTERM) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("user error", SeatrialError, "there is no such thing; look elsewhere"),
        ("bug", RuntimeError, "(?s)process 1 of the training failed\n.*ZeroDivisionError: a bug of ours"),
        (
            "killed",
            EngineError,
            "process 1 of the training was killed by SIGKILL; if memory ran out, .* to resume from",
        ),
    ],
)
def test_a_process_that_fails_ends_the_others(
    how: str, kind: type[Exception], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(kind, match=words) as raised:
        launch(functools.partial(return_or_fail, how), 2)
    if how == "user error":
        assert getattr(raised.value, "exit_code", None) == ExitCode.SPEED
    assert capfd.readouterr() == ("", "")
