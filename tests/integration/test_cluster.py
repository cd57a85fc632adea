"""An evaluation on a cluster of two nodes ends as one on this machine does, whatever happens on the way."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from colour_graph import make_colour_graph
from fake_engine import make_recipe
from noise_images import list_noise
from seatrial.cluster.connection import ClusterSpec, RayCluster
from seatrial.data.feed import make_feed
from seatrial.engines.base import EngineFile
from seatrial.engines.build import BuildSpec, build_engine
from seatrial.engines.builder import compile_here
from seatrial.progress import Update
from seatrial.store.files import manifest_path
from seatrial.store.records import GraphManifest
from seatrial.workflow.accuracy import EvaluateSpec, evaluate_engine

SCRIPT = Path(__file__).parent / "two_nodes.py"
COUNT = 5_003


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
    pytest.importorskip("ray.data")
    found = TwoNodes()
    yield found
    assert found.end() == []


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> EngineFile:
    """A real engine with answers in closed form."""
    return build_colours(tmp_path_factory.mktemp("engine"))


def build_colours(folder: Path) -> EngineFile:
    graph = make_colour_graph(folder)
    manifest = GraphManifest.load(manifest_path(graph))
    manifest.model_copy(update={"preprocess_hash": make_feed(make_recipe()).hash}).save(manifest_path(graph))
    return build_engine(graph, BuildSpec("onnxruntime"), folder / "colours", compile=compile_here)


def test_a_node_dies_and_the_answers_are_those_of_one_machine(
    nodes: TwoNodes, engine: EngineFile, tmp_path: Path
) -> None:
    spec = EvaluateSpec(list_noise(tmp_path / "noise", COUNT))
    alone = evaluate_engine(engine.folder, spec, tmp_path / "alone")
    notes: list[str] = []
    alive = [True]

    def kill_at_the_first_answer(update: Update) -> None:
        if update.note:
            notes.append(update.note)
        elif alive:
            alive.clear()
            nodes.tell("kill")

    with RayCluster(ClusterSpec(nodes.address, actors=3, cpus_per_actor=2), "cpu") as cluster:
        spread = evaluate_engine(engine.folder, spec, tmp_path / "spread", kill_at_the_first_answer, cluster)
    nodes.tell("begin")
    assert spread == alone and spread.images == COUNT
    for name in ("colours.parquet", "colours.json"):
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    told = "\n".join(notes)
    assert "3 actors of 2 CPUs on 2 machines" in told and "went away; its images are run again" in told
