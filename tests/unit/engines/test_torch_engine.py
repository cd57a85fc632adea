"""The torch engine: its options, what it builds, its sessions on the CPU, and on a faked accelerator."""

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seatrial.data.preprocessing.aipp import parse_aipp
from seatrial.data.preprocessing.apply_aipp import apply_aipp, fit_aipp, input_shape
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.data.preprocessing.steps import normalise
from seatrial.engines.base import CompileJob, StageTimes
from seatrial.engines.torch import session as torch_session
from seatrial.engines.torch.engine import TorchEngine, _open_session, build_module
from seatrial.engines.torch.plan import TorchPlan, make_plan
from seatrial.engines.torch.session import AcceleratorSession, TorchSession
from seatrial.errors import EngineError, RefusedFile, UsageError
from seatrial.machine.nvidia import count_gpus
from seatrial.models.checkpoint import load_checkpoint, load_network, store_checkpoint
from seatrial.recipes import load_recipe
from seatrial.recipes.steps import dump_steps
from seatrial.store.files import hash_file
from seatrial.store.records import GraphManifest, TensorSpec
from tiny_trial import LAYERS, make_trial

AIPP = """aipp_op { aipp_mode : static
input_format : RGB888_U8
src_image_size_w : 36
src_image_size_h : 36
crop : true
load_start_pos_w : 2
load_start_pos_h : 2
crop_size_w : 32
crop_size_h : 32
min_chn_0 : 123.675
var_reci_chn_0 : 0.0171247538316637 }"""


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the engine reads of an exported graph: the checkpoint beside it. There is no ONNX file."""
    trial = make_trial(tmp_path_factory.mktemp("trial"), images=4)
    loaded = load_checkpoint(trial.checkpoint, load_recipe(str(trial.card)))
    store_checkpoint(loaded, trial.folder / "model.safetensors")
    return trial.folder / "model.onnx"


@pytest.fixture(scope="module")
def manifest(graph: Path) -> GraphManifest:
    recipe = load_recipe(str(graph.with_name("tiny.toml")))
    return GraphManifest(
        key="",
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        checkpoint="model.safetensors",
        checkpoint_sha256=hash_file(graph.with_name("model.safetensors")),
        sha256="",
        opset=17,
        exporter="none",
        simplified=False,
        fused=True,
        input=TensorSpec(name="input", dtype="uint8", shape=(None, 32, 32, 3), layout="NHWC"),
        output=TensorSpec(name="output", dtype="float32", shape=(None, 4), layout="NC"),
        preprocess_hash="",
        parity=(),
        versions={},
    )


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def open_here(graph: Path, manifest: GraphManifest, plan: TorchPlan, batch: int | None = None) -> TorchSession:
    return _open_session(plan, manifest, graph.with_name("model.safetensors"), batch)


def compute(graph: Path, images: np.ndarray) -> np.ndarray:
    """The plain network, in float64."""
    network = load_network(load_recipe(str(graph.with_name("tiny.toml"))).network, graph.with_name("model.safetensors"))
    with torch.inference_mode():
        return network.double()(torch.from_numpy(images).double()).numpy()


def assert_close(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    assert found.dtype == np.float32
    assert np.linalg.norm(found - wanted) <= tolerance * np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("precision", "device", "options", "compiled", "channels_last", "cuda_graphs"),
    [
        ("fp32", "cpu", {}, False, False, False),
        ("bf16", "cpu", {}, False, True, False),
        ("fp32", "cpu", {"mode": "compiled"}, True, True, False),
        ("fp32", "cpu", {"channels_last": "true"}, False, True, False),
        ("fp16", "cuda:0", {}, False, True, False),
        ("fp16", "cuda:1", {"mode": "compiled"}, True, True, True),
        ("fp16", "cuda:0", {"mode": "compiled", "cuda_graphs": "false"}, True, True, False),
        ("fp16", "cuda:0", {"cuda_graphs": "true", "channels_last": "false"}, False, False, True),
        ("fp16", "npu:0", {"mode": "compiled"}, True, True, False),
    ],
)
def test_options_make_the_plan(
    precision: str, device: str, options: dict[str, str], compiled: bool, channels_last: bool, cuda_graphs: bool
) -> None:
    plan = make_plan(precision, {**options, "threads": "3"}, device, streams=2)
    assert plan == TorchPlan(precision, device, compiled, channels_last, cuda_graphs, threads=3, streams=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "fast"}, "there is no mode=fast; give mode=eager or mode=compiled"),
        ({"channels_last": "yes"}, "option channels_last=yes is neither true nor false"),
        ({"cuda_graphs": "true"}, "option cuda_graphs=true needs CUDA, and the device is cpu"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_plan("fp32", options, "cpu")


def test_gpus_are_not_offered_by_a_build_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seatrial.engines.torch.engine.count_gpus", lambda: 2)
    monkeypatch.setattr("seatrial.engines.torch.engine.find_version", lambda name: "2.15.0")
    monkeypatch.setattr("seatrial.engines.torch.engine._list_npus", lambda: ())
    assert TorchEngine().probe().devices == ("cpu", "cuda:0", "cuda:1")
    monkeypatch.setattr("seatrial.engines.torch.engine.find_version", lambda name: "2.15.0+cpu")
    assert TorchEngine().probe().devices == ("cpu",)


def test_a_device_that_this_build_cannot_use_is_reported(graph: Path, manifest: GraphManifest) -> None:
    if count_gpus():
        pytest.skip("there is a GPU")
    with pytest.raises(EngineError, match=r"torch .* cannot use cuda:0 \("):
        open_here(graph, manifest, make_plan("fp16", {}, "cuda:0"))


def test_compile_reads_back_what_computes(
    graph: Path, manifest: GraphManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seatrial.engines.torch.engine.has_fast_bf16", lambda: True)
    built = TorchEngine().compile(CompileJob(graph, manifest, tmp_path, precision="bf16"))
    assert built.executed == {"bf16": LAYERS}
    assert [path.name for _, path in built.files] == ["checkpoint.safetensors"]
    assert all(path.is_file() for path in built.companions)


@pytest.mark.parametrize(
    ("job", "graph_change", "error", "words"),
    [
        ({}, {"precision": "int8"}, UsageError, "is an int8 graph, and torch rebuilds the network in fp32"),
        ({}, {"checkpoint": "gone.safetensors"}, RefusedFile, r"gone\.safetensors is missing"),
        ({}, {"checkpoint_sha256": "0" * 64}, RefusedFile, "has changed since model.onnx was made from it"),
    ],
)
def test_compile_refuses(
    graph: Path, manifest: GraphManifest, tmp_path: Path, job: Any, graph_change: Any, error: Any, words: str
) -> None:
    with pytest.raises(error, match=words):
        TorchEngine().compile(CompileJob(graph, manifest.model_copy(update=graph_change), tmp_path, **job))


@pytest.mark.parametrize("channels_last", ["true", "false"])
def test_weights_have_the_layout_asked_for(graph: Path, manifest: GraphManifest, channels_last: str) -> None:
    plan = make_plan("fp32", {"channels_last": channels_last}, "cpu")
    weight = build_module(manifest, graph.with_name("model.safetensors"), plan).network.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) == (channels_last == "true")


@pytest.mark.parametrize(
    ("precision", "options", "tolerance"),
    [("fp32", {}, 1e-5), ("fp32", {"channels_last": "true"}, 1e-5), ("bf16", {}, 3e-2)],
)
def test_eager_predictions_are_the_networks(
    graph: Path, manifest: GraphManifest, pixels: np.ndarray, precision: str, options: dict[str, str], tolerance: float
) -> None:
    pixels.flags.writeable = False  # A mapped file is not writeable either.
    wanted = compute(graph, normalise(pixels, load_recipe(str(graph.with_name("tiny.toml")))))
    with open_here(graph, manifest, make_plan(precision, options, "cpu")) as session:
        assert session.count_executed() == {precision: LAYERS}
        assert_close(session.run(pixels), wanted, tolerance)
        assert_close(session.run(pixels[::-1]), wanted[::-1], tolerance)


def test_an_aipp_configuration_is_computed_in_front(graph: Path, manifest: GraphManifest) -> None:
    aipp = parse_aipp(AIPP, "test")
    shape = input_shape(aipp, fit_aipp(aipp, (32, 32)))
    pixels = np.random.default_rng(4).integers(0, 256, (2, *shape), dtype=np.uint8)
    pipeline = make_pipeline(load_recipe(str(graph.with_name("tiny.toml"))), aipp)
    changed = {
        "aipp": aipp.model_dump(mode="json"),
        "host_steps": tuple(dump_steps(pipeline.steps)),
        "input": manifest.input.model_copy(update={"shape": (None, *shape)}),
    }
    with open_here(graph, manifest.model_copy(update=changed), make_plan("fp32", {}, "cpu")) as session:
        assert_close(session.run(pixels), compute(graph, apply_aipp(pixels, aipp, (32, 32))), 1e-5)


def test_compiled_predictions_are_the_networks_from_any_thread(
    graph: Path, manifest: GraphManifest, pixels: np.ndarray
) -> None:
    wanted = compute(graph, normalise(pixels, load_recipe(str(graph.with_name("tiny.toml")))))
    plan = make_plan("fp32", {"mode": "compiled", "threads": "1"}, "cpu", streams=2)
    with open_here(graph, manifest, plan, batch=2) as session:
        assert session.count_executed() == {"fp32": LAYERS} and session.input.shape[0] == 2
        compiled = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(session.run, [pixels[:2], pixels[2:], pixels[:2], pixels[2:]]))
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compiled
        with pytest.raises(UsageError, match="takes uint8 2×32×32×3, not uint8 4×"):
            session.run(pixels)
    assert_close(np.concatenate(answers), np.concatenate([wanted, wanted]), 1e-5)


class Thirds(torch.nn.Module):
    """Means over the channels, by a convolution whose weights are all a third."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 1, 1, bias=False)
        torch.nn.init.constant_(self.mix.weight, 1 / 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.mix(images.permute(0, 3, 1, 2).float()).flatten(1)


def open_thirds(
    kind: type[TorchSession], batch: int | None, module: torch.nn.Module | None = None, **plan: Any
) -> TorchSession:
    spec = TensorSpec(name="input", dtype="uint8", shape=(batch, 2, 2, 3), layout="NHWC")
    output = TensorSpec(name="output", dtype="float32", shape=(batch, 4), layout="NC")
    defaults = {"compiled": False, "channels_last": False, "cuda_graphs": False, "threads": 1, "streams": 1}
    asked = TorchPlan("fp32", "cpu", **{**defaults, **plan})
    return kind(module or Thirds().eval(), asked, (spec, output), None)


def fill(count: int, value: int) -> np.ndarray:
    return np.full((count, 2, 2, 3), value, dtype=np.uint8)


def test_a_process_may_compile_more_than_torch_keeps_for_one_function() -> None:
    # It is 8, until somebody imports timm.optim, which makes it a million.
    with torch._dynamo.config.patch(recompile_limit=2):
        sessions = [open_thirds(TorchSession, 1, compiled=True) for _ in range(3)]
        assert all(np.allclose(session.run(fill(1, 7)), 7) for session in sessions)


@pytest.mark.parametrize("compiled", [False, True])
def test_closing_frees_the_network(compiled: bool) -> None:
    module = Thirds().eval()
    session = open_thirds(TorchSession, 1, module, compiled=compiled)
    weights = weakref.ref(module.mix.weight)
    del module
    gc.collect()
    assert weights() is not None
    session.close()
    gc.collect()
    assert weights() is None
    with pytest.raises(UsageError, match="the session is closed"):
        session.run(fill(1, 7))


def test_a_missing_compiler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("backend='inductor' raised:\nNo C++ compiler found\n\nSet TORCH_LOGS for more")

    monkeypatch.setattr(torch, "compile", lambda *args, **options: fail)
    with pytest.raises(EngineError, match=r"failed here \(backend='inductor' raised: No C\+\+ compiler found\); take"):
        open_thirds(TorchSession, 1, compiled=True)


class FakeStream:
    def __init__(self, device: "FakeDevice", name: str) -> None:
        self.device, self.name = device, name

    def synchronize(self) -> None:
        self.device.log.append(f"{self.name} done")


class FakeEvent:
    def __init__(self, device: "FakeDevice") -> None:
        self.device = device
        self.time = 0

    def record(self) -> None:
        self.device.clock += 1
        self.time = self.device.clock
        self.device.log.append(f"event on {self.device.current}")

    def elapsed_time(self, later: "FakeEvent") -> float:
        return float(later.time - self.time)


class FakeDevice:
    """Stands for torch.cuda, whose hardware is not here: it notes what is asked of it, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.clock = self.streams = 0
        self.current = "default"

    def set_device(self, device: torch.device) -> None:
        self.log.append(f"use {device}")

    def synchronize(self) -> None:
        self.log.append("all done")

    def Stream(self) -> FakeStream:
        self.streams += 1
        return FakeStream(self, f"stream {self.streams}")

    def Event(self, enable_timing: bool) -> FakeEvent:
        assert enable_timing
        return FakeEvent(self)

    @contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        self.current = stream.name
        yield
        self.current = "default"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    fake = FakeDevice()

    def allocate(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        fake.log.append(f"pin {tuple(shape)}")
        return torch.empty(shape, dtype=dtype)

    monkeypatch.setattr(torch, "get_device_module", lambda device: fake)
    monkeypatch.setattr(torch_session, "_allocate_pinned", allocate)
    return fake


def test_runs_take_turns_on_streams_that_wait_for_the_weights(device: FakeDevice) -> None:
    session = open_thirds(AcceleratorSession, None, streams=2)
    assert device.log == ["use cpu", "all done"]
    for value, stream in ((3, "stream 1"), (4, "stream 2"), (5, "stream 1")):
        device.log.clear()
        assert np.allclose(session.run(fill(2, value)), value)
        asked = [line for line in device.log if not line.startswith("pin")]
        assert asked == [*[f"event on {stream}"] * 4, f"{stream} done"]


def test_times_lie_between_the_events(device: FakeDevice) -> None:
    session = open_thirds(AcceleratorSession, None)
    assert isinstance(session, AcceleratorSession)
    assert session.run_timed(fill(1, 6))[1] == StageTimes(copy_in_ms=1, device_ms=1, copy_out_ms=1)


def test_pinned_buffers_are_kept_and_predictions_are_not_in_them(device: FakeDevice) -> None:
    session = open_thirds(AcceleratorSession, None)
    answers = [session.run(fill(count, value)) for count, value in ((3, 10), (2, 20), (3, 30), (4, 40))]
    assert [(len(answer), answer.min(), answer.max()) for answer in answers] == [
        (3, pytest.approx(10), pytest.approx(10)),
        (2, pytest.approx(20), pytest.approx(20)),
        (3, pytest.approx(30), pytest.approx(30)),
        (4, pytest.approx(40), pytest.approx(40)),
    ]
    pinned = [line for line in device.log if line.startswith("pin")]
    assert pinned == ["pin (3, 2, 2, 3)", "pin (3, 4)", "pin (4, 2, 2, 3)", "pin (4, 4)"]


def test_a_failed_run_waits_for_its_copy_and_gives_its_stream_back(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_thirds(AcceleratorSession, None)
    with monkeypatch.context() as broken:
        broken.setattr(session, "_compute", lambda images: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            session.run(fill(1, 8))
    assert device.log[-1] == "stream 1 done"
    assert np.allclose(session.run(fill(1, 9)), 9)
    session.close()
    with pytest.raises(UsageError, match="the session is closed"):
        session.run(fill(1, 9))


@pytest.mark.skipif(not count_gpus(), reason="no NVIDIA GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("options", [{}, {"cuda_graphs": "true"}, {"mode": "compiled"}])
def test_a_gpu_gives_the_networks_predictions_to_every_thread(
    graph: Path, manifest: GraphManifest, pixels: np.ndarray, precision: str, options: dict[str, str]
) -> None:
    wanted = compute(graph, normalise(pixels, load_recipe(str(graph.with_name("tiny.toml")))))
    batches = [pixels[index : index + 2] for index in (0, 2)] * 20
    with (
        open_here(graph, manifest, make_plan(precision, options, "cuda:0", streams=2), batch=2) as session,
        ThreadPoolExecutor(4) as pool,
    ):
        answers = np.concatenate(list(pool.map(session.run, batches)))
    assert_close(answers, np.tile(wanted, (20, 1)), {"fp32": 1e-5, "fp16": 1e-2, "bf16": 5e-2}[precision])
