"""A run in brief: what its images' labels are known by, and when a summary is no longer of its run."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from run_folder import ORT, TORCH, Trial, build_run, write_verdict
from sealed import edit_json, edit_record
from seatrial.results.run_folder import read_records
from seatrial.results.summarise import summarise
from seatrial.store.files import hash_file
from seatrial.store.predictions import hash_labels
from seatrial.store.records import Verdict
from seatrial.store.summary import SUMMARY, RunSummary


def write_labels(path: Path, labels: list[int] | None) -> Path:
    columns = {"id": pa.array([f"{row}.jpg" for row in range(4)])}
    pq.write_table(pa.table(columns if labels is None else {**columns, "label": pa.array(labels, pa.int32())}), path)
    return path


def test_labels_are_known_by_which_images_share_one(tmp_path: Path) -> None:
    hashes = [hash_labels(write_labels(tmp_path / "p.parquet", each)) for each in ([0, 1, 1, 2], [5, 3, 3, 9])]
    assert hashes[0] == hashes[1], "numbered otherwise, as with a class for the background"
    assert hash_labels(write_labels(tmp_path / "p.parquet", [0, 1, 2, 2])) != hashes[0]
    assert hash_labels(write_labels(tmp_path / "p.parquet", None)) == ""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = build_run(tmp_path, Trial(ships=(TORCH, ORT)))
    summarise(read_records(folder)).save(folder / SUMMARY)
    return folder


def test_every_engine_has_the_labels_of_its_images(run: Path) -> None:
    summary = RunSummary.find(run)
    assert summary is not None
    assert {engine.labels_hash for engine in summary.engines} == {hash_labels(run / "evaluation" / "torch.parquet")}
    (run / "evaluation" / "torch.parquet").unlink()
    (run / "evaluation" / "onnxruntime.parquet").unlink()
    gone = summarise(read_records(run))
    assert {engine.labels_hash for engine in gone.engines} == {""}


def test_a_summary_of_an_older_version_is_made_again(run: Path) -> None:
    edit_json(run / SUMMARY, lambda data: [engine.pop("labels_hash") for engine in data["engines"]])
    assert RunSummary.find(run) is None


@pytest.mark.parametrize("name", ["model.onnx.json", "checkpoint.safetensors.json"])
def test_a_summary_falls_with_the_graph_and_the_weights_that_make_records_stale(name: str, run: Path) -> None:
    assert RunSummary.find(run) is not None
    edit_record(run / name, sha256="0" * 64)
    assert read_records(run).stale and RunSummary.find(run) is None


def test_a_summary_falls_with_the_evidence_of_the_verdict(run: Path) -> None:
    record = run / "evaluation" / "batch-8" / "torch.json"
    record.parent.mkdir()
    record.write_bytes((run / "evaluation" / "torch.json").read_bytes())
    write_verdict(run, list(Verdict.load(run / "verdict.json").gates))
    edit_record(run / "verdict.json", evidence={"evaluation/batch-8/torch.json": hash_file(record)})
    summarise(read_records(run)).save(run / SUMMARY)
    found = RunSummary.find(run)
    assert found is not None and found.outcome is not None
    edit_record(record, images=1)
    assert RunSummary.find(run) is None and summarise(read_records(run)).outcome is None
