"""Fixtures that several test folders share."""

from pathlib import Path

import pytest

from tiny_trial import TinyTrial, make_trial


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
