"""Records of a run folder that are of other inputs than its run.json names are found and left out."""

from pathlib import Path

import pytest

from run_folder import BF16, INT8, ORT, TORCH, Trial, build_run
from sealed import edit_json, edit_record, replace_in_record
from seatrial.errors import RefusedFile
from seatrial.report.markdown import write_markdown
from seatrial.report.terminal import describe_run
from seatrial.report.write import write_report
from seatrial.results.run_folder import read_run
from seatrial.store.files import hash_file
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord, RunManifest


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return build_run(tmp_path, Trial(ships=(TORCH, ORT, INT8), trained=True))


def test_a_run_whose_records_follow_from_each_other_has_none(run: Path) -> None:
    assert read_run(run).stale == {}


def test_another_checkpoint_leaves_nothing(run: Path) -> None:
    edit_json(run / "run.json", lambda data: data["inputs"].update({"digits.pth": "0" * 64}))
    found = read_run(run)
    assert (found.verdict, found.checkpoint, found.graph, found.training) == (None, None, None, None)
    assert (found.built, found.accuracy, found.throughput, found.measurements) == ({}, {}, {}, {})
    assert found.stale["evaluation/openvino-int8.json"] == "another checkpoint"
    assert found.stale["train/train.json"] == "another checkpoint"
    assert found.stale["bench/torch.json"] == "an engine that is stale"
    assert found.stale["evaluation/torch.throughput.json"] == "another checkpoint"
    assert "PASS" not in describe_run(found)


@pytest.mark.parametrize(
    ("path", "changes", "reason"),
    [
        ("model.onnx.json", {"checkpoint_sha256": "0" * 64}, "another checkpoint"),
        ("evaluation/onnxruntime.json", {"checkpoint_sha256": "0" * 64}, "another checkpoint"),
        ("evaluation/onnxruntime.json", {"images_hash": "0" * 64}, "other images or labels"),
        ("evaluation/onnxruntime.json", {"graph_sha256": "0" * 64}, "another graph"),
        ("evaluation/onnxruntime.json", {"engine_identity": "0" * 64}, "another build of the engine"),
        ("bench/onnxruntime.json", {"engine_identity": "0" * 64}, "another build of the engine"),
        ("bench/onnxruntime.json", {"images_hash": "0" * 64}, "other images or labels"),
        ("evaluation/onnxruntime.throughput.json", {"key": "0" * 64}, "another evaluation"),
        ("train/train.json", {"checkpoint_sha256": "0" * 64}, "another checkpoint"),
        ("verdict.json", {"run": "0" * 64}, "other inputs"),
        ("verdict.json", {"evidence": {"bench/torch.json": "0" * 64}}, "another bench/torch.json"),
        ("verdict.json", {"evidence": {"bench/none.json": "0" * 64}}, "another bench/none.json"),
    ],
)
def test_what_a_record_is_of_is_reported(path: str, changes: dict[str, object], reason: str, run: Path) -> None:
    edit_record(run / path, **changes)
    assert read_run(run).stale[path] == reason
    text = write_markdown(read_run(run))
    shown = path.replace("_", "\\_")
    assert f"| stale: {shown} is of {reason} and left out; run it again | run |" in text


def test_a_copy_under_the_name_of_another_engine_is_none_of_it(run: Path) -> None:
    for place in ("evaluation", "bench"):
        copied = (run / place / "torch.json").read_bytes()
        (run / place / "openvino-int8.json").write_bytes(copied)
    found = read_run(run)
    for place in ("evaluation", "bench"):
        assert found.stale[f"{place}/openvino-int8.json"] == "engine torch"
    assert "openvino-int8" not in found.accuracy and "openvino-int8" not in found.measurements


def test_an_engine_behind_a_link_was_measured_by_the_name_of_its_folder(run: Path) -> None:
    (run / "engines" / "onnxruntime").rename(run / "elsewhere")
    (run / "engines" / "onnxruntime").symlink_to(run / "elsewhere")
    edit_record(run / "bench" / "onnxruntime.json", name="elsewhere")
    assert read_run(run).stale == {}


