"""An evaluation on a cluster of two nodes ends as one on this machine does, whatever happens on the way."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import psutil
import pyarrow.parquet as pq
import pytest

from colour_graph import make_colour_graph
from fake_engine import make_recipe
from noise_images import DISTINCT, list_noise
from seatrial.cli import run_cli
from seatrial.cluster.connection import RayExecutor
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.engines.base import EngineFile
from seatrial.engines.compile_process import compile_here
from seatrial.engines.engine_folder import BuildSpec, build_engine
from seatrial.errors import ParityError
from seatrial.progress import Update
from seatrial.store.files import hash_file, manifest_path
from seatrial.store.records import GraphManifest
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine

SCRIPT = Path(__file__).parent / "two_nodes.py"
COUNT, MANY = 40_003, 8_000


class TwoNodes:
    """The script, and what it is told."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address = self._read()

    def tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._read() == "done"

    def end(self) -> list[psutil.Process]:
        """Whatever of it still lives ten seconds after it ended."""
        begun = psutil.Process(self._process.pid).children(recursive=True)
        self._process.communicate()
        return psutil.wait_procs(begun, timeout=10)[1]

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    pytest.importorskip("ray")
    found = TwoNodes()
    yield found
    assert found.end() == []


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> EngineFile:
    """A real engine with answers in closed form."""
    return build_colours(tmp_path_factory.mktemp("engine"))


def build_colours(folder: Path, weights: float | None = None) -> EngineFile:
    """The engine of `make_colour_graph`, if asked with other weights."""
    graph = make_colour_graph(folder)
    if weights is not None:
        model = onnx.load(graph)
        (kernel,) = (tensor for tensor in model.graph.initializer if tensor.name == "weights")
        kernel.CopyFrom(onnx.numpy_helper.from_array(np.full(kernel.dims, weights, np.float32), "weights"))
        onnx.save(model, graph)
    made = GraphManifest.load(manifest_path(graph))
    # Predictions of noise are not plausible, and one machine looks further into that than a cluster.
    card = {**made.recipe, "gates": {"plausible": False}}
    facts = {"preprocess_hash": make_pipeline(make_recipe()).hash, "sha256": hash_file(graph), "recipe": card}
    made.model_copy(update=facts).save(manifest_path(graph))
    return build_engine(graph, BuildSpec("onnxruntime"), folder / "colours", compile=compile_here)


def test_a_node_dies_and_the_predictions_are_those_of_one_machine(
    nodes: TwoNodes, engine: EngineFile, tmp_path: Path
) -> None:
    spec = EvaluateSpec(list_noise(tmp_path / "noise", COUNT))
    alone = evaluate_engine(engine.folder, spec, tmp_path / "alone")
    notes: list[str] = []
    alive = [True]

    def kill_at_the_first_answer(update: Update) -> None:
        if update.note:
            notes.append(update.note)
        elif alive and update.done:
            alive.clear()
            nodes.tell("kill")

    # Each node has room for one of them.
    with RayExecutor("cpu", nodes.address, actors=2, cpus_per_actor=3) as cluster:
        spread = evaluate_engine(engine.folder, spec, tmp_path / "spread", kill_at_the_first_answer, cluster)
    nodes.tell("begin")
    assert spread == alone and spread.images == COUNT
    for name in ("colours.parquet", "colours.json"):
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    told = "\n".join(notes)
    assert "2 actors of 3 CPUs on 2 machines" in told and "went away; its images are run again" in told


def test_an_error_of_an_actor_is_one_line(nodes: TwoNodes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = evaluate_words(build_colours(tmp_path, weights=np.nan), tmp_path, nodes)
    assert run_cli([*words, "--output", str(tmp_path / "out")]) == ParityError.exit_code
    told = capfd.readouterr()
    assert told.out == ""
    *notes, last = told.err.splitlines()
    # Of what the actors answer at the same time the first to arrive is named.
    assert re.match(r"seatrial: the engine gives NaN or infinity, first for \d\d\.png; a wider precision", last), last
    assert all(note.startswith("  evaluate  ") for note in notes), notes
    assert not (tmp_path / "out" / "colours.json").exists()


def test_killed_and_stopped_it_goes_on_to_the_same_bytes(
    nodes: TwoNodes, engine: EngineFile, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Killed, then taken up by the cluster and stopped, then taken up by one machine."""
    words = [*evaluate_words(engine, tmp_path, nodes), "--fake-images", str(MANY)]
    ledger = tmp_path / "spread" / ".colours.ledger"
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        before = size_of(ledger)
        command = [sys.executable, "-m", "seatrial", *words, "--output", str(tmp_path / "spread")]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and size_of(ledger) <= before + 1000:
            time.sleep(0.005)
        process.send_signal(number)
        told = process.communicate(timeout=5)[1]
        assert process.returncode == code, told
    assert f"of {MANY} images are done already" in told
    last = told.splitlines()[-1]
    assert last.startswith("seatrial: stopped; the same command resumes: seatrial evaluate ")
    alone = [*words[: words.index("--cluster")], "--fake-images", str(MANY)]
    assert run_cli([*alone, "--output", str(tmp_path / "spread")]) == 0
    assert f"of {MANY} images are done already" in capfd.readouterr().err
    assert run_cli([*alone, "--output", str(tmp_path / "alone")]) == 0
    for name in ("colours.parquet", "colours.json"):
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.slow
def test_seven_actors_run_each_of_many_images_once(nodes: TwoNodes, engine: EngineFile, tmp_path: Path) -> None:
    images = list_noise(tmp_path / "noise", 50_003)
    with RayExecutor("cpu", nodes.address, actors=7) as cluster:
        assert (cluster.sessions, cluster.cores) == (7, 1)
        record = evaluate_engine(engine.folder, EvaluateSpec(images), tmp_path, executor=cluster)
    assert record.images == 50_003
    ids = pq.read_table(tmp_path / "colours.parquet", columns=["id"])["id"].to_pylist()
    assert ids == sorted(image.id for image in images)


def evaluate_words(engine: EngineFile, folder: Path, nodes: TwoNodes) -> list[str]:
    images = list_noise(folder / "noise", DISTINCT)
    labels = folder / "labels.txt"
    labels.write_text("".join(f"{image.id} {image.label}\n" for image in images))
    words = ["evaluate", str(engine.folder), "--images", str(folder / "noise"), "--labels", str(labels)]
    return [*words, "--cluster", f"ray:{nodes.address}", "--actors", "1"]


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
