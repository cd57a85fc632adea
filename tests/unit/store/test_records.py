import json
from pathlib import Path

import pytest

from run_folder import Trial, build_run
from sealed import edit_json, edit_record
from seatrial.errors import RefusedFile, UsageError
from seatrial.store.measurement import EngineRecord, Measurement, Throughput
from seatrial.store.record import CHECKSUM, Record
from seatrial.store.records import (
    AccuracyRecord,
    CheckpointManifest,
    EarlyStopping,
    EngineManifest,
    GraphManifest,
    RunManifest,
    Verdict,
)
from seatrial.store.training import TrainingRecord, TrainingSpeedRecord

STORED = {
    "run.json": RunManifest,
    "checkpoint.safetensors.json": CheckpointManifest,
    "model.onnx.json": GraphManifest,
    "engines/onnxruntime/engine.json": EngineManifest,
    "evaluation/onnxruntime.json": AccuracyRecord,
    "evaluation/onnxruntime.throughput.json": Throughput,
    "bench/onnxruntime.json": Measurement,
    "train/train.json": TrainingRecord,
    "verdict.json": Verdict,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("records") / "run", Trial(trained=True))


def test_every_kind_of_record_is_stored_in_a_run() -> None:
    modules = {kind.__module__ for kind in (RunManifest, AccuracyRecord, Measurement, TrainingRecord)}
    bases = (*Record.__subclasses__(), *EngineRecord.__subclasses__())
    kinds = {kind for kind in bases if kind.__module__ in modules and kind is not EngineRecord}
    assert set(STORED.values()) == kinds - {TrainingSpeedRecord}, "a speed is stored where it was measured"


@pytest.mark.parametrize(("name", "kind"), STORED.items())
def test_a_record_comes_back_as_it_was_saved(name: str, kind: type[Record], run: Path, tmp_path: Path) -> None:
    record = kind.load(run / name)
    record.save(tmp_path / "again.json")
    assert kind.load(tmp_path / "again.json") == record
    assert (tmp_path / "again.json").read_bytes() == (run / name).read_bytes()
    assert json.loads((run / name).read_text())["schema"] == kind.model_fields["schema_"].default


def spoil(run: Path, tmp_path: Path, **changes: object) -> Path:
    data = json.loads((run / "verdict.json").read_text()) | changes
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}, default=str))
    edit_record(path)
    return path


def test_an_unknown_key_names_the_nearest(run: Path, tmp_path: Path) -> None:
    path = spoil(run, tmp_path, outcom="PASS")
    with pytest.raises(UsageError, match=rf"^{path}: unknown key 'outcom'; did you mean 'outcome'\?$"):
        Verdict.load(path)


def test_an_unknown_key_deep_inside_names_the_nearest(run: Path, tmp_path: Path) -> None:
    gate = json.loads((run / "verdict.json").read_text())["gates"][0]
    path = spoil(run, tmp_path, gates=[gate, {**gate, "raeson": ""}])
    with pytest.raises(UsageError, match=r"unknown key 'gates\.1\.raeson'; did you mean 'reason'\?"):
        Verdict.load(path)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ("seatrial/run/1", "is a seatrial/run/1, not a seatrial/verdict/1"),
        ("seatrial/verdict/99", "is a seatrial/verdict/99, not a seatrial/verdict/1"),
        (..., "is a file without a schema, not a seatrial/verdict/1"),
    ],
)
def test_another_kind_of_record_is_refused(schema: object, told: str, run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        Verdict.load(spoil(run, tmp_path, schema=schema))


@pytest.mark.parametrize(
    "contents",
    [b"", b'{"schema": "seatrial/verdict/1", "outc', b"\x80\x81", b"[1, 2]", b"PK\x03\x04", b"[" * 100_000],
)
def test_a_damaged_file_is_refused(contents: bytes, tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_bytes(contents)
    with pytest.raises(RefusedFile, match=r"verdict\.json .*; delete it and run the stage again"):
        Verdict.load(tmp_path / "verdict.json")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none.json", r"there is no \S+none\.json; run the stage"),
        ("verdict.json/none.json", "there is no "),
        ("folder", r"folder cannot be read \(Is a directory\); check"),
    ],
)
def test_what_is_no_file_is_reported(name: str, told: str, run: Path, tmp_path: Path) -> None:
    spoil(run, tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=told):
        Verdict.load(tmp_path / name)


@pytest.mark.parametrize(("name", "kind"), STORED.items())
def test_a_record_that_was_edited_is_refused(name: str, kind: type[Record], run: Path, tmp_path: Path) -> None:
    """Every number, text and list of the file, changed so that it would still load."""
    path, whole = tmp_path / "edited.json", json.loads((run / name).read_text())
    for key, value in whole.items():
        if key != "schema" and isinstance(value, str | int | float):
            path.write_text(json.dumps(whole | {key: f"{value}x" if isinstance(value, str) else value + 1}))
            with pytest.raises(
                RefusedFile, match=r"edited\.json was edited or damaged: checksum mismatch; delete it and run the stage"
            ):
                kind.load(path)
    edit_json(path, lambda data: None)
    if name != "run.json":
        kind.load(path)


