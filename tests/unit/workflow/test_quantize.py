"""`seatrial quantize`: what it stores, what it finds again, what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seatrial.cli import run_cli
from seatrial.data.images import LabelledImage, PreparedInput, hash_listing
from seatrial.data.labels import read_labels
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import DataError, NotComparable, UsageError
from seatrial.evaluation.notes import CHOSEN
from seatrial.export import int8
from seatrial.export.graph import open_graph, run_graph
from seatrial.models.onnx_file import load_graph
from seatrial.progress import Update
from seatrial.store.files import hash_file, hash_value
from seatrial.store.records import GraphManifest
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine
from seatrial.workflow.quantize import QuantizeSpec, check_leak, quantize_graph
from uneven_network import CLASSES, SPOILED, draw_pixels, make_network, write_graph, write_images


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph, images to calibrate with, and labelled ones whose labels are the graph's own answers; read only."""
    folder = tmp_path_factory.mktemp("place")
    graph = write_graph(folder / "model.onnx", make_network(opset=11))
    write_images(folder / "train", 24, seed=1)
    val = write_images(folder / "val", 100, seed=3)
    answers = run_graph(load_graph(graph), draw_pixels(100, seed=3)).argmax(axis=1)
    lines = [f"{path.name} {answer}\n" for path, answer in zip(val, answers, strict=True)]
    (folder / "labels.txt").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def labelled(place: Path) -> tuple[LabelledImage, ...]:
    return read_labels(place / "val", place / "labels.txt", CLASSES)


@pytest.fixture(scope="module")
def made(place: Path) -> GraphManifest:
    return quantize_graph(place / "model.onnx", QuantizeSpec(place / "train"), place / "made" / "int8.onnx")


def test_the_manifest_says_what_was_done(place: Path, made: GraphManifest) -> None:
    before = GraphManifest.load(place / "model.onnx.json")
    assert (before.opset, made.opset, made.precision) == (11, 13, "int8")
    assert made == GraphManifest.load(place / "made" / "int8.onnx.json")
    assert made.sha256 == hash_file(place / "made" / "int8.onnx")
    assert (made.input, made.output, made.preprocess_hash) == (before.input, before.output, before.preprocess_hash)
    assert made.checkpoint == "../checkpoint.safetensors", "seen from the new file"
    assert "nncf" in made.versions
    done = made.calibration
    assert done is not None
    assert (done.images, done.preset, done.layers, done.float_layers) == (24, "performance", 4, 0)
    assert (done.kept_float, done.max_drop_pp, done.chosen_on) == ((), None, None)
    hashes = sorted(hash_file(path) for path in (place / "train").iterdir())
    assert sorted(done.contents) == hashes and done.sha256 == hash_value(hashes)
    (moved,) = made.parity
    assert (moved.step, moved.images) == ("quantize", 24)
    assert moved.top1_disagreements > 1, "told, though more than the share that a float step may change"


