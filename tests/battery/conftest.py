"""What all files of the battery share."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from battery_faults import Attack, build_library
from battery_figures import note_begin
from battery_server import Workers
from battery_verbs import link_inputs, link_trial
from forked_processes import PRELOADED
from tiny_trial import TinyTrial


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    note_begin()


@pytest.fixture(scope="session")
def _library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library(tmp_path_factory.mktemp("library"))


@pytest.fixture
def simple_attack(
    tiny_trial: TinyTrial, _library: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attack]:
    """On verbs that read no more than a trial."""
    inputs = tmp_path_factory.mktemp("inputs")
    link_trial(inputs, tiny_trial)
    with closing(Workers({"LD_PRELOAD": str(_library)})) as workers:
        yield Attack(inputs, tmp_path, workers)


@pytest.fixture(scope="session")
def _all_inputs(
    tiny_trial: TinyTrial, tiny_engines: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    inputs = tmp_path_factory.mktemp("inputs")
    link_inputs(inputs, tiny_trial, tiny_engines, tiny_run)
    return inputs


@pytest.fixture(scope="session")
def attack(_all_inputs: Path, _library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attack]:
    """On all verbs; what the processes of commands import its workers have already."""
    with closing(Workers({"LD_PRELOAD": str(_library)}, PRELOADED)) as workers:
        yield Attack(_all_inputs, tmp_path_factory.mktemp("attack"), workers)
