"""Faults planted in a run, one each: `seatrial diagnose` must name the stage, and none in a sound run."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

import planted_faults as faults
from sealed import edit_record
from seatrial.cli import run_cli
from seatrial.diagnosis.integrity import find_changes
from seatrial.diagnosis.label_order import doubt_accuracy
from seatrial.diagnosis.sample import DiagnoseSpec, read_sample
from seatrial.engines import get_engine
from seatrial.errors import EngineError
from seatrial.progress import silent
from seatrial.recipes import load_recipe
from seatrial.recipes.schema import Reference
from seatrial.store.diagnosis import Diagnosis, StageDiagnosis
from seatrial.store.predictions import Predictions
from seatrial.store.records import EngineManifest
from tiny_trial import CLASSES, TinyTrial

OPENVINO = "openvino:bf16" if "bf16" in get_engine("openvino").probe().precisions else "openvino"
NAME = OPENVINO.replace(":", "-")
ENGINES = ",".join(("onnxruntime", OPENVINO, "onnxruntime:int8"))
GRAPHS = ["export", "simplify", "stored graph", "fused preprocessing"]
CHAIN = ["labels", *GRAPHS, "torch", "onnxruntime", NAME, "model-int8.onnx", "onnxruntime-int8"]
Fault = Callable[[Path], None]
SLOW = pytest.mark.slow


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> TinyTrial:
    """ResNet-10-T is wide enough for int8 to err by less than the floor, which the small one is not."""
    return faults.make_diagnosed_trial(tmp_path_factory.mktemp("diagnosed") / "trial", "resnet10t")


@pytest.fixture(scope="session")
def sound_run(trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an engine in every precision; read only."""
    run = tmp_path_factory.mktemp("diagnosed") / "run"
    words = trial.run_arguments(run, "--engines", ENGINES, "--calibration", str(trial.folder / "train"))
    assert run_cli([*words, "--batch-size", "1"]) in (0, 7)
    return run


@pytest.fixture
def run(sound_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_run, tmp_path / "run"))


def diagnose(run: Path, *more: object) -> Diagnosis:
    """Run the verb, hold its exit code against what it stored, and read that."""
    code = run_cli(["diagnose", str(run), *map(str, more)])
    found = Diagnosis.load(run / "diagnosis.json")
    assert code == found.exit_code
    return found


def get_stage(found: Diagnosis, name: str) -> StageDiagnosis:
    return next(stage for stage in found.stages if stage.stage == name)


