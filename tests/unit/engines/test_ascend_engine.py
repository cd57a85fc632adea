"""The engine on an emulated machine, from the graph to the answers."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ascend_machine import emulate_ascend
from seatrial.data.labels import list_images, read_labels
from seatrial.data.loading.batches import load_batch
from seatrial.data.preprocessing.aipp import load_aipp
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline, read_pipeline
from seatrial.engines import get_engine
from seatrial.engines.base import DeviceTimed, EngineFile, StageTimes, read_engine, run_padded
from seatrial.engines.engine_folder import BuildSpec, build_engine
from seatrial.errors import EngineError, UsageError
from seatrial.export.spec import ExportSpec
from seatrial.models.checkpoint import load_network
from seatrial.recipes import Recipe, load_recipe
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine
from seatrial.workflow.export import export_checkpoint
from tiny_trial import LAYERS, TinyTrial, make_trial

AIPP = """\
aipp_op {
  aipp_mode : static
  input_format : %s
  src_image_size_w : 36
  src_image_size_h : 36
  crop : true
  load_start_pos_h : 2
  load_start_pos_w : 2
  crop_size_w : 32
  crop_size_h : 32
  csc_switch : %s
  min_chn_0 : 123.675
  min_chn_1 : 116.28
  min_chn_2 : 103.53
  var_reci_chn_0 : 0.0171247538316637
  var_reci_chn_1 : 0.0175070028011204
  var_reci_chn_2 : 0.0174291938997821
}
"""
TOLERANCE = 5e-3


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> TinyTrial:
    """A trial with `fused.onnx` and `plain.onnx`, and two AIPP configurations."""
    made = make_trial(tmp_path_factory.mktemp("trial"))
    recipe = load_recipe(str(made.card))
    for name, fuse in (("fused", True), ("plain", False)):
        export_checkpoint(recipe, made.checkpoint, made.folder / f"{name}.onnx", ExportSpec(opset=17, fuse=fuse), [])
    (made.folder / "rgb.config").write_text(AIPP % ("RGB888_U8", "false"))
    (made.folder / "yuv.config").write_text(AIPP % ("YUV420SP_U8", "true"))
    return made


@pytest.fixture(scope="module", autouse=True)
def _machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with emulate_ascend(tmp_path_factory.mktemp("cann"), "310P3,310P3,310"):
        yield


@pytest.fixture(scope="module")
def recipe(trial: TinyTrial) -> Recipe:
    return load_recipe(str(trial.card))


@pytest.fixture(scope="module")
def built(trial: TinyTrial) -> EngineFile:
    """The fused graph for batches of four."""
    return build_engine(trial.folder / "fused.onnx", ask(4), trial.folder / "ascend")


def ask(*sizes: int, precision: str = "fp16", device: str = "npu:0", **options: str) -> BuildSpec:
    return BuildSpec("ascend", precision, device, sizes, options)


def run_torch(trial: TinyTrial, pipeline: InputPipeline, pixels: np.ndarray) -> np.ndarray:
    import torch

    network = load_network(pipeline.recipe.network, trial.folder / "fused.safetensors").double()
    with torch.inference_mode():
        return network(torch.from_numpy(pipeline.finish(pixels)).double()).numpy()


def assert_close(logits: np.ndarray, expected: np.ndarray, tolerance: float = TOLERANCE) -> None:
    assert np.linalg.norm(logits - expected) <= tolerance * np.linalg.norm(expected)


def run_all(file: EngineFile, pixels: np.ndarray, batch_size: int) -> np.ndarray:
    with get_engine("ascend").open(file, file.manifest.device, batch_size) as session:
        parts = [run_padded(session, pixels[i : i + batch_size]) for i in range(0, len(pixels), batch_size)]
    return np.concatenate(parts)


@pytest.mark.parametrize("kind", ["rgb", "yuv"])
def test_aipp_in_the_om_takes_bytes(trial: TinyTrial, recipe: Recipe, tmp_path: Path, kind: str) -> None:
    config = trial.folder / f"{kind}.config"
    spec = ask(4, insert_op_conf=str(config), enable_small_channel="1")
    file = build_engine(trial.folder / "plain.onnx", spec, tmp_path / "engine")
    pipeline = make_pipeline(recipe, load_aipp(config))
    manifest = read_engine(tmp_path / "engine").manifest
    assert manifest.input.shape == ((None, 36, 36, 3) if kind == "rgb" else (None, 54, 36, 1))
    assert (manifest.input.dtype, manifest.input.layout) == ("uint8", "NHWC" if kind == "rgb" else "YUV420SP")
    assert (
        manifest.graph.preprocess_hash
        == pipeline.hash
        != json.loads((trial.folder / "plain.onnx.json").read_text())["preprocess_hash"]
    )
    assert read_pipeline(manifest.graph) == pipeline and manifest.graph.fused
    assert (tmp_path / "engine" / config.name).read_bytes() == config.read_bytes()
    assert set(manifest.companions) == {"atc.log", "atc.json", config.name}
    pixels = load_batch(list_images(trial.images)[:6], pipeline)
    assert_close(run_all(file, pixels, 4), run_torch(trial, pipeline, pixels))


def test_aipp_in_the_om_is_evaluated_as_it_is_fed(trial: TinyTrial, tmp_path: Path) -> None:
    spec = ask(4, insert_op_conf=str(trial.folder / "rgb.config"))
    compile_graph(trial.folder / "plain.onnx", spec, tmp_path / "engine")
    images = read_labels(trial.images, trial.labels, 4)
    record = evaluate_engine(tmp_path / "engine", EvaluateSpec(images, 4), tmp_path)
    assert (record.images, record.engine, record.device) == (24, "ascend", "npu:0")
    assert record.executed == {"fp16": LAYERS}


def test_aipp_that_does_not_fit_the_network(trial: TinyTrial, tmp_path: Path) -> None:
    config = tmp_path / "large.config"
    config.write_text((AIPP % ("RGB888_U8", "false")).replace("crop_size_w : 32", "crop_size_w : 30"))
    with pytest.raises(UsageError, match="gives 32×30"):
        build_engine(trial.folder / "plain.onnx", ask(1, insert_op_conf=str(config)), tmp_path / "engine")
    assert not (tmp_path / "engine").exists()


def test_a_changed_aipp_file_is_compiled_again(trial: TinyTrial, tmp_path: Path) -> None:
    config = tmp_path / "aipp.config"
    shutil.copyfile(trial.folder / "rgb.config", config)
    spec = ask(1, insert_op_conf=str(config))
    first = compile_graph(trial.folder / "plain.onnx", spec, tmp_path / "engine").manifest
    assert compile_graph(trial.folder / "plain.onnx", spec, tmp_path / "engine").manifest == first
    config.write_text(config.read_text().replace("116.28", "117"))
    second = compile_graph(trial.folder / "plain.onnx", spec, tmp_path / "engine").manifest
    assert second.graph.preprocess_hash != first.graph.preprocess_hash and second.key != first.key


def test_a_plain_graph_is_fed_floats_and_an_fp16_input_halves(trial: TinyTrial, recipe: Recipe, tmp_path: Path) -> None:
    pipeline = make_pipeline(recipe)
    pixels = load_batch(list_images(trial.images)[:2], pipeline)
    for name, spec in (("float32", ask(2)), ("float16", ask(2, input_fp16_nodes="image", output_type="FP16"))):
        file = build_engine(trial.folder / "plain.onnx", spec, tmp_path / name)
        assert file.manifest.input.dtype == name and file.manifest.graph.aipp is None
        assert_close(run_all(file, pipeline.finish(pixels).astype(name), 2), run_torch(trial, pipeline, pixels))


def test_fp32_is_read_back_and_exact(trial: TinyTrial, recipe: Recipe, tmp_path: Path) -> None:
    file = build_engine(trial.folder / "fused.onnx", ask(2, precision="fp32"), tmp_path / "engine")
    assert file.manifest.executed == {"fp32": LAYERS}
    pipeline = make_pipeline(recipe)
    pixels = load_batch(list_images(trial.images)[:2], pipeline)
    assert_close(run_all(file, pixels, 2), run_torch(trial, pipeline, pixels), 1e-5)


def test_gears_are_one_file_for_many_sizes(trial: TinyTrial, recipe: Recipe, tmp_path: Path) -> None:
    file = build_engine(trial.folder / "fused.onnx", ask(1, 8, 4, gears="true"), tmp_path / "engine")
    assert [(m.path, m.batch_size) for m in file.manifest.files] == [
        ("model-gears.om", 1),
        ("model-gears.om", 8),
        ("model-gears.om", 4),
    ]
    pipeline = make_pipeline(recipe)
    pixels = load_batch(list_images(trial.images)[:11], pipeline)
    engine = get_engine("ascend")
    with engine.open(file, "npu:0") as free, engine.open(file, "npu:1", batch_size=3) as four:
        assert (free.input.shape[0], four.input.shape[0]) == (None, 4)
        np.testing.assert_array_equal(free.run(pixels)[:3], run_padded(four, pixels[:3]))


def test_the_runtimes_banners_are_no_results(built: EngineFile, capfd: pytest.CaptureFixture[str]) -> None:
    get_engine("ascend").open(built, "npu:0").close()
    out, err = capfd.readouterr()
    assert (out, err) == ("", "[INFO] acl init success\n[INFO] unload model success, model Id is 1\n")


def test_a_stream_alone_knows_its_times(trial: TinyTrial, recipe: Recipe, built: EngineFile) -> None:
    pixels = load_batch(list_images(trial.images)[:4], make_pipeline(recipe))
    with get_engine("ascend").open(built, "npu:0", 4) as session:
        assert isinstance(session, DeviceTimed)
        session.run(pixels)
        logits, times = session.run_timed(pixels)
        np.testing.assert_array_equal(logits, session.run(pixels))
    assert times == StageTimes(copy_in_ms=4 * 32 * 32 * 3 * 1e-6, device_ms=2.0, copy_out_ms=4 * 4 * 4 * 1e-6)
    with get_engine("ascend").open(built, "npu:0", 4, streams=2) as session:
        assert not isinstance(session, DeviceTimed)


def test_the_stored_command_runs_by_hand(trial: TinyTrial, tmp_path: Path) -> None:
    spec = ask(2, insert_op_conf=str(trial.folder / "rgb.config"), log="error")
    file = build_engine(trial.folder / "plain.onnx", spec, tmp_path / "engine")
    (command,) = json.loads((file.folder / "atc.json").read_text())["commands"]
    assert (file.folder / "atc.log").read_text().startswith(f"$ {command}\nATC start working now")
    assert shlex.split(command)[0] == "atc" and "--soc_version=Ascend310P3" in command
    built = file.folder / "model-2.om"
    kept = built.read_bytes()
    built.unlink()
    subprocess.run(command, shell=True, cwd=file.folder, check=True, capture_output=True)
    assert len(built.read_bytes()) == len(kept)


def test_only_what_is_hashed_stays_in_the_folder(built: EngineFile) -> None:
    known = {m.path for m in built.manifest.files} | set(built.manifest.companions) | {"engine.json"}
    assert {path.name for path in built.folder.iterdir()} == known


def test_what_atc_refuses_leaves_nothing(trial: TinyTrial, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"atc fails with E10001: Value \[Ascend9\] .* its whole output is in "
    ) as caught:
        build_engine(trial.folder / "fused.onnx", ask(1, soc_version="Ascend9"), tmp_path / "engine")
    assert "--soc_version=Ascend9" in Path(str(caught.value).rpartition(" is in ")[2]).read_text()
    assert not any(tmp_path.iterdir())


def test_a_file_for_another_chip_is_refused_with_the_command(trial: TinyTrial, tmp_path: Path) -> None:
    config = trial.folder / "rgb.config"
    spec = ask(4, insert_op_conf=str(config), log="null")
    file = build_engine(trial.folder / "plain.onnx", spec, tmp_path / "engine")
    get_engine("ascend").open(file, "npu:1").close()
    with pytest.raises(EngineError) as caught:
        get_engine("ascend").open(file, "npu:2")
    assert caught.value.problem == f"{file.folder} was built for Ascend310P3, and npu:2 is Ascend310"
    assert caught.value.fix == (
        f"seatrial compile {trial.folder}/plain.onnx --engine ascend --precision fp16 --batch-size 4 --device npu:2 "
        f"--option insert_op_conf={file.folder}/rgb.config --option log=null --output {file.folder}"
    )
    from seatrial.cli import run_cli

    assert run_cli(shlex.split(caught.value.fix)[1:]) == 0
    get_engine("ascend").open(read_engine(file.folder), "npu:2").close()


def test_a_file_of_another_cann_is_refused(built: EngineFile, tmp_path: Path) -> None:
    words = r"was built by CANN 8\.0\.RC1, and here is CANN 8\.2\.RC1; seatrial compile"
    with emulate_ascend(tmp_path, cann="8.2.RC1"), pytest.raises(EngineError, match=words):
        get_engine("ascend").open(read_engine(built.folder), "npu:0")


def test_a_missing_cann_is_named(trial: TinyTrial, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ASCEND_OPP_PATH")
        with pytest.raises(EngineError, match=r"'ascend' cannot be used: ASCEND_OPP_PATH is not set; .*source /usr"):
            build_engine(trial.folder / "fused.onnx", ask(1), tmp_path / "engine")
