"""An AIPP configuration from the text file to the verdict's figures, in every engine that is installed."""

import json
from pathlib import Path

import numpy as np
import pytest

from seatrial.cli import run_cli
from seatrial.data.labels import list_images
from seatrial.data.loading.batches import load_batch
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.export.graph import run_graph
from seatrial.models.onnx_file import load_graph
from seatrial.store.measurement import Measurement
from seatrial.store.predictions import Predictions
from seatrial.store.records import AccuracyRecord, GraphManifest
from tiny_trial import TinyTrial

RGB = """aipp_op {
aipp_mode : static
input_format : RGB888_U8
src_image_size_w : 36
src_image_size_h : 36
crop : true
load_start_pos_w : 2
load_start_pos_h : 2
crop_size_w : 32
crop_size_h : 32
min_chn_0 : 123.675
min_chn_1 : 116.28
min_chn_2 : 103.53
var_reci_chn_0 : 0.0171247538316637
var_reci_chn_1 : 0.0175070028011204
var_reci_chn_2 : 0.0174291938997821
}
"""
COLOURS = """csc_switch : true
rbuv_swap_switch : true
matrix_r0c0 : 256
matrix_r0c1 : 0
matrix_r0c2 : 359
matrix_r1c0 : 256
matrix_r1c1 : -88
matrix_r1c2 : -183
matrix_r2c0 : 256
matrix_r2c1 : 454
matrix_r2c2 : 0
input_bias_0 : 0
input_bias_1 : 128
input_bias_2 : 128
"""
YUV = RGB.replace("RGB888_U8", "YUV420SP_U8").replace("min_chn_0", COLOURS + "min_chn_0", 1)


def export(trial: TinyTrial, folder: Path, text: str, *more: str) -> int:
    (folder / "aipp.config").write_text(text)
    words = ["export", str(trial.card), "--checkpoint", str(trial.checkpoint), "--images", str(trial.images)]
    return run_cli([*words, "--aipp", str(folder / "aipp.config"), "--output", str(folder / "model.onnx"), *more])


