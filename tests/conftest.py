"""Fixtures that several test folders share."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import forked_processes
from seatrial.machine import isolated_process
from tiny_trial import TinyTrial, make_trial


@pytest.fixture(scope="session", autouse=True)
def _forked_processes() -> Iterator[None]:
    """Compiling and measuring processes are forked from one that has torch loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolated_process, "subprocess", forked_processes)
        yield


@pytest.fixture
def fresh_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling and measuring processes are started in earnest, as users start them."""
    monkeypatch.setattr(isolated_process, "subprocess", subprocess)


@pytest.fixture(scope="session")
def tiny_trial(tmp_path_factory: pytest.TempPathFactory) -> TinyTrial:
    """A miniature trial; read only."""
    return make_trial(tmp_path_factory.mktemp("trial") / "tiny")


@pytest.fixture(scope="session")
def tiny_run(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of the miniature trial with all engines; read only."""
    from seatrial.cli import run_cli

    output = tmp_path_factory.mktemp("run") / "run"
    assert run_cli(tiny_trial.run_arguments(output, "--engines", "onnxruntime,openvino")) == 0
    return output