def test_an_attempt_opens_its_graph_once_however_many_images_judge_it(
    place: Path, labelled: tuple[LabelledImage, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[int] = []

    def count(*given: Any) -> Any:
        opened.append(1)
        return open_graph(*given)

    monkeypatch.setattr(int8, "open_graph", count)
    monkeypatch.setattr(int8, "AT_ONCE", 16)
    spec = QuantizeSpec(place / "train", max_drop_pp=100.0, images=labelled)
    quantize_graph(place / "model.onnx", spec, tmp_path / "int8.onnx")
    assert len(opened) == 2, "the float graph, and the first int8 one"


def test_it_is_made_once_for_the_same_images(place: Path, made: GraphManifest, tmp_path: Path) -> None:
    told: list[Update] = []
    output = place / "made" / "int8.onnx"
    stamp = output.stat().st_mtime_ns
    names = "".join(f"train/{path.name}\n" for path in (place / "train").iterdir())
    (place / "list.txt").write_text(names)
    again = quantize_graph(place / "model.onnx", QuantizeSpec(place / "list.txt"), output, told.append)
    assert again == made and output.stat().st_mtime_ns == stamp
    assert [update.note for update in told] == ["already quantised: int8.onnx"]
    other = quantize_graph(place / "model.onnx", QuantizeSpec(place / "train", count=20), tmp_path / "other.onnx")
    assert other.key != made.key and other.calibration is not None and other.calibration.images == 20


def test_a_graph_without_fused_preprocessing(place: Path, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "plain.onnx", make_network(uneven=1), fuse=False)
    done = quantize_graph(graph, QuantizeSpec(place / "train"), tmp_path / "int8.onnx")
    assert done.input.dtype == "float32" and not done.fused
    assert done.calibration is not None and done.calibration.layers == 4


def test_images_to_evaluate_on_are_refused(place: Path, labelled: tuple[LabelledImage, ...], tmp_path: Path) -> None:
    spec = QuantizeSpec(place / "val", count=10, images=labelled)
    with pytest.raises(DataError, match=r"10 of 100 evaluation images were used for calibration, first .*patch_000"):
        quantize_graph(place / "model.onnx", spec, tmp_path / "int8.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_quantised(place: Path, made: GraphManifest, tmp_path: Path) -> None:
    spec = QuantizeSpec(place / "train")
    with pytest.raises(UsageError, match="would overwrite the graph itself"):
        quantize_graph(place / "model.onnx", spec, place / "made" / ".." / "model.onnx")
    with pytest.raises(UsageError, match="computes in int8 already"):
        quantize_graph(place / "made" / "int8.onnx", spec, tmp_path / "int8.onnx")
    with pytest.raises(UsageError, match="measured on labelled images, and there are none"):
        quantize_graph(place / "model.onnx", replace(spec, max_drop_pp=1.0), tmp_path / "int8.onnx")


def test_a_budget_is_not_measured_by_labels_that_cannot_be_right(
    place: Path, labelled: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    moved = tuple(replace(image, label=(image.label + 1) % CLASSES) for image in labelled)
    spec = QuantizeSpec(place / "train", images=moved, max_drop_pp=3.0)
    with pytest.raises(NotComparable, match=r"no drop can be measured .* is the label minus 1 for 100\.0% of 100"):
        quantize_graph(place / "model.onnx", spec, tmp_path / "int8.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_budget_puts_layers_back_and_says_what_chose_them(
    place: Path, labelled: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    told: list[Update] = []
    spec = QuantizeSpec(place / "train", images=labelled, max_drop_pp=3.0)
    done = quantize_graph(place / "model.onnx", spec, tmp_path / "int8.onnx", told.append).calibration
    assert done is not None and done.kept_float[0] == SPOILED and done.max_drop_pp == 3.0
    assert done.layers + done.float_layers == 4 and 1 <= done.float_layers < 4
    notes = [update.note for update in told]
    assert any(note.startswith("these 100 images chose") and "do not prove" in note for note in notes)
    manifest = GraphManifest.load(tmp_path / "int8.onnx.json")
    again: list[Update] = []
    check_leak(manifest, labelled, hash_listing(labelled), again.append)
    assert len(again) == 1 and "do not prove its accuracy" in again[0].note
    again.clear()
    check_leak(manifest, labelled[1:], hash_listing(labelled[1:]), again.append)
    assert again == []
    form = PreparedInput("uint8", (32, 32, 3), None)
    foreign = [replace(image, prepared=form, content=content) for image in labelled[:3] for content in (None, (1, "a"))]
    check_leak(manifest, foreign, hash_listing(foreign), again.append)
    assert len(again) == 1 and "the sources of 3 preprocessed images are not known" in again[0].note


def test_an_engine_is_not_evaluated_on_what_calibrated_it(
    place: Path,
    made: GraphManifest,
    labelled: tuple[LabelledImage, ...],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "engine"
    built = compile_graph(place / "made" / "int8.onnx", BuildSpec("onnxruntime", "int8"), folder)
    assert built.manifest.precision == "int8" and built.manifest.graph == made
    leaked = [LabelledImage(path.name, path, 0) for path in sorted((place / "train").iterdir())[:5]]
    with pytest.raises(DataError, match="5 of 105 evaluation images were used for calibration"):
        evaluate_engine(folder, EvaluateSpec([*labelled, *leaked]), tmp_path / "accuracy")
    assert not (tmp_path / "accuracy").exists()


def test_an_accuracy_on_the_images_that_chose_the_layers_is_doubted_in_its_record(
    place: Path, made: GraphManifest, labelled: tuple[LabelledImage, ...], tmp_path: Path
) -> None:
    # The float network with what is recorded of an int8 one: here the graph within a budget is float but for a layer.
    built = compile_graph(place / "model.onnx", BuildSpec("onnxruntime", "fp32"), tmp_path / "engine")
    assert made.calibration is not None
    kept = made.calibration.model_copy(update={"kept_float": ("a",), "chosen_on": hash_listing(labelled)})
    graph = built.manifest.graph.model_copy(update={"calibration": kept})
    file = replace(built, manifest=built.manifest.model_copy(update={"graph": graph}))
    for images in (labelled, labelled[1:]):
        record = evaluate_engine(file, EvaluateSpec(images), tmp_path / "accuracy")
        assert (CHOSEN in record.doubts) == (images is labelled)


def test_the_verb(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["quantize", str(place / "model.onnx"), "--calibration", str(place / "train")]
    words += ["--output", str(tmp_path / "int8.onnx"), "--images", str(place / "val")]
    words += ["--labels", str(place / "labels.txt"), "--max-drop-pp", "3"]
    assert run_cli(words) == 0
    shown = capfd.readouterr().out.splitlines()
    assert len(shown) == 2 and "calibrated on 24 images; against fp32 on 64 images" in shown[0]
    assert shown[1].startswith(f"in float: {SPOILED}")
    assert run_cli([*words, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["calibration"]["max_drop_pp"] == 3


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--preset", "fast"], 2, "there is no preset 'fast'; performance or mixed"),
        (["--labels", "labels.txt"], 2, "belongs to --images"),
        (["--max-drop-pp", "1"], 2, "there are none"),
        (["--calibration", "nowhere"], 6, "nowhere is not there"),
    ],
)
def test_what_the_verb_refuses(
    more: list[str], code: int, words: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--calibration", str(place / "train"), "--output", str(tmp_path / "int8.onnx"), *more]
    assert run_cli(["quantize", str(place / "model.onnx"), *given]) == code
    assert words in capsys.readouterr().err