@pytest.mark.parametrize(
    ("spec", "stale"),
    [
        ({"opset": 17, "batch_sizes": [1, 4], "evaluate_batch_size": 4}, set()),
        ({"opset": 16}, {"model.onnx.json", "evaluation/torch.json", "bench/torch.json"}),
        ({"batch_sizes": [1]}, {"bench/torch.json"}),
        ({"batch_sizes": [1, 4, 8]}, {"bench/torch.json"}),
        ({"evaluate_batch_size": 8}, {"evaluation/torch.json", "evaluation/torch.throughput.json"}),
    ],
)
def test_settings_that_a_record_does_not_have_are_reported(spec: dict[str, object], stale: set[str], run: Path) -> None:
    edit_record(run / "run.json", spec=spec)
    evidence = {path: hash_file(run / path) for path in ("evaluation/torch.json", "bench/torch.json")}
    edit_record(run / "verdict.json", run=RunManifest.load(run / "run.json").identity, evidence=evidence)
    found = read_run(run)
    assert stale <= set(found.stale) and bool(found.stale) == bool(stale)
    assert found.stale.get("verdict.json", "") == ("records that are stale" if stale else "")


def test_an_int8_engine_follows_from_the_graph_that_it_was_converted_from(run: Path) -> None:
    replace_in_record(run / "engines" / "openvino-int8" / "engine.json", "e" * 64, "8" * 64)
    assert read_run(run).stale["engines/openvino-int8/engine.json"] == "another graph"
    edit_json(run / "engines" / "openvino-int8" / "engine.json", lambda data: data["graph"].update(origin=""))
    assert read_run(run).stale == {}, "records of older versions do not tell"


def test_a_verdict_of_an_older_version_holds_while_the_records_are_of_the_run(run: Path) -> None:
    edit_record(run / "verdict.json", run="")
    found = read_run(run)
    assert found.verdict is not None
    doubt = "an older version stored the verdict, without the checksums of what it was judged from"
    assert doubt in write_markdown(found)
    edit_record(run / "evaluation" / "onnxruntime.json", images_hash="0" * 64)
    assert read_run(run).verdict is None


def test_a_verdict_of_an_older_version_falls_with_other_engines(run: Path) -> None:
    edit_record(run / "verdict.json", run="")
    edit_json(run / "run.json", lambda data: data["engines"].append("openvino-bf16"))
    assert read_run(run).stale["verdict.json"] == "other inputs"


def test_a_changed_gate_is_another_run(run: Path) -> None:
    edit_json(run / "run.json", lambda data: data["recipe"]["gates"].update(reference_drop_pp=5.0))
    found = read_run(run)
    assert found.verdict is None and found.stale["verdict.json"] == "other inputs"


def test_a_card_key_that_a_later_version_added_makes_nothing_stale_at_its_default(run: Path) -> None:
    edit_json(run / "model.onnx.json", lambda data: data["recipe"].setdefault("gates", {}).pop("plausible", None))
    edit_json(run / "run.json", lambda data: data["recipe"].setdefault("gates", {}).update(plausible=True))
    edit_record(run / "verdict.json", run=RunManifest.load(run / "run.json").identity)
    assert read_run(run).stale == {}


@pytest.mark.parametrize("name", ["/etc/passwd", "../run.json", "bench/../../x"])
def test_evidence_outside_the_run_is_refused(name: str, run: Path) -> None:
    edit_record(run / "verdict.json", evidence={name: "0" * 64})
    with pytest.raises(RefusedFile, match="which is no file of the run"):
        read_run(run)


def test_evidence_that_is_as_it_was_upholds_the_verdict(run: Path) -> None:
    paths = ("evaluation/torch.json", "bench/openvino-int8.json")
    edit_record(run / "verdict.json", evidence={path: hash_file(run / path) for path in paths})
    assert read_run(run).verdict is not None


def test_a_verdict_does_not_outlive_the_graph_that_its_evidence_is_of(run: Path) -> None:
    evidence = {path: hash_file(run / path) for path in ("evaluation/torch.json", "evaluation/onnxruntime.json")}
    edit_record(run / "verdict.json", evidence=evidence)
    assert read_run(run).verdict is not None
    # What `seatrial compile --output RUN/engines/onnxruntime` of another graph leaves.
    edit_json(run / "engines/onnxruntime/engine.json", lambda data: data["graph"].update(sha256="7" * 64))
    found = read_run(run)
    assert found.stale["evaluation/onnxruntime.json"] == "an engine that is stale"
    assert found.verdict is None and found.stale["verdict.json"] == "records that are stale"
    assert "PASS" not in describe_run(found)


