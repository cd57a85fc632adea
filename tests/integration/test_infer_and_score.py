"""The guides' three steps, preprocess, infer and score, give what `evaluate` gives, whatever goes in and comes out."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ascend_machine import emulate_ascend
from seatrial.cli import run_cli
from seatrial.evaluation.score import read_prediction
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord
from tiny_trial import TinyTrial

MODE = """
[modes.pixels]
preprocess = [{ step = "resize", short_side = 36 }, { step = "center_crop", size = [32, 32] }]
"""


def run(*words: object) -> None:
    assert run_cli([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def place(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines that take pixels, engines that take floats, and bins for both."""
    folder = tmp_path_factory.mktemp("infer")
    card = folder / "tiny.toml"
    card.write_text(tiny_trial.card.read_text() + MODE)
    for kind, option in (("pixels", "--fuse-preprocess"), ("floats", "--no-fuse-preprocess")):
        run("export", card, "--checkpoint", tiny_trial.checkpoint, option, "--output", folder / f"{kind}.onnx")
        mode = ("--mode", "pixels") if kind == "pixels" else ()
        run("preprocess", card, tiny_trial.images, folder / kind, *mode, "--info", folder / f"{kind}.info")
    for engine in ("onnxruntime", "openvino"):
        run("compile", folder / "pixels.onnx", "--engine", engine, "--precision", "fp32", "--output", folder / engine)
    plain = ("--engine", "onnxruntime", "--batch-size", "1,8", "--output", folder / "plain")
    run("compile", folder / "floats.onnx", *plain)
    return folder


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def evaluated(request: pytest.FixtureRequest, place: Path, tiny_trial: TinyTrial) -> Path:
    """An engine that takes pixels, its accuracy beside it."""
    folder = place / str(request.param)
    asked = ("--images", tiny_trial.images, "--labels", tiny_trial.labels, "--batch-size", 8)
    run("evaluate", folder, *asked, "--output", place / "accuracy")
    return folder


def check_score(answers: Path, engine: Path, trial: TinyTrial) -> None:
    """The hits of `score` are those of `evaluate`, and so are the scores of each image's best class."""
    run("score", answers, trial.labels, answers.parent, "result.json")
    told = json.loads((answers.parent / "result.json").read_text())["value"]
    record = AccuracyRecord.load(engine.parent / "accuracy" / f"{engine.name}.json")
    assert [row["value"] for row in told[:2]] == ["24", "4"]
    shares = [np.float64(hits) / 24 for hits in record.hits]
    assert [row["value"] for row in told[2:]] == [f"{round(share * 100, 2)}%" for share in shares]
    kept = Predictions.load(engine.parent / "accuracy" / f"{engine.name}.parquet")
    files = sorted(answers.iterdir())
    rows = np.stack([read_prediction(path) for path in files])
    assert [path.name.rpartition("_")[0] for path in files] == [name.split(".")[0] for name in kept.ids]
    np.testing.assert_array_equal(rows.argmax(1), kept.classes[:, 0])
    tolerance = 5e-7 if files[0].suffix == ".txt" else 0  # Text has six decimals.
    np.testing.assert_allclose(rows.max(1), kept.scores[:, 0], rtol=0, atol=tolerance)


@pytest.mark.parametrize("form", ["TXT", "BIN", "NPY"])
@pytest.mark.parametrize("source", ["images", "bins"])
def test_predictions_score_as_the_engine_is_evaluated(
    source: str, form: str, evaluated: Path, place: Path, tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    given = tiny_trial.images if source == "images" else place / "pixels"
    where = ("--output", tmp_path, "--output-dirname", "result", "--outfmt", form, "--batch-size", 8)
    run("infer", evaluated, "--input", given, *where)
    check_score(tmp_path / "result", evaluated, tiny_trial)


@pytest.mark.parametrize("form", ["TXT", "BIN"])
def test_the_older_tools_layout_scores_the_same(
    form: str, evaluated: Path, place: Path, tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    where = ("--output", tmp_path, "--layout", "benchmark", "--outfmt", form, "--batch-size", 8)
    run("infer", evaluated, "--input", place / "pixels.info", *where)
    check_score(tmp_path / "result" / "dumpOutput_device0", evaluated, tiny_trial)


def test_float_bins_and_a_batch_that_does_not_come_out_even(
    place: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = place / "plain"
    asked = ("--images", tiny_trial.images, "--labels", tiny_trial.labels, "--output", place / "accuracy")
    run("evaluate", engine, *asked, "--batch-size", 1)
    run("infer", engine, "--input", place / "floats", "--output", tmp_path, "--output-dirname", "a")
    check_score(tmp_path / "a", engine, tiny_trial)
    listed = ",".join(str(place / "floats" / f"image_{number:03d}.bin") for number in range(11))
    capsys.readouterr()
    some = ("--input", listed, "--output", tmp_path, "--output-dirname", "b", "--batch-size", 8, "--json")
    run("infer", engine, *some)
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], told["batches"], told["NPU_compute_time"]["count"]) == (11, 2, 2)
    for path in (tmp_path / "b").iterdir():
        # One image's answer does not depend on its batch.
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


def test_bins_of_another_preprocessing_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["infer", str(place / "onnxruntime"), "--input", str(place / "floats"), "--output", str(tmp_path)]
    assert run_cli(wrong) == 6
    assert "`seatrial preprocess CARD.toml IMAGES BINS --mode pixels` writes what it takes" in capsys.readouterr().err
    assert run_cli(["infer", str(place / "plain"), "--input", str(place / "pixels")]) == 6
    assert "`seatrial preprocess CARD.toml IMAGES BINS` writes what it takes" in capsys.readouterr().err


@pytest.fixture
def npu(place: Path, tmp_path: Path) -> Iterator[Path]:
    """An engine on an emulated NPU, which counts half a millisecond for an image."""
    with emulate_ascend(tmp_path / "cann"):
        folder = tmp_path / "npu"
        built = ("--engine", "ascend", "--precision", "fp16", "--device", "npu:0", "--batch-size", 8)
        run("compile", place / "floats.onnx", *built, "--output", folder)
        yield folder


def test_an_npu_tells_its_own_times(npu: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    where = ("--output", tmp_path, "--output-dirname", "result", "--outfmt", "TXT", "--display-all-summary")
    run("infer", npu, "--input", place / "floats", *where)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"[INFO] output path:{tmp_path / 'result'}"
    copied = 8 * 3 * 32 * 32 * 4 * 1e-6
    assert printed[2].startswith(f"[INFO] H2D_latency (ms): min = {copied}, max = {copied}, mean = ")
    assert printed[3] == (
        "[INFO] NPU_compute_time (ms): min = 4.0, max = 4.0, mean = 4.0, median = 4.0, percentile(99%) = 4.0"
    )
    assert printed[5] == "[INFO] throughput 1000*batchsize.mean(8)/NPU_compute_time.mean(4.0): 2000.0"
    told = json.loads((tmp_path / "result_summary.json").read_text())
    assert [told[name]["count"] for name in ("NPU_compute_time", "H2D_latency", "D2H_latency")] == [3, 3, 3]
    assert len(list((tmp_path / "result").iterdir())) == 24
