"""`seatrial run` on a miniature trial: every record, every stage once, the same answers from every engine."""

import json
import shutil
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.evaluation.reference import ReferencePredictions, name_differences
from seatrial.metrics import trust
from seatrial.store.files import hash_file
from seatrial.store.measurement import Measurement
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord, GraphManifest, RunManifest, Verdict
from tiny_trial import TinyTrial

ENGINES = ("torch", "onnxruntime", "openvino")


def test_a_run_leaves_what_the_design_says(tiny_run: Path) -> None:
    left = {str(p.relative_to(tiny_run)) for p in tiny_run.rglob("*") if p.is_file()}
    wanted = {"run.json", "checkpoint.safetensors", "checkpoint.safetensors.json", "model.onnx", "model.onnx.json"}
    wanted |= {"verdict.json", "report.html", "report.md"}
    for name in ENGINES:
        wanted |= {f"engines/{name}/engine.json", f"evaluation/{name}.json", f"evaluation/{name}.parquet"}
        wanted.add(f"bench/{name}.json")
    assert wanted <= left
    assert RunManifest.load(tiny_run / "run.json").engines == ENGINES


def test_every_image_is_counted_once_and_engines_agree(tiny_run: Path, tiny_trial: TinyTrial) -> None:
    labels = dict(line.split() for line in tiny_trial.labels.read_text().splitlines())
    reference = Predictions.load(tiny_run / "evaluation/torch.parquet")
    assert dict(zip(reference.ids, map(str, reference.labels.tolist()), strict=True)) == labels
    for name in ENGINES:
        record = AccuracyRecord.load(tiny_run / f"evaluation/{name}.json")
        found = Predictions.load(tiny_run / f"evaluation/{name}.parquet")
        assert record.images == 24 and found.ids == reference.ids
        assert (found.classes == reference.classes).all()
        assert record.hits[0] == int((found.classes[:, 0] == found.labels).sum())
        assert record.hits[-1] == 24  # four classes: the label is always among the first four
        assert record.predictions_sha256 == hash_file(tiny_run / f"evaluation/{name}.parquet")
        assert (record.versus is None) == (name == "torch")


def test_the_graph_was_proved_at_every_step(tiny_run: Path) -> None:
    manifest = GraphManifest.load(tiny_run / "model.onnx.json")
    assert [p.step for p in manifest.parity] == ["export", "simplify", "fuse preprocessing"]
    assert all(p.images == 24 and p.relative_error < 1e-5 and p.top1_disagreements == 0 for p in manifest.parity)
    assert (manifest.input.dtype, manifest.input.shape) == ("uint8", (None, 32, 32, 3))
    assert manifest.opset == 17


def test_every_sample_is_kept(tiny_run: Path) -> None:
    for name in ENGINES:
        points = Measurement.load(tiny_run / f"bench/{name}.json").points
        assert [p.batch_size for p in points] == [1, 2]
        assert all(len(p.durations_ms) == len(p.starts_s) >= 2 for p in points)


def test_a_rerun_finds_every_stage_done(
    tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    kept = [p for p in run.rglob("*") if p.suffix in (".onnx", ".xml", ".safetensors", ".parquet")]
    kept += [run / f"bench/{name}.json" for name in ENGINES]
    before = {p: p.stat().st_mtime_ns for p in kept}
    assert run_cli(tiny_trial.run_arguments(run, "--engines", "onnxruntime,openvino")) == 0
    assert {p: p.stat().st_mtime_ns for p in kept} == before
    shown = capsys.readouterr()
    assert shown.err.count("already") == 2 + 3 * len(ENGINES)
    assert shown.out.splitlines()[-1].startswith("PASS: ")


def test_an_altered_artefact_is_made_again(tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    arguments = tiny_trial.run_arguments(run, "--engines", "onnxruntime,openvino")
    answers = run / "evaluation/onnxruntime.parquet"
    before = hash_file(answers)
    answers.unlink()
    answers.write_bytes(b"damaged")
    assert run_cli(arguments) == 0
    assert hash_file(answers) == before


def test_a_gate_that_few_images_cannot_settle_is_inconclusive(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    card = tiny_trial.card.read_text().replace("reference_drop_pp = 30.0", "reference_drop_pp = 0.5")
    (tmp_path / "tight.toml").write_text(card)
    arguments = tiny_trial.run_arguments(run, "--engines", "onnxruntime", "--batch-size", "1", "--json")
    arguments[1] = str(tmp_path / "tight.toml")
    assert run_cli(arguments) == 7
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["outcome"] == "INCONCLUSIVE" and verdict["exit_code"] == 7
    assert Verdict.load(run / "verdict.json").outcome == "INCONCLUSIVE"


def test_a_speed_gate_that_is_missed_fails_the_run(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a machine as busy as one that runs tests the rates would be in doubt, and the gate undecided.
    monkeypatch.setattr(trust, "MOST_BUSY", 1.1)
    monkeypatch.setattr(trust, "WIDE", 1e9)
    gate = 'reference_drop_pp = 30.0\nspeed = ["best(onnxruntime) >= 1000000 * best(torch)"]'
    (tmp_path / "fast.toml").write_text(tiny_trial.card.read_text().replace("reference_drop_pp = 30.0", gate))
    arguments = tiny_trial.run_arguments(tmp_path / "run", "--engines", "onnxruntime", "--batch-size", "1")
    arguments[1] = str(tmp_path / "fast.toml")
    assert run_cli(arguments) == 4
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAIL: ")


def test_the_same_predictions_at_every_batch_size(
    tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    gate = "reference_drop_pp = 30.0\nsame_at_batches = [1, 16]"
    (tmp_path / "same.toml").write_text(tiny_trial.card.read_text().replace("reference_drop_pp = 30.0", gate))
    arguments = tiny_trial.run_arguments(run, "--engines", "onnxruntime,openvino", "--batch-size", "1", "--json")
    arguments[1] = str(tmp_path / "same.toml")
    assert run_cli(arguments) == 0
    gates = [g for g in json.loads(capsys.readouterr().out)["gates"] if g["gate"] == "same_at_batches"]
    assert [g["engine"] for g in gates] == list(ENGINES)
    assert all(g["reason"] == "against batch 1: 0 of 24 predictions differ at 16" for g in gates)
    assert AccuracyRecord.load(run / "evaluation/batch-16/openvino.json").batch_size == 16


def test_a_reference_of_other_images_or_preprocessing_is_doubted(tiny_run: Path, tiny_trial: TinyTrial) -> None:
    reference = ReferencePredictions.load(tiny_run / "evaluation" / "torch.parquet")
    record = AccuracyRecord.load(tiny_run / "evaluation" / "onnxruntime.json")
    assert record.versus is not None and record.versus.doubts == ()
    others = {"preprocess_hash": "another", "contents_hash": "another", "checkpoint_sha256": "another"}
    found = name_differences(record.versus, reference, record.model_copy(update=others))
    assert found.other_weights and found.doubts == (
        "torch: its preprocessing differs",
        "torch: its weights differ",
        "torch: image files have changed since",
    )


def test_files_that_were_only_copied_have_not_changed(tiny_run: Path) -> None:
    reference = ReferencePredictions.load(tiny_run / "evaluation" / "torch.parquet")
    record = AccuracyRecord.load(tiny_run / "evaluation" / "onnxruntime.json")
    assert record.versus is not None
    copied = record.model_copy(update={"images_hash": "of other times of change"})
    assert name_differences(record.versus, reference, copied).doubts == ()
    unknown = copied.model_copy(update={"contents_hash": None})
    assert name_differences(record.versus, reference, unknown).doubts == ("torch: image files have changed since",)
