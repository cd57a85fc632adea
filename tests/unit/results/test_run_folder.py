"""Reading a run folder: what is missing is left out, what is damaged is refused."""

from pathlib import Path

import pytest

from run_folder import TORCH, Trial, build_run
from seatrial.errors import RefusedFile, UsageError
from seatrial.results.run_folder import read_run
from seatrial.store.records import RunManifest


def test_reads_every_record(tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path, Trial(trained=True)))
    assert run.engines == ("torch", "onnxruntime", "openvino-bf16")
    assert run.reference == "torch"
    assert list(run.accuracy) == list(run.built) == list(run.measurements) == list(run.engines)
    assert run.recipe.gates.reference_drop_pp == 1.0
    assert run.verdict is not None and run.verdict.outcome == "PASS"
    assert run.checkpoint is not None and run.graph is not None
    assert run.training is not None and len(run.training.epochs) == 7


def test_only_run_json_is_needed(tmp_path: Path) -> None:
    build_run(tmp_path / "whole")
    (tmp_path / "bare").mkdir()
    (tmp_path / "whole" / "run.json").rename(tmp_path / "bare" / "run.json")
    run = read_run(tmp_path / "bare")
    assert (run.verdict, run.checkpoint, run.graph, run.training) == (None, None, None, None)
    assert (run.built, run.accuracy, run.measurements) == ({}, {}, {})


def test_a_folder_without_run_json_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no run folder .*seatrial run"):
        read_run(tmp_path)


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    build_run(tmp_path)
    (tmp_path / "verdict.json").write_text("{")
    with pytest.raises(RefusedFile, match=r"verdict\.json is damaged"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["../torch", "a/b", "..", ""])
def test_an_engine_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    build_run(tmp_path, Trial(ships=(TORCH,)))
    manifest = RunManifest.load(tmp_path / "run.json")
    manifest.model_copy(update={"engines": (name,)}).save(tmp_path / "run.json")
    with pytest.raises(RefusedFile, match="no plain file name"):
        read_run(tmp_path)


def test_a_run_without_engines_is_refused(tmp_path: Path) -> None:
    build_run(tmp_path)
    RunManifest.load(tmp_path / "run.json").model_copy(update={"engines": ()}).save(tmp_path / "run.json")
    with pytest.raises(UsageError, match="names no engine"):
        read_run(tmp_path)