@pytest.mark.parametrize(
    ("images", "left_out", "batch_size", "stale"),
    [(540, 0, 16, False), (10, 0, 10, False), (10, 20, 16, False), (10, 20, 10, False), (10, 2, 16, True)],
    ids=["full", "few", "broken while running", "missing before", "more than there were"],
)
def test_a_partial_evaluation_ran_in_the_batches_of_all_its_images(
    images: int, left_out: int, batch_size: int, stale: bool, run: Path
) -> None:
    edit_record(run / "run.json", spec={"evaluate_batch_size": 16})
    absent = {f"x{number}": "it cannot be read" for number in range(left_out)}
    edit_record(run / "evaluation" / "torch.json", images=images, left_out=absent, batch_size=batch_size)
    (run / "evaluation" / "torch.parquet").unlink()
    assert ("evaluation/torch.json" in read_run(run).stale) == stale


def test_counts_against_another_reference_are_stale_and_those_against_this_one_are_counted_again(
    tmp_path: Path,
) -> None:
    run = build_run(tmp_path, Trial(ships=(TORCH, BF16)))
    path, reference = run / "evaluation" / "openvino-bf16.json", run / "evaluation" / "torch.json"
    edit_json(path, lambda data: data["versus"].update(lost=3))
    assert not read_run(run).stale, "an old record does not tell which predictions it is against"
    edit_json(path, lambda data: data["versus"].update(reference_sha256="0" * 64))
    assert read_run(run).stale["evaluation/openvino-bf16.json"] == "another reference"
    same = AccuracyRecord.load(reference).predictions_sha256
    edit_json(path, lambda data: data["versus"].update(reference_sha256=same))
    with pytest.raises(RefusedFile, match="its counts against its reference are"):
        read_run(run)
    edit_json(path, lambda data: data["versus"].update(lost=1))
    assert not read_run(run).stale


def test_predictions_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, loaded = build_run(tmp_path, Trial(ships=(TORCH, BF16, INT8))), []
    load = Predictions.load

    def count(path: Path, classes: int | None = None) -> Predictions:
        loaded.append(path.name)
        return load(path, classes)

    monkeypatch.setattr(Predictions, "load", count)
    write_report(run)
    assert sorted(loaded) == ["openvino-bf16.parquet", "openvino-int8.parquet", "torch.parquet"]


def test_hits_are_counted_again(tmp_path: Path) -> None:
    run = build_run(tmp_path, Trial(ships=(TORCH, BF16)))
    write_report(run)
    path = run / "evaluation" / "openvino-bf16.json"
    edit_json(path, lambda data: data["hits"].__setitem__(0, data["hits"][0] + 1))
    with pytest.raises(RefusedFile, match=r"openvino-bf16\.json was edited or damaged: its hits are \(540, \(517"):
        write_report(run)
    assert not (run / "report.html").exists() and not (run / "report.md").exists()


@pytest.mark.parametrize(("name", "key"), [("top1", "low"), ("macro_recall", "value")])
def test_metrics_are_measured_again(name: str, key: str, tmp_path: Path) -> None:
    run = build_run(tmp_path, Trial(ships=(TORCH, BF16)))
    edit_json(run / "evaluation" / "openvino-bf16.json", lambda data: data["metrics"][name].update({key: 0.99}))
    with pytest.raises(RefusedFile, match=rf"was edited or damaged: its metrics are .*'{name}': \[.*0\.99"):
        write_report(run)


def test_predictions_that_are_gone_are_doubted(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    (run / "evaluation" / "torch.parquet").unlink()
    text = write_markdown(read_run(run))
    assert "| its predictions torch.parquet are missing, so its accuracy was not counted again | torch |" in text


def test_other_weights_than_the_cards_are_doubted(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    edit_record(run / "checkpoint.safetensors.json", published=False)
    assert "its weights are not the published file of the card" in write_markdown(read_run(run))
