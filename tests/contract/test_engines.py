"""`seatrial.testing` over every engine of the table, and what only some of them promise."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch

from seatrial.data.labels import list_images
from seatrial.data.loading.batches import load_batch
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.data.preprocessing.steps import normalise
from seatrial.engines import ENGINES, get_engine
from seatrial.engines.base import check_executed, read_engine, run_padded
from seatrial.engines.compile_process import compile_apart, compile_here
from seatrial.engines.engine_folder import BuildSpec, build_engine, read_graph
from seatrial.errors import EngineError, RefusedFile, UsageError
from seatrial.export.graph import open_graph
from seatrial.export.spec import ExportSpec
from seatrial.models.checkpoint import load_network
from seatrial.recipes import load_recipe
from seatrial.testing import EngineCase, EngineSubject
from seatrial.testing.checks import CHECKS
from seatrial.workflow.export import export_checkpoint
from seatrial.workflow.quantize import QuantizeSpec, quantize_graph
from tiny_trial import LAYERS, TinyTrial, make_trial

TOLERANCE = {"fp32": 1e-5, "fp16": 5e-3}
"""Relative, Frobenius, against float64 torch, by precision."""
ASKED: dict[str, dict[str, Any]] = {
    "ascend": {
        "device": "npu:0",
        "precision": "fp16",
        "batch_sizes": (1, 2, 4, 8),
        "options": {"gears": "true"},
    },
    "tensorrt": {"device": "cuda:0"},
}
"""What an engine needs to be asked for that the others have by default."""


def ask(engine: str, **changes: Any) -> BuildSpec:
    return BuildSpec(engine, **{**ASKED.get(engine, {}), **changes})


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> TinyTrial:
    made = make_trial(tmp_path_factory.mktemp("trial"))
    spec = ExportSpec(opset=17)
    export_checkpoint(load_recipe(str(made.card)), made.checkpoint, made.folder / "model.onnx", spec, [])
    return made


@pytest.fixture(scope="module")
def other(trial: TinyTrial) -> Path:
    """The same network with other weights, as a graph."""
    state = torch.load(trial.checkpoint, weights_only=True)
    folder = trial.folder / "other"
    folder.mkdir()
    torch.save({key: value.flip(0) if value.ndim > 1 else value for key, value in state.items()}, folder / "other.pth")
    recipe = load_recipe(str(trial.card))
    export_checkpoint(recipe, folder / "other.pth", folder / "model.onnx", ExportSpec(opset=17), [])
    return folder / "model.onnx"


@pytest.fixture(scope="module", params=list(ENGINES))
def engine(request: pytest.FixtureRequest, emulate: Callable[[str], AbstractContextManager[None]]) -> Iterator[str]:
    with emulate(request.param):
        yield str(request.param)


@pytest.fixture(scope="module")
def pixels(trial: TinyTrial) -> np.ndarray:
    return load_batch(list_images(trial.images), make_pipeline(load_recipe(str(trial.card))))


@pytest.fixture(scope="module")
def expected(trial: TinyTrial, pixels: np.ndarray) -> np.ndarray:
    recipe = load_recipe(str(trial.card))
    network = load_network(recipe.network, trial.folder / "model.safetensors").double()
    with torch.inference_mode():
        return network(torch.from_numpy(normalise(pixels, recipe)).double()).numpy()


@pytest.fixture(scope="module")
def subject(
    engine: str, trial: TinyTrial, other: Path, pixels: np.ndarray, expected: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> EngineSubject:  # fmt: skip
    case = EngineCase(read_graph(trial.folder / "model.onnx"), read_graph(other), pixels, expected)
    # Eager torch picks its kernels by batch size: equal to rounding, not to the bit.
    return EngineSubject(ask(engine), case, tmp_path_factory.mktemp(engine), exact=engine != "torch")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_engine_keeps_its_promises(check: Callable[[EngineSubject], None], subject: EngineSubject) -> None:
    check(subject)


def test_a_wrong_value_of_an_option_is_refused(engine: str, trial: TinyTrial, tmp_path: Path) -> None:
    options, words = {
        "ascend": ({"log": "loud"}, "log cannot be loud; give one of debug, info"),
        "tensorrt": ({"workspace_mb": "many"}, "workspace_mb=many is not a number; give a whole number"),
    }.get(engine, ({"threads": "many"}, "threads=many is not a number; give a whole number"))
    with pytest.raises(UsageError, match=words):
        build_engine(trial.folder / "model.onnx", ask(engine, options=options), tmp_path / "engine")
    assert not (tmp_path / "engine").exists()


@pytest.mark.parametrize(
    ("engine_name", "precision", "options", "tolerance"),
    [
        ("torch", "bf16", {}, 5e-2),
        ("torch", "fp32", {"mode": "compiled"}, 1e-5),
        ("openvino", "bf16", {}, 5e-2),
        ("openvino", "fp16", {}, 5e-3),
    ],
)
def test_other_precisions_and_modes_keep_the_promises(
    engine_name: str, precision: str, options: dict[str, str], tolerance: float,
    trial: TinyTrial, pixels: np.ndarray, expected: np.ndarray, tmp_path: Path,
) -> None:  # fmt: skip
    if precision not in get_engine(engine_name).probe().precisions:
        with pytest.raises(EngineError, match=f"cannot run {precision}; take --precision"):
            build_engine(trial.folder / "model.onnx", BuildSpec(engine_name, precision), tmp_path / "engine")
        return
    # torch.compile compiles anew for each batch size; that of the engine's own tests is at hand. Here, as loading its
    # compiler takes seconds.
    spec = BuildSpec(engine_name, precision, batch_sizes=(2,) if options else (), options=options)
    how = compile_here if options else compile_apart
    file = build_engine(trial.folder / "model.onnx", spec, tmp_path / "engine", compile=how)
    assert file.manifest.executed[precision] >= 0.9 * sum(file.manifest.executed.values())
    with get_engine(engine_name).open(file, "cpu", batch_size=2, streams=2) as session:
        logits = np.concatenate([run_padded(session, pixels[i : i + 2]) for i in range(0, 12, 2)])
        assert np.linalg.norm(logits - expected[:12]) <= tolerance * np.linalg.norm(expected[:12])
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(lambda i: run_padded(session, pixels[i : i + 2]), range(0, 12, 2)))
        np.testing.assert_array_equal(np.concatenate(together), logits)
        if engine_name == "openvino":
            # ResNet-50 is the same to the bit at every batch; of this small one a sum may round otherwise at batch 1.
            alone = np.concatenate([session.run(pixels[i : i + 1]) for i in range(12)])
            np.testing.assert_allclose(alone, logits, rtol=0, atol=2e-3 * np.abs(logits).max())


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "openvino"])
def test_a_file_of_another_version_is_refused_with_the_command_that_rebuilds_it(
    name: str, trial: TinyTrial, tmp_path: Path
) -> None:
    file = build_engine(trial.folder / "model.onnx", BuildSpec(name, batch_sizes=(1, 2)), tmp_path / "engine")
    old = replace(file, manifest=file.manifest.model_copy(update={"sdk_version": "0.1"}))
    with pytest.raises(EngineError, match=rf"was built with {name} 0\.1 for cpu, this machine has \d") as caught:
        get_engine(name).open(old, "cpu")
    assert f"seatrial compile GRAPH.onnx --engine {name} --precision fp32 --batch-size" in str(caught.value.fix)


def test_torch_runs_no_int8(trial: TinyTrial, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="torch on this machine cannot run int8; take --precision fp32"):
        build_engine(trial.folder / "model.onnx", BuildSpec("torch", "int8"), tmp_path / "engine")


@pytest.fixture(scope="module")
def int8(trial: TinyTrial) -> Path:
    path = trial.folder / "model-int8.onnx"
    quantize_graph(trial.folder / "model.onnx", QuantizeSpec(trial.folder / "train"), path)
    return path


def test_what_openvino_compiled_of_an_int8_graph_is_hashed_and_a_changed_bit_is_refused(
    int8: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    file = build_engine(int8, BuildSpec("openvino", "int8"), tmp_path / "engine")
    (blob,) = file.folder.rglob("*.blob")
    assert blob.name in file.manifest.companions
    with get_engine("openvino").open(file, "cpu", 4, streams=2) as session:
        given = session.run(pixels[:4])
    alone = replace(file, manifest=file.manifest.model_copy(update={"companions": {}}))
    with get_engine("openvino").open(alone, "cpu", 4) as session:
        np.testing.assert_array_equal(session.run(pixels[:4]), given)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(bytes(data))
    with pytest.raises(RefusedFile, match=r"\.blob is altered or cut off; compile it again"):
        read_engine(file.folder)


def test_a_cache_of_before_is_not_loaded(trial: TinyTrial, pixels: np.ndarray, tmp_path: Path) -> None:
    file = build_engine(trial.folder / "model.onnx", BuildSpec("openvino"), tmp_path / "engine")
    with get_engine("openvino").open(file, "cpu", 4) as session:
        expected = session.run(pixels[:4])
    cache = file.folder / ".cache"
    settings = {"CACHE_DIR": str(cache), "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1"}
    openvino.Core().compile_model(next(file.folder.glob("*.xml")), "CPU", settings)
    (blob,) = cache.iterdir()
    blob.write_bytes(bytes(byte ^ 1 for byte in blob.read_bytes()))
    with get_engine("openvino").open(read_engine(file.folder), "cpu", 4) as session:
        np.testing.assert_array_equal(session.run(pixels[:4]), expected)


def test_onnxruntime_takes_and_gives_one_type_in_every_layer(int8: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    """NNCF makes what follows a Relu uint8 and the rest int8, which onnxruntime would run in float where they meet."""
    file = build_engine(int8, BuildSpec("onnxruntime", "int8"), tmp_path / "engine")
    assert file.manifest.executed["int8"] >= LAYERS - 1
    assert len(file.manifest.other_layers) == sum(file.manifest.executed.values()) - file.manifest.executed["int8"]
    before, after = (onnx.load(path) for path in (int8, file.folder / "model-free.onnx"))
    zeros = {node.input[2] for node in after.graph.node if node.op_type == "QuantizeLinear"}
    types = {weight.data_type for weight in after.graph.initializer if weight.name in zeros}
    assert types == {onnx.TensorProto.UINT8}
    plain, shifted = (open_graph(model)(pixels) for model in (before, after))
    np.testing.assert_array_equal(plain, shifted)


def test_openvino_reads_back_what_runs(trial: TinyTrial) -> None:
    built = build_engine(trial.folder / "model.onnx", BuildSpec("openvino"), trial.folder / "openvino-again")
    assert set(built.manifest.executed) == {"fp32"} and built.manifest.executed["fp32"] >= LAYERS - 1
    assert built.manifest.other_layers == ()
    with get_engine("openvino").open(built, "cpu", 2) as session:
        layers = session.list_layers()  # type: ignore[attr-defined]
    nodes = {node.name for node in onnx.load(trial.folder / "model.onnx").graph.node}
    assert {layer.precision for layer in layers} == {"fp32"} and all(layer.reason for layer in layers)
    assert len({layer.name for layer in layers} & nodes) >= LAYERS - 1


def test_openvino_refuses_bf16_that_would_run_as_fp32() -> None:
    with pytest.raises(EngineError, match="requested in bf16 and computes 53 layers in fp32"):
        check_executed("openvino", "bf16", {"fp32": 53})
    check_executed("openvino", "bf16", {"bf16": 52, "fp32": 1})