def test_a_sound_run_names_no_stage(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = diagnose(run)
    assert found.first is None and found.exit_code == 0 and found.findings == ()
    assert [stage.stage for stage in found.stages] == CHAIN
    assert {stage.verdict for stage in found.stages} == {"within"} and found.images == 24
    shown = capsys.readouterr().out.splitlines()
    assert " ".join(shown[0].split()) == "stage images top-1 against relative error largest error flips floor verdict"
    assert shown[-1] == "no stage leaves the noise floor"
    against = {stage.stage: stage.against for stage in found.stages}
    assert against["simplify"] == "export" and against["torch"] == against["export"] == "torch's network"
    assert against[NAME] == against["model-int8.onnx"] == "fused preprocessing"
    assert against["onnxruntime-int8"] == "model-int8.onnx"


@pytest.mark.parametrize(
    ("plant", "stage", "words"),
    [
        (faults.change_bias, "stored graph", "1 of 30 weights differs, 'fc.bias' by up to 0.05"),
        (faults.reverse_means, "fused preprocessing", "mean and standard deviation are in BGR order"),
        (faults.reverse_order, "fused preprocessing", "red and blue are swapped"),
        (faults.change_torch, "torch", "relative error"),
        (faults.change_onnxruntime, "onnxruntime", "relative error"),
        (lambda run: faults.change_openvino(run, NAME), NAME, "relative error"),
        (faults.change_scale, "model-int8.onnx", "relative error"),
    ],
    ids=["bias", "means", "order", "torch", "onnxruntime", "openvino", "scale"],
)
def test_a_fault_in_the_run_is_named(
    plant: Fault, stage: str, words: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(run)
    found = diagnose(run)
    assert (found.first, found.exit_code) == (stage, 3)
    assert not [finding for finding in found.findings if "changed after" in finding], "the manifests were made to fit"
    touched = {"stored graph": "leaves", "fused preprocessing": "inherits"} if stage == "stored graph" else {}
    wanted = {name: "within" for name in CHAIN} | {stage: "leaves"} | touched
    assert {other.stage: other.verdict for other in found.stages} == wanted, "what was compiled before is right"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"first stage that leaves the noise floor: {stage} - ") and words in last
    assert "delete " in last


def test_what_was_made_of_a_wrong_graph_inherits_its_fault(run: Path) -> None:
    faults.change_bias(run)
    engine = run / "engines" / "onnxruntime"
    path = engine / EngineManifest.load(engine / "engine.json").files[0].path
    path.unlink()
    shutil.copy(run / "model.onnx", path)
    faults.rehash_engine(engine)
    stages = diagnose(run).stages
    assert [stage.stage for stage in stages if stage.verdict == "leaves"] == ["stored graph"]
    inherited = {stage.stage: (stage.against, stage.reason) for stage in stages if stage.verdict == "inherits"}
    assert inherited == {
        "fused preprocessing": ("torch's network", "no further off than stored graph"),
        "onnxruntime": ("torch's network", "no further off than fused preprocessing"),
    }


def test_a_changed_file_is_a_finding_by_itself(run: Path) -> None:
    path = run / "model.onnx"
    model = onnx.load(path)
    model.doc_string = "touched"
    path.unlink()
    onnx.save(model, path)
    found = diagnose(run)
    assert found.first is None and found.exit_code == 0
    engines = [f"engines/{name} was compiled from another graph than those in the run folder" for name in
               ("torch", "onnxruntime", NAME)]  # fmt: skip
    assert list(found.findings) == ["model.onnx was changed after it was made", *engines]


def test_records_of_other_inputs_are_findings(run: Path) -> None:
    edit_record(run / "bench" / "torch.json", images_hash="0" * 64)
    edit_record(run / "evaluation" / "onnxruntime.json", engine_identity="0" * 64)
    case = read_sample(DiagnoseSpec(run), silent)
    assert set(find_changes(case)) == {
        "evaluation/onnxruntime.json is of another build of the engine: run it again",
        "evaluation/onnxruntime.throughput.json is of another build of the engine: run it again",
        "bench/torch.json is of other images or labels: run it again",
        "verdict.json is of another evaluation/onnxruntime.json: run it again",
    }


def test_inputs_that_changed_are_findings(run: Path, tmp_path: Path) -> None:
    case = read_sample(DiagnoseSpec(run), silent)
    assert find_changes(case) == ()
    other = tmp_path / "labels.txt"
    assert case.labels is not None
    other.write_text(case.labels.read_text() + "\n")
    assert find_changes(replace(case, labels=other)) == (f"{other} has changed since the run",)
    fewer = replace(case, labelled=case.labelled[1:])
    assert find_changes(fewer) == ("the images have changed since the run (names, sizes or times of change)",)


@pytest.mark.parametrize(
    ("made", "form", "words"),
    [
        (faults.resize_as_opencv, "float", "resized without antialiasing (as OpenCV's bilinear does)"),
        (faults.swap_colours, "float", "red and blue are swapped (BGR for RGB)"),
        pytest.param(faults.shift_crop, "uint8", "the crop lies 1 lower and 2 further left (pixels)", marks=SLOW),
        pytest.param(faults.make_pixels, "transposed", "the layout is the other one", marks=SLOW),
    ],
    ids=["resize", "colours", "crop", "layout"],
)
def test_bins_of_another_preprocessing_are_named(
    made: faults.Pixels, form: str, words: str, run: Path, trial: TinyTrial, tmp_path: Path
) -> None:
    recipe = load_recipe(str(trial.card))
    found = diagnose(run, "--bins", faults.write_bins(trial.images, tmp_path / "bins", recipe, made, form))
    assert (found.first, found.exit_code) == ("preprocessing", 3)
    assert words in found.conclusion and "levels apart on average" in found.conclusion
    assert {stage.verdict for stage in found.stages if stage.stage != "preprocessing"} == {"within"}


def test_sound_bins_lie_within_one_level_of_noise(run: Path, trial: TinyTrial, tmp_path: Path) -> None:
    bins = tmp_path / "bins"
    assert run_cli(["preprocess", str(trial.card), str(trial.images), str(bins)]) == 0
    (bins / "image_003.bin").unlink()
    found = diagnose(run, "--bins", bins)
    stage = get_stage(found, "preprocessing")
    assert stage.verdict == "within" and stage.distance is not None and stage.distance.relative_error == 0
    assert stage.floor is not None and 1e-4 < stage.floor < 0.05
    assert found.images == 23 and list(found.findings) == [f"{bins} lacks 1 of 24 images"]


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (False, "not one of the network's classes 0..3; the network's first class is the label minus 1 for 100.0%"),
        (True, "labels - the network's first class is the label minus 1 for 100.0% of 24 images, the label itself"),
    ],
    ids=["from 1", "wrapped"],
)
def test_labels_that_are_off_by_one_are_named(
    wrap: bool, words: str, run: Path, trial: TinyTrial, tmp_path: Path
) -> None:
    moved = faults.move_labels(trial.labels, tmp_path / "moved.txt", CLASSES, wrap)
    # Six images say nothing about an order: the answers that the run's torch has stored do.
    found = diagnose(run, "--labels", moved, "--limit", 6)
    assert (found.first, found.exit_code) == ("labels", 3)
    assert words in found.conclusion
    assert {stage.verdict for stage in found.stages[1:]} == {"within"}


