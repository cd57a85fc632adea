"""Fixtures that several test folders share."""

import gc
import multiprocessing
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import forked_processes
from file_budget import read_budget
from made_once import make_once
from seatrial.cli import run_cli
from seatrial.data.bins import write
from seatrial.data.loading import decode_pool
from seatrial.machine import isolated_process
from short_measurements import measure_briefly
from tiny_trial import TinyTrial, make_trial
from unlabelled_run import make_unlabelled

BUDGET = read_budget()


def pytest_collection_finish() -> None:
    """What is loaded by now stays, so that nothing need look for garbage in it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    if BUDGET is not None:
        BUDGET.begin(item.path)
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    excess = BUDGET and BUDGET.find_excess()
    if excess:
        pytest.fail(excess, pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def _forked_processes() -> Iterator[None]:
    """Compiling, measuring and decoding processes are forked from one that has torch loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(isolated_process, "subprocess", forked_processes)
        for module in (decode_pool, write):
            patch.setattr(module, "multiprocessing", forked_processes)
        yield


@pytest.fixture(scope="session", autouse=True)
def _short_measurements() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        measure_briefly(patch.setattr)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_flush() -> Iterator[None]:
    """No test outlives a power cut, and waiting for the disk takes 5 ms for each file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def fresh_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling, measuring and decoding processes are started in earnest, as users start them."""
    monkeypatch.setattr(isolated_process, "subprocess", subprocess)
    for module in (decode_pool, write):
        monkeypatch.setattr(module, "multiprocessing", multiprocessing)


@pytest.fixture(scope="session")
def tiny_trial(tmp_path_factory: pytest.TempPathFactory) -> TinyTrial:
    """A miniature trial; read only."""
    return TinyTrial(make_once("trial", tmp_path_factory, make_trial))


@pytest.fixture(scope="session")
def tiny_run(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of the miniature trial with all engines; read only."""

    def make(folder: Path) -> None:
        assert run_cli(tiny_trial.run_arguments(folder, "--engines", "onnxruntime,openvino")) == 0

    return make_once("run", tmp_path_factory, make)


@pytest.fixture(scope="session")
def unlabelled_run(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`net.onnx`, `photos` without any label, and `trial`, the run that was made of them; read only."""
    return make_once("unlabelled", tmp_path_factory, lambda folder: make_unlabelled(tiny_trial, folder))


@pytest.fixture(scope="session")
def tiny_engines(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature trial's `model.onnx`, and the folder of each engine in `engines`; read only."""

    def make(folder: Path) -> None:
        graph = str(folder / "model.onnx")
        exported = ["--checkpoint", str(tiny_trial.checkpoint), "--images", str(tiny_trial.images), "--output", graph]
        assert run_cli(["export", str(tiny_trial.card), *exported]) == 0
        for engine in ("onnxruntime", "openvino", "torch"):
            assert run_cli(["compile", graph, "--engine", engine, "--output", str(folder / "engines" / engine)]) == 0

    return make_once("engines", tmp_path_factory, make)
