"""A right graph is not blamed for what onnxruntime's optimiser makes of it; the engine built with that is refused."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from bordered_network import write_bordered
from seatrial.bench.worker import Job
from seatrial.engines import get_engine
from seatrial.engines.base import read_engine
from seatrial.engines.engine_folder import BuildSpec
from seatrial.engines.onnxruntime import OnnxRuntimeSession, choose_level
from seatrial.engines.rebuild import write_rebuild
from seatrial.errors import EngineError, RefusedFile, UsageError
from seatrial.export.spec import ExportSpec
from seatrial.models import build
from seatrial.progress import Update
from seatrial.recipes import load_recipe
from seatrial.store.measurement import Point
from seatrial.store.records import TensorSpec
from seatrial.workflow import tune
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.export import export_checkpoint
from seatrial.workflow.tune import tune_graph
from tiny_trial import TinyTrial


@pytest.fixture(scope="module")
def graph(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported, each step of it held against torch."""
    folder = tmp_path_factory.mktemp("bordered")
    card, checkpoint = write_bordered(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(build.OURS, "bordered", "bordered_network:Bordered")
        images = sorted(tiny_trial.images.iterdir())
        made = export_checkpoint(
            load_recipe(str(card)), checkpoint, folder / "model.onnx", ExportSpec(opset=17), images
        )
    assert all(step.top1_disagreements == 0 and step.relative_error < 1e-5 for step in made.parity)
    return folder / "model.onnx"


def test_a_level_that_errs_is_refused_with_one_that_does_not(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"onnxruntime .*'s optimiser changes what the graph computes") as caught:
        compile_graph(graph, BuildSpec("onnxruntime", options={"optimisation": "all"}), tmp_path / "engine")
    assert "compile with --option optimisation=careful" in str(caught.value)
    assert caught.value.exit_code == 5 and not (tmp_path / "engine").exists()


def test_without_a_level_requested_the_highest_sound_one_is_taken_and_noted(graph: Path, tmp_path: Path) -> None:
    told: list[Update] = []
    made = compile_graph(graph, BuildSpec("onnxruntime"), tmp_path / "engine", told.append)
    assert made.manifest.options == {"optimisation": "careful"} and made.manifest.chosen == ("optimisation",)
    assert "--option" not in write_rebuild(made.manifest, made.folder, "cpu"), "nobody asked for it"
    again = compile_graph(graph, BuildSpec("onnxruntime"), tmp_path / "engine")
    assert again.manifest.compile_s == made.manifest.compile_s, "found by what was asked"
    assert "compiled at optimisation=careful" in made.manifest.notes[0]
    assert any(made.manifest.notes[0] in (update.note or "") for update in told)


def test_tuning_takes_it_too(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Job] = []

    def measure(job: Job) -> Point:
        asked.append(job)
        return Point(
            batch_size=job.batch_size, streams=job.streams, load_s=0, first_inference_ms=1, warmup=3,
            starts_s=(0.0, 1.0, 2.0), durations_ms=(1.0, 1.0, 1.0), peak_rss_bytes=1,
        )  # fmt: skip

    monkeypatch.setattr(tune, "run_worker", measure)
    spec = BuildSpec("onnxruntime", batch_sizes=(1, 2), options={"spinning": "false"})
    made = tune_graph(graph, spec, tmp_path / "engine").manifest
    assert all(job.file.manifest.options["optimisation"] == "careful" for job in asked)
    assert made.options["optimisation"] == "careful" and made.chosen == ("optimisation",) and made.notes
    assert "--option spinning=false" in write_rebuild(made, tmp_path / "engine", "cpu")
    count = len(asked)
    assert tune_graph(graph, spec, tmp_path / "engine").manifest == made and len(asked) == count


def test_fp32_is_no_tf32_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU's provider is given; there is none here to run it."""
    given: list[list[tuple[str, dict[str, str]]]] = []

    class Stopped(Exception): ...

    def stop(path: str, settings: object, providers: list[tuple[str, dict[str, str]]]) -> None:
        given.append(providers)
        raise Stopped

    monkeypatch.setattr(onnxruntime, "InferenceSession", stop)
    spec = TensorSpec(name="x", dtype="uint8", shape=(None, 4, 6, 3), layout="NHWC")
    for device in ("cpu", "cuda:1", "tensorrt:0"):
        with pytest.raises(RefusedFile):
            OnnxRuntimeSession(Path("model.onnx"), (spec, spec), None, device)
    assert given == [
        [("CPUExecutionProvider", {})],
        [("CUDAExecutionProvider", {"device_id": "1", "use_tf32": "0"})],
        [("TensorrtExecutionProvider", {"device_id": "0"})],
    ]


@pytest.mark.parametrize(
    ("engine", "options"), [("onnxruntime", {}), ("onnxruntime", {"optimisation": "disabled"}), ("openvino", {})]
)
def test_that_level_and_the_other_engines_are_right(
    engine: str, options: dict[str, str], graph: Path, tmp_path: Path
) -> None:
    made = compile_graph(graph, BuildSpec(engine, options=options), tmp_path / "engine")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    with get_engine(engine).open(read_engine(made.folder), "cpu", 2) as session:
        logits = session.run(pixels)
    assert logits[:, 0] == pytest.approx([-0.866] * 2, abs=0.02) and (logits.argmax(1) == 0).all()


def test_a_level_that_does_not_exist_is_reported(graph: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="there is no level optimisation=fast; give one of disabled, basic, extended, careful, all"
    ):
        compile_graph(graph, BuildSpec("onnxruntime", options={"optimisation": "fast"}), tmp_path / "engine")


@pytest.mark.parametrize(
    ("wrong_from", "sound"),
    [("basic", "disabled"), ("extended", "basic"), ("careful", "extended"), ("all", "careful"), ("none", "all")],
)
def test_the_highest_sound_level_is_taken_or_offered(wrong_from: str, sound: str) -> None:
    names = ["disabled", "basic", "extended", "careful", "all", "none"]

    def run(level: str) -> np.ndarray:
        wrong = names.index(level) >= names.index(wrong_from)
        return np.array([[1.0, 2.0 + 0.1 * wrong]], dtype=np.float32)

    chosen = choose_level(None, "fp32", run, "1")
    assert chosen[0] == sound and (chosen[1] is None) == (sound == "all")
    if sound == "all":
        assert choose_level("all", "fp32", run, "1") == chosen
        return
    with pytest.raises(EngineError, match=rf"--option optimisation={sound},"):
        choose_level("all", "fp32", run, "1")


@pytest.mark.parametrize(("precision", "level"), [("fp32", "disabled"), ("fp16", "all"), ("int8", "all")])
def test_rounding_of_the_precision_is_no_fault(precision: str, level: str) -> None:
    def run(level: str) -> np.ndarray:
        return np.array([[1.0, 2.0 + 0.02 * (level != "disabled")]], dtype=np.float32)

    assert choose_level(None, precision, run, "1")[0] == level
