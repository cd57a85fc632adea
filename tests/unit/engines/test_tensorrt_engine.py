"""The engine on emulators of TensorRT and CUDA: its logic, not TensorRT's, and no hardware."""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from colour_graph import make_colour_graph
from emulators.tensorrt_sdk import VERSION, install_tensorrt, write_trtexec
from fake_engine import answer
from seatrial.engines import get_engine
from seatrial.engines.base import DeviceTimed, EngineFile, StageTimes, read_engine
from seatrial.engines.engine_folder import BuildSpec, build_engine
from seatrial.engines.tensorrt.session import TensorRtSession
from seatrial.errors import EngineError, RefusedFile, UsageError

Install = Callable[..., None]
VERSIONS = ("8.6.1", "10.16.1.11", "11.4.0.106")
BATCH = np.random.default_rng(7).integers(0, 256, (3, 4, 6, 3), dtype=np.uint8)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Installs an emulated TensorRT for one test."""

    def installed(version: str = VERSION, trtexec: str | None = "same") -> None:
        install_tensorrt(monkeypatch, tmp_path / version, version, trtexec)

    return installed


def build(
    folder: Path, precision: str = "fp32", graph: str = "", sizes: tuple[int, ...] = (), **options: str
) -> EngineFile:
    path = make_colour_graph(folder / "graph", graph or precision.replace("tf32", "fp32"))
    return build_engine(path, BuildSpec("tensorrt", precision, "cuda:0", sizes, options), folder / "engine")


def load(file: EngineFile, batch_size: int | None = None, streams: int = 1) -> TensorRtSession:
    session = get_engine("tensorrt").open(file, "cuda:0", batch_size, streams)
    assert isinstance(session, TensorRtSession)
    return session


@pytest.mark.parametrize("builder", ["trtexec", "python"])
@pytest.mark.parametrize(
    ("version", "precision", "graph"),
    [
        *((version, precision, precision) for version in VERSIONS for precision in ("fp32", "fp16", "int8")),
        *((version, "tf32", "fp32") for version in VERSIONS),
        # From 11 on precision must be in the graph.
        *((version, "fp16", "fp32") for version in VERSIONS[:2]),
    ],
)
def test_both_builders_of_every_version_give_what_was_asked(
    install: Install, tmp_path: Path, version: str, builder: str, precision: str, graph: str
) -> None:
    install(version)
    file = build(tmp_path, precision, graph, builder=builder)
    assert file.manifest.executed == {precision: 1} and file.manifest.sdk_version == version
    with load(file) as session:
        np.testing.assert_allclose(session.run(BATCH), answer(BATCH), rtol=2e-3 if precision in ("fp16", "tf32") else 0)


def test_the_log_begins_with_the_command_and_can_be_run_again(install: Install, tmp_path: Path) -> None:
    install()
    file = build(tmp_path, "fp16", "fp32", (2,), workspace_mb="64", builder_optimization_level="1")
    first, second = (file.folder / "model-2.log").read_text().splitlines()[:2]
    words = shlex.split(first)
    assert words[0] == shutil.which("trtexec") and "--fp16" in words and "--memPoolSize=workspace:64" in words
    assert second.startswith("&&&& RUNNING TensorRT.trtexec [TensorRT v101601] # ")
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == 0
    assert (tmp_path / "model-2.plan").read_bytes() == (file.folder / "model-2.plan").read_bytes()


def test_without_trtexec_python_builds(install: Install, tmp_path: Path) -> None:
    install(trtexec=None)
    file = build(tmp_path)
    assert (file.folder / "model-free.log").read_text().startswith("tensorrt 10.16.1.11 in Python, as trtexec --onnx=")
    with pytest.raises(EngineError, match="trtexec is not on the PATH"):
        build(tmp_path, builder="trtexec")


def test_every_batch_size_has_its_plan(install: Install, tmp_path: Path) -> None:
    install()
    file = build(tmp_path, sizes=(1, 3))
    assert [m.path for m in file.manifest.files] == ["model-1.plan", "model-3.plan"]
    assert set(file.manifest.companions) == {"device.json"}
    with load(file, 3) as session:
        assert session.input.shape == (3, 4, 6, 3)
        np.testing.assert_array_equal(session.run(BATCH), answer(BATCH))


def test_a_graph_of_a_fixed_batch_needs_no_profile(install: Install, tmp_path: Path) -> None:
    install()
    graph = make_colour_graph(tmp_path / "graph", batch_size=3)
    file = build_engine(graph, BuildSpec("tensorrt", device="cuda:0"), tmp_path / "engine")
    assert "Shapes" not in (file.folder / "model-3.log").read_text()
    with load(file) as session:
        np.testing.assert_array_equal(session.run(BATCH), answer(BATCH))


def test_a_batch_outside_the_profile_is_refused(install: Install, tmp_path: Path) -> None:
    install()
    with load(build(tmp_path, max_batch_size="2")) as session:
        np.testing.assert_array_equal(session.run(BATCH[:2]), answer(BATCH[:2]))
        with pytest.raises(UsageError, match=r"a batch of 3 is outside 1 to 2, which this .*max_batch_size=N"):
            session.run(BATCH)
        with pytest.raises(UsageError, match="a batch of 0 is outside"):
            session.run(BATCH[:0])


@pytest.mark.parametrize("version", VERSIONS)
def test_streams_run_side_by_side(install: Install, tmp_path: Path, version: str) -> None:
    install(version)
    with load(build(tmp_path), streams=3) as session, ThreadPoolExecutor(3) as pool:
        batches = [np.roll(BATCH, shift) for shift in range(9)]
        for batch, logits in zip(batches, pool.map(session.run, batches), strict=True):
            np.testing.assert_array_equal(logits, answer(batch))


def test_threads_work_on_the_gpu_that_was_asked(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMULATED_GPUS", "Small:7.5;Large:9.0")
    install()
    graph = make_colour_graph(tmp_path / "graph")
    file = build_engine(graph, BuildSpec("tensorrt", device="cuda:1"), tmp_path / "engine")
    assert json.loads((file.folder / "device.json").read_text()) == {
        "tensorrt": "10.16.1.11",
        "gpu": "Large",
        "compute_capability": "9.0",
    }
    with get_engine("tensorrt").open(file, "cuda:1") as session, ThreadPoolExecutor(1) as pool:
        np.testing.assert_array_equal(pool.submit(session.run, BATCH).result(), answer(BATCH))
    with pytest.raises(EngineError, match=r"on Large \(9.0\), and cuda:0 is TensorRT 10.16.1.11 on Small \(7.5\)"):
        get_engine("tensorrt").open(file, "cuda:0")


def test_times_are_those_that_the_stream_marks(install: Install, tmp_path: Path) -> None:
    install()
    with load(build(tmp_path)) as session:
        assert isinstance(session, DeviceTimed)
        logits, times = session.run_timed(BATCH)
    np.testing.assert_array_equal(logits, answer(BATCH))
    expected = StageTimes(copy_in_ms=BATCH.nbytes / 1e6, device_ms=2.0, copy_out_ms=logits.nbytes / 1e6)
    np.testing.assert_allclose(list(times.__getstate__()), list(expected.__getstate__()))


def test_closing_frees_all_that_was_taken(install: Install, tmp_path: Path) -> None:
    install()
    file = build(tmp_path)
    from cuda.bindings import runtime

    session = load(file, streams=2)
    assert len(runtime.device_memory) == len(runtime.host_memory) == 4  # type: ignore[attr-defined]
    session.close()
    session.close()
    assert not (runtime.device_memory or runtime.host_memory or runtime.handles)  # type: ignore[attr-defined]


def test_too_little_gpu_memory_frees_what_was_taken(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    file = build(tmp_path)
    monkeypatch.setenv("EMULATED_GPU_BYTES", "10000")
    with pytest.raises(EngineError, match="not enough GPU memory; take a smaller batch size or fewer streams"):
        load(file, streams=3)
    from cuda.bindings import runtime

    assert not (runtime.device_memory or runtime.host_memory or runtime.handles)  # type: ignore[attr-defined]


@pytest.mark.parametrize("builder", ["trtexec", "python"])
@pytest.mark.parametrize(("precision", "graph"), [("fp16", "fp32"), ("tf32", "fp32"), ("int8", "int8")])
def test_a_builder_that_falls_back_to_fp32_is_found_out(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builder: str, precision: str, graph: str
) -> None:
    install()
    monkeypatch.setenv("EMULATED_FAULT", "fp32")
    with pytest.raises(EngineError, match=f"was requested in {precision} and computes 1 layers in fp32") as caught:
        build(tmp_path, precision, graph, builder=builder)
    assert caught.value.exit_code == 5 and not (tmp_path / "engine").exists()


def test_a_plan_of_another_tensorrt_is_refused_with_the_command_that_rebuilds(install: Install, tmp_path: Path) -> None:
    install("10.3.0")
    file = build(tmp_path, "fp16", "fp32", (1, 4), workspace_mb="64")
    install("10.16.1.11")
    with pytest.raises(EngineError) as caught:
        get_engine("tensorrt").open(read_engine(file.folder), "cuda:0")
    gpu = "on Emulated GPU (8.6)"
    assert str(caught.value) == (
        f"{file.folder} was built with TensorRT 10.3.0 {gpu}, and cuda:0 is TensorRT 10.16.1.11 {gpu}; "
        "build it again: `seatrial compile GRAPH.onnx --engine tensorrt --precision fp16 --batch-size 1,4 "
        f"--device cuda:0 --option workspace_mb=64 --output {file.folder}`"
    )


def test_a_plan_of_another_gpu_is_refused(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    file = build(tmp_path)
    monkeypatch.setenv("EMULATED_GPUS", "Another GPU:8.6")
    with pytest.raises(EngineError, match=r"on Emulated GPU \(8.6\), and cuda:0 is .* on Another GPU \(8.6\)"):
        load(file)


def test_what_is_no_plan_is_refused(install: Install, tmp_path: Path) -> None:
    install()
    file = build(tmp_path)
    (file.folder / "model-free.plan").write_bytes(b"no plan")
    with pytest.raises(
        RefusedFile, match=r"tensorrt does not load .*model-free.plan \(IRuntime::deserialize.*Magic tag"
    ):
        load(file)


@pytest.mark.parametrize("builder", ["trtexec", "python"])
def test_a_graph_that_cannot_be_parsed_is_reported_in_one_line(install: Install, tmp_path: Path, builder: str) -> None:
    install()
    from fake_engine import make_graph

    graph = make_graph(tmp_path)
    with pytest.raises(EngineError, match=r"Failed to parse ONNX model from file: .*model.onnx") as caught:
        spec = BuildSpec("tensorrt", device="cuda:0", options={"builder": builder})
        build_engine(graph, spec, tmp_path / "engine")
    assert "\n" not in str(caught.value) and not (tmp_path / "engine").exists()


def test_a_trtexec_of_another_version_is_reported(install: Install, tmp_path: Path) -> None:
    install("10.16.1.11", trtexec="11.4.0.106")
    with pytest.raises(EngineError, match=r"trtexec is TensorRT 11\.4\.0 and the Python package 10\.16\.1"):
        build(tmp_path, "fp16", "fp32")


def test_a_trtexec_that_dies_is_reported(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    monkeypatch.setenv("EMULATED_FAULT", "crash")
    with pytest.raises(EngineError, match=r"trtexec builds no plan: .*; to see it all: /.*trtexec --onnx="):
        build(tmp_path)


def test_the_users_timing_cache_is_kept_and_a_foreign_one_refused(install: Install, tmp_path: Path) -> None:
    install()
    cache = tmp_path / "cache"
    for builder in ("python", "trtexec"):
        build(tmp_path, builder=builder, timing_cache=str(cache))
        assert cache.read_bytes() == b"cache 10.16.1.11"
    cache.write_bytes(b"cache 8.6.1")
    with pytest.raises(EngineError, match=r"does not take the timing cache .*cache; delete it, or give another"):
        build(tmp_path, builder="python", timing_cache=str(cache))


def test_probe_tells_what_is_there(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATED_GPUS", "Old GPU:7.5;New GPU:9.0")
    install("11.4.0.106")
    has = get_engine("tensorrt").probe()
    assert (has.version, has.missing, has.in_graph) == ("11.4.0.106", None, ("fp16", "int8"))
    assert has.devices == ("cuda:0", "cuda:1") and has.hardware == ("Old GPU (7.5)", "New GPU (9.0)")
    assert has.precisions == ("fp32", "tf32", "fp16", "int8")


@pytest.mark.parametrize(
    ("version", "gpus", "missing"),
    [
        (
            "10.3.0",
            "",
            "there is no GPU to use (CUDA: no CUDA-capable device is detected (cudaGetDeviceCount, error 100))",
        ),
        ("8.5.3", "GPU:8.6", "TensorRT 8.5.3 is older than 8.6"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_built(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, gpus: str, missing: str
) -> None:
    monkeypatch.setenv("EMULATED_GPUS", gpus)
    install(version)
    has = get_engine("tensorrt").probe()
    assert has.missing == missing and not has.devices and not has.precisions
    with pytest.raises(EngineError) as caught:
        build(tmp_path)
    assert str(caught.value) == f"engine 'tensorrt' cannot be used: {missing}; {has.install_hint}"


def test_a_gpu_without_tf32_has_no_tf32(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMULATED_GPUS", "Old GPU:7.5")
    install()
    with pytest.raises(EngineError, match="cannot run tf32; take --precision fp32 or fp16 or int8"):
        build(tmp_path, "tf32")


def test_bindings_that_do_not_load_are_reported(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    import cuda.bindings

    monkeypatch.delattr(cuda.bindings, "runtime")
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    assert "there is no GPU to use (cuda-bindings does not load: " in str(get_engine("tensorrt").probe().missing)


def test_bindings_that_are_not_installed_are_named(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    monkeypatch.setattr("seatrial.engines.tensorrt.find_version", {"tensorrt": VERSION}.get)
    has = get_engine("tensorrt").probe()
    assert (has.missing, has.install_hint) == (
        "cuda-bindings is not installed",
        "pip install 'seatrial[tensorrt]'",
    )


def test_probe_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    has = get_engine("tensorrt").probe()
    assert (has.version, has.missing) == (None, "tensorrt is not installed")
    assert has.install_hint == "pip install 'seatrial[tensorrt]'"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fp17"], "[E] Unknown option: --fp17 "),
        (["--stronglyTyped"], "[E] Unknown option: --stronglyTyped "),
        (["--onnx=a.onnx"], "[E] this emulator runs no inference: give --skipInference"),
    ],
)
def test_the_emulated_trtexec_fails_as_the_real_one(tmp_path: Path, words: list[str], said: str) -> None:
    command = [str(write_trtexec(tmp_path, "8.6.1") / "trtexec"), *words]
    ran = subprocess.run(command, capture_output=True, text=True)
    lines = ran.stdout.splitlines()
    assert ran.returncode == 1 and lines[0].startswith("&&&& RUNNING TensorRT.trtexec [TensorRT v8601] # ")
    assert lines[1].endswith(said) and lines[-1].startswith("&&&& FAILED TensorRT.trtexec [TensorRT v8601] # ")


def test_the_emulated_cuda_invents_no_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    install_tensorrt(monkeypatch, tmp_path)
    from cuda.bindings import runtime

    names = [name for name in vars(runtime) if name.startswith("cuda")]
    assert len(names) > 15 and runtime is not real
    assert [name for name in names if not hasattr(real, name)] == []
    for kind in ("cudaError_t", "cudaMemcpyKind"):
        for member in getattr(runtime, kind):
            assert int(getattr(getattr(real, kind), member.name)) == int(member)
    assert runtime.cudaStreamNonBlocking == real.cudaStreamNonBlocking


def test_errors_of_the_engine_are_the_users(install: Install, tmp_path: Path) -> None:
    install()
    with pytest.raises(UsageError, match=r"there is no builder=make; give trtexec or python"):
        build(tmp_path, builder="make")