def test_stored_predictions_count_only_while_torch_still_gives_them(
    run: Path, trial: TinyTrial, tmp_path: Path
) -> None:
    stored = Predictions.load(run / "evaluation" / "torch.parquet")
    others = Predictions(stored.ids, stored.labels, (stored.classes + 1) % CLASSES, stored.scores)
    others.save(run / "evaluation" / "torch.parquet")
    found = diagnose(run, "--limit", 12)
    assert found.first is None and get_stage(found, "labels").images == 12
    assert found.findings == ("evaluation/torch.parquet was changed after it was made",)


def test_a_loss_ahead_of_torch_is_doubted(run: Path) -> None:
    case = read_sample(DiagnoseSpec(run), silent)
    labels = StageDiagnosis(stage="labels", images=400, top1=0.5, verdict="within")
    published = {top1: case.recipe.model_copy(update={"reference": Reference(top1=top1, source="paper")})
                 for top1 in (0.58, 0.76)}  # fmt: skip
    assert doubt_accuracy(case, labels) is None, "the card names no accuracy"
    assert doubt_accuracy(replace(case, recipe=published[0.58]), labels) is None, "within the interval and 5 points"
    doubt = doubt_accuracy(replace(case, recipe=published[0.76]), labels)
    assert doubt is not None and "right for 50.0% of 400 images, and the card names 76.0%" in doubt
    wrong = labels.model_copy(update={"verdict": "leaves"})
    assert doubt_accuracy(replace(case, recipe=published[0.76]), wrong) is None


def test_a_faulty_exporter_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.export import export_graph as module

    export = module.to_onnx

    def export_wrongly(*arguments: Any) -> onnx.ModelProto:
        model = export(*arguments)
        faults.add_to_bias(model, 0.05)
        return model

    monkeypatch.setattr(module, "to_onnx", export_wrongly)
    found = diagnose(run)
    assert found.first == "export" and "--exporter" in found.conclusion
    # The run's own graph was made before and is right.
    assert {stage.verdict for stage in found.stages[3:]} == {"within"}


def test_a_stage_that_cannot_be_run_leaves_the_conclusion_open(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.export import export_graph as module

    def refuse(*arguments: Any) -> onnx.ModelProto:
        raise EngineError("exporter torchscript failed")

    monkeypatch.setattr(module, "to_onnx", refuse)
    shutil.rmtree(run / "engines" / "onnxruntime")
    found = diagnose(run)
    assert (found.first, found.exit_code) == (None, 7)
    missing = ["export", "simplify", "onnxruntime"]
    assert found.conclusion.endswith("not run: " + ", ".join(missing))
    assert [stage.stage for stage in found.stages if stage.verdict == "not run"] == missing
    assert get_stage(found, "stored graph").against == "torch's network"
    faults.change_bias(run)
    found = diagnose(run)
    assert (found.first, found.exit_code) == ("stored graph", 3)
    assert "the difference cannot be explained (exporter torchscript failed)" in found.conclusion


def test_a_stage_that_gives_no_numbers_leaves(run: Path) -> None:
    model = onnx.load(run / "model.onnx")
    faults.change_weight(model, "fc.bias", lambda bias: bias * float("nan"))
    faults.save_graph(model, run / "model.onnx")
    found = diagnose(run)
    assert found.first == "stored graph" and "NaN" in found.conclusion


def test_json_and_other_images(run: Path, trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--images", str(trial.folder / "train"), "--limit", "5", "--json"]
    assert run_cli(["diagnose", str(run), *words]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "seatrial/diagnosis/1" and told["images"] == 5
    assert Diagnosis.load(run / "diagnosis.json").model_dump(mode="json", by_alias=True) == told


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 2, "nowhere is no run folder (it has no run.json); `seatrial run` makes one"),
        (["run", "--images", "nowhere"], 6, "image folder nowhere is not there"),
        (["run", "--bins", "trial"], 6, "trial holds no .bin file of any of the 24 images; one would be image_000.bin"),
    ],
)
def test_what_cannot_be_diagnosed_is_reported(
    words: list[str],
    code: int,
    message: str,
    run: Path,
    trial: TinyTrial,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(run.parent)
    (run.parent / "trial").symlink_to(trial.folder)
    assert run_cli(["diagnose", *words]) == code
    assert message in capsys.readouterr().err


def test_images_that_moved_away_are_asked_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_record(run / "run.json", images="/gone")
    assert run_cli(["diagnose", str(run)]) == 2
    assert "which does not exist as seen from this folder; give --images and --labels" in capsys.readouterr().err