@pytest.fixture(scope="module")
def graphs(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, text in (("rgb", RGB), ("yuv", YUV)):
        made[name] = tmp_path_factory.mktemp(name)
        assert export(tiny_trial, made[name], text) == 0
    return made


@pytest.mark.parametrize("kind", ["rgb", "yuv"])
def test_the_graph_computes_what_the_configuration_says(kind: str, graphs: dict[str, Path]) -> None:
    manifest = GraphManifest.load(graphs[kind] / "model.onnx.json")
    assert [p.step for p in manifest.parity] == [
        "export", "simplify", "fuse AIPP", "AIPP instead of the card's preprocessing",
    ]  # fmt: skip
    assert all(p.relative_error < 1e-5 for p in manifest.parity[:3])
    assert manifest.aipp is not None and manifest.preprocess_hash == read_pipeline(manifest).hash
    shape = (None, 36, 36, 3) if kind == "rgb" else (None, 54, 36, 1)
    assert (manifest.input.dtype, manifest.input.shape) == ("uint8", shape)


def test_rgb_gives_the_logits_of_the_cards_own_preprocessing(graphs: dict[str, Path]) -> None:
    assert GraphManifest.load(graphs["rgb"] / "model.onnx.json").parity[3].relative_error < 1e-5
    # Half of the colour's resolution is gone: near, and not the same.
    assert 1e-4 < GraphManifest.load(graphs["yuv"] / "model.onnx.json").parity[3].relative_error < 0.1


@pytest.mark.parametrize("kind", ["rgb", "yuv"])
def test_every_engine_is_fed_its_bytes(kind: str, graphs: dict[str, Path], tiny_trial: TinyTrial) -> None:
    folder = graphs[kind]
    for engine in ("torch", "onnxruntime", "openvino"):
        line = ["compile", str(folder / "model.onnx"), "--engine", engine, "--output", str(folder / engine)]
        assert run_cli(line) == 0
        data = ["--images", str(tiny_trial.images), "--labels", str(tiny_trial.labels)]
        assert run_cli(["evaluate", str(folder / engine), *data, "--output", str(folder / "evaluation")]) == 0
    first, *others = (
        Predictions.load(folder / f"evaluation/{n}.parquet") for n in ("torch", "onnxruntime", "openvino")
    )
    for other in others:
        np.testing.assert_array_equal(first.classes, other.classes)
        np.testing.assert_allclose(first.scores, other.scores, rtol=1e-4)
    record = AccuracyRecord.load(folder / "evaluation/openvino.json")
    assert record.preprocess_hash == GraphManifest.load(folder / "model.onnx.json").preprocess_hash


@pytest.mark.parametrize("kind", ["rgb", "yuv"])
def test_a_graph_of_floats_takes_a_configuration_when_it_is_compiled(
    kind: str, graphs: dict[str, Path], tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = str(tmp_path / "plain.onnx")
    words = ["export", str(tiny_trial.card), "--checkpoint", str(tiny_trial.checkpoint), "--no-fuse-preprocess"]
    assert run_cli([*words, "--output", plain]) == 0
    aipp = ["--aipp", str(graphs[kind] / "aipp.config"), "--engine", "onnxruntime"]
    assert run_cli(["compile", plain, *aipp, "--output", str(tmp_path / "engine")]) == 0
    made, exported = (
        GraphManifest.load(path) for path in (tmp_path / "plain-aipp.onnx.json", graphs[kind] / "model.onnx.json")
    )
    for name in ("input", "output", "aipp", "preprocess_hash", "fused"):
        assert getattr(made, name) == getattr(exported, name)
    assert [step.step for step in made.parity] == ["export", "simplify", "fuse AIPP"]
    assert made.parity[-1].relative_error < 1e-6
    pixels = np.random.default_rng(0).integers(0, 256, (2, *read_pipeline(made).shape), dtype=np.uint8)
    logits = [
        run_graph(load_graph(path), pixels) for path in (tmp_path / "plain-aipp.onnx", graphs[kind] / "model.onnx")
    ]
    np.testing.assert_array_equal(*logits)
    capsys.readouterr()
    again = str(tmp_path / "plain-aipp.onnx")
    assert run_cli(["compile", again, *aipp, "--output", str(tmp_path / "again")]) == 2
    assert "its preprocessing is in it already" in capsys.readouterr().err


def test_bench_feeds_the_frame(graphs: dict[str, Path], tiny_trial: TinyTrial, tmp_path: Path) -> None:
    folder = graphs["yuv"]
    assert (
        run_cli(["compile", str(folder / "model.onnx"), "--engine", "onnxruntime", "--output", str(tmp_path / "o")])
        == 0
    )
    words = ["bench", str(tmp_path / "o"), "--batch-size", "2", "--duration", "0.01", "--min-samples", "2"]
    for more in ([], ["--images", str(tiny_trial.images)]):
        assert run_cli([*words, *more, "--output", str(tmp_path / "bench.json")]) == 0
        assert len(Measurement.load(tmp_path / "bench.json").points[0].durations_ms) >= 2


def test_yuv_bins_are_the_bytes_that_the_engine_is_fed(
    graphs: dict[str, Path], tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    pipeline = read_pipeline(GraphManifest.load(graphs["yuv"] / "model.onnx.json"))
    mode = 'modes.dvpp.preprocess = [{ step = "resize", short_side = 36 }, { step = "center_crop", size = [36, 36] }]\n'
    (tmp_path / "card.toml").write_text(mode + tiny_trial.card.read_text())
    words = ["preprocess", str(tmp_path / "card.toml"), str(tiny_trial.images), str(tmp_path / "bins")]
    assert run_cli([*words, "--mode", "dvpp", "--format", "yuv420sp-nv21", "--workers", "1"]) == 0
    images = list_images(tiny_trial.images)
    for path, fed in zip(images, load_batch(images, pipeline), strict=True):
        assert (tmp_path / "bins" / f"{path.stem}.bin").read_bytes() == fed.tobytes()


def test_what_it_does_is_noted_and_what_it_ignores(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tiny_trial, tmp_path, RGB.replace("}", "padding_value : 3.0\n}"), "--json") == 0
    shown = capsys.readouterr()
    assert "RGB888_U8 36×36, crop 32×32 at row 2, column 2" in shown.err
    assert "without effect because padding is not true: padding_value 3.0" in shown.err
    assert "0 of 24 get another first class" in shown.err
    assert json.loads(shown.out)["aipp"]["crop_size_w"] == 32


@pytest.mark.parametrize(
    ("text", "more", "code", "words"),
    [
        (RGB.replace("crop :", "corp :"), [], 2, "line 6: unknown field 'corp'; did you mean 'crop'?"),
        (RGB.replace("load_start_pos_w : 2", "load_start_pos_w : 5"), [], 2, "is beyond src_image_size_w 36"),
        (
            RGB.replace("crop_size_w : 32", "crop_size_w : 30"),
            [],
            2,
            "gives 32×30 (height×width), the network takes 32×32",
        ),
        (RGB, ["--no-fuse-preprocess"], 2, "--no-fuse-preprocess forbids that"),
    ],
)
def test_what_cannot_be_is_an_error_and_leaves_nothing(
    text: str, more: list[str], code: int, words: str, tiny_trial: TinyTrial, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert export(tiny_trial, tmp_path, text, *more) == code
    assert words in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()