@pytest.mark.parametrize(("name", "kind"), STORED.items())
def test_a_record_of_an_older_version_has_no_checksum_and_loads(
    name: str, kind: type[Record], run: Path, tmp_path: Path
) -> None:
    data = json.loads((run / name).read_text())
    assert len(data.pop(CHECKSUM)) == 64
    (tmp_path / "old.json").write_text(json.dumps(data))
    assert kind.load(tmp_path / "old.json") == kind.load(run / name)


def test_a_record_inside_another_has_no_checksum(run: Path) -> None:
    assert CHECKSUM not in json.loads((run / "engines/onnxruntime/engine.json").read_text())["graph"]


def test_numbers_that_no_record_holds_are_refused(run: Path, tmp_path: Path) -> None:
    text = (run / "verdict.json").read_text()
    (tmp_path / "odd.json").write_text(text.replace('"exit_code": 0', '"exit_code": 1e999'))
    with pytest.raises(RefusedFile, match=r"odd.json is damaged \(line \d+: the number 1e999 is too large\)"):
        Verdict.load(tmp_path / "odd.json")


def test_accuracy_is_hits_over_images(run: Path) -> None:
    record = AccuracyRecord.load(run / "evaluation" / "onnxruntime.json")
    counted = record.model_copy(update={"images": 8, "hits": (2, 4, 6)})
    assert [counted.accuracy(), counted.accuracy(2), counted.accuracy(5)] == [0.25, 0.5, 0.75]


def test_an_accuracy_of_the_first_version_still_loads(run: Path, tmp_path: Path) -> None:
    data = json.loads((run / "evaluation/onnxruntime.json").read_text())
    for key in ("left_out", "batch_invariant", "metrics", "early_stopping", CHECKSUM):
        del data[key]
    old = {**data, "schema": "seatrial/accuracy/1", "workers": 2, "wall_s": 1.5, "images_per_s": 100.0}
    (tmp_path / "old.json").write_text(json.dumps({**old, "top1_interval": [0.5, 0.6]}))
    expected = AccuracyRecord.load(run / "evaluation/onnxruntime.json")
    tops = {name: estimate for name, estimate in expected.metrics.items() if name.startswith("top")}
    assert 0 < len(tops) < len(expected.metrics)
    assert AccuracyRecord.load(tmp_path / "old.json") == expected.model_copy(update={"metrics": tops})


def test_an_accuracy_of_the_second_version_keeps_how_it_stopped_early(run: Path, tmp_path: Path) -> None:
    data = json.loads((run / "evaluation/onnxruntime.json").read_text())
    for key in ("metrics", "early_stopping", CHECKSUM):
        del data[key]
    ended = {"limit_pp": 1.0, "outcome": "PASS", "looks": 2, "confidence": 0.99, "of_images": 900}
    old = {**data, "schema": "seatrial/accuracy/2", "top1_interval": [0.5, 0.6], "certainty": ended}
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert AccuracyRecord.load(tmp_path / "old.json").early_stopping == EarlyStopping.model_validate(ended)


def test_a_throughput_of_the_first_version_has_other_names(run: Path, tmp_path: Path) -> None:
    data = json.loads((run / "evaluation/onnxruntime.throughput.json").read_text())
    names = {
        "decode_workers": "workers",
        "streams": "callers",
        "first_prediction_s": "first_answer_s",
        "attempts": "sittings",
    }
    old = {names.get(key, key): value for key, value in data.items() if key != CHECKSUM}
    (tmp_path / "old.json").write_text(json.dumps({**old, "schema": "seatrial/throughput/1"}))
    assert Throughput.load(tmp_path / "old.json") == Throughput.load(run / "evaluation/onnxruntime.throughput.json")


@pytest.mark.parametrize("hits", [[10**9], [-1], ["many"], None])
def test_an_old_accuracy_with_impossible_hits_is_refused(hits: object, run: Path, tmp_path: Path) -> None:
    data = json.loads((run / "evaluation/onnxruntime.json").read_text())
    for key in ("metrics", "early_stopping", CHECKSUM):
        del data[key]
    (tmp_path / "old.json").write_text(json.dumps({**data, "schema": "seatrial/accuracy/2", "hits": hits}))
    with pytest.raises(UsageError):
        AccuracyRecord.load(tmp_path / "old.json")


@pytest.mark.parametrize("labels", ["val.txt", None])
def test_an_older_run_has_its_paths_in_its_command_only(labels: str | None, run: Path, tmp_path: Path) -> None:
    data = json.loads((run / "run.json").read_text())
    for key in ("checkpoint", "images", "labels", CHECKSUM):
        data.pop(key, None)
    words = "seatrial run resnet50 --checkpoint 'my net.pth' --images '/data/a b' --output here"
    (tmp_path / "run.json").write_text(json.dumps(data | {"command": words + (" --labels val.txt" if labels else "")}))
    found = RunManifest.load(tmp_path / "run.json")
    assert (found.checkpoint, found.images, found.labels) == ("my net.pth", "/data/a b", labels)


def test_points_of_older_measurements_have_no_warm_up_times(run: Path, tmp_path: Path) -> None:
    data = json.loads((run / "bench" / "torch.json").read_text())
    for point in data["points"]:
        del point["warmup_ms"]
    data.pop(CHECKSUM)
    (tmp_path / "torch.json").write_text(json.dumps(data))
    assert all(point.warmup_ms == () for point in Measurement.load(tmp_path / "torch.json").points)
