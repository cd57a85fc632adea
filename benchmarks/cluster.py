"""What spreading an evaluation costs: the same images on this machine alone and on a Ray cluster of this one machine.

    python benchmarks/cluster.py --folder WORK [--images 5000] [--rounds 3] [--network resnet50] [--engine openvino]
    python benchmarks/cluster.py --folder WORK --engine-folder DIR --source FOLDER [--labels FILE] …

Without an engine folder one of the cards' networks is compiled (weights of a rule, see networks.py) and fed 192
pictures, again and again under other names. The cluster runs before the clock does, as a real one would. Each round
runs both; their predictions are checked to be equal to the byte. Stop everything else on the machine first.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from networks import HELD_OUT, NETWORKS, OPSET, make_checkpoint, make_pictures

from seatrial.cluster.connection import RayExecutor
from seatrial.data.images import LabelledImage
from seatrial.data.labels import read_labels
from seatrial.engines.base import read_engine
from seatrial.engines.engine_folder import BuildSpec
from seatrial.evaluation.select import repeat_images
from seatrial.export.spec import ExportSpec
from seatrial.machine.cpu import count_cores
from seatrial.machine.environment import read_environment
from seatrial.progress import silent
from seatrial.recipes import load_recipe
from seatrial.store.measurement import Throughput
from seatrial.workflow.compile import compile_graph, parse_engine
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine
from seatrial.workflow.export import export_checkpoint

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": int(sys.argv[1]), "include_dashboard": False})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@dataclass(frozen=True)
class Timed:
    """One evaluation."""

    whole_s: float
    """From the call to the stored record, connecting to the cluster included."""
    connect_s: float
    pace: Throughput

    @property
    def images_per_s(self) -> float:
        """Once it was under way."""
        # Alone, the clock of the record starts with the engine open; on a cluster its actors start then.
        started_s = self.pace.first_prediction_s if self.connect_s else 0.0
        return self.pace.images / (self.pace.wall_s - started_s)


@contextmanager
def run_cluster(cpus: int) -> Iterator[str]:
    """The address of a cluster of one node, which lives as long as the block."""
    command = [sys.executable, "-c", CLUSTER, str(cpus)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def make_engine(asked: argparse.Namespace) -> Path:
    """Compile a network with weights of a rule, or find it done."""
    folder, name = asked.folder, asked.network
    checkpoint, graph = make_checkpoint(name, folder), folder / f"{name}.onnx"
    pictures = make_pictures(folder / "pictures")
    export_checkpoint(load_recipe(name), checkpoint, graph, ExportSpec(opset=OPSET), pictures[:HELD_OUT], silent)
    choice = parse_engine(asked.engine)
    output: Path = folder / f"{name}-{choice.label}"
    compile_graph(graph, BuildSpec(choice.engine, choice.precision, choice.device), output, silent)
    return output


def list_pictures(asked: argparse.Namespace, engine: Path) -> tuple[LabelledImage, ...]:
    """So many labelled images; accuracy is nobody's business here."""
    if asked.source is None:
        paths = make_pictures(asked.folder / "pictures")
        images = tuple(LabelledImage(path.name, path, 0) for path in paths)
    else:
        classes = read_engine(engine).manifest.graph.recipe["network"]["classes"]
        images = read_labels(asked.source, asked.labels, classes)
    return repeat_images(images, asked.images)


def time_alone(engine: Path, spec: EvaluateSpec, output: Path) -> Timed:
    """Evaluate in this process."""
    begun = time.perf_counter()
    evaluate_engine(engine, spec, output)
    return Timed(time.perf_counter() - begun, 0.0, Throughput.load(output / f"{engine.name}.throughput.json"))


def time_spread(engine: Path, spec: EvaluateSpec, output: Path, address: str) -> Timed:
    """Evaluate on the cluster, with a connection of its own."""
    begun = time.perf_counter()
    with RayExecutor(read_engine(engine).manifest.device, address) as cluster:
        connect_s = time.perf_counter() - begun
        evaluate_engine(engine, spec, output, executor=cluster)
        whole_s = time.perf_counter() - begun
    return Timed(whole_s, connect_s, Throughput.load(output / f"{engine.name}.throughput.json"))


def print_row(label: str, run: Timed) -> None:
    """One line of the table."""
    times = f"{run.whole_s:>9.1f}{run.connect_s:>12.1f}{run.pace.first_prediction_s:>17.1f}"
    print(f"{label:<16}{times}{run.images_per_s:>11.0f}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where graphs, pictures and records go")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", choices=NETWORKS, default="resnet50")
    parser.add_argument("--engine", default="onnxruntime", help="NAME[:PRECISION]")
    parser.add_argument("--engine-folder", type=Path)
    parser.add_argument("--source", type=Path, help="folder of images")
    parser.add_argument("--labels", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    engine = asked.engine_folder or make_engine(asked)
    spec = EvaluateSpec(list_pictures(asked, engine))
    machine = read_environment()
    print(f"{engine.name}, {asked.images} images, {machine.cpu}, {machine.cores} cores, ray {read_ray_version()}")
    print(f"{'':<16}{'whole, s':>9}{'connect, s':>12}{'first answer, s':>17}{'images/s':>11}")
    whole, rate = [], []
    with run_cluster(count_cores()) as address:
        for number in range(asked.rounds):
            places = [asked.folder / f"records-{number}-{kind}" for kind in ("alone", "spread")]
            for place in places:
                for stored in place.glob(f"{engine.name}.*"):
                    stored.unlink()
            alone = time_alone(engine, spec, places[0])
            print_row("this machine", alone)
            spread = time_spread(engine, spec, places[1], address)
            print_row("ray", spread)
            answers = [(place / f"{engine.name}.parquet").read_bytes() for place in places]
            assert answers[0] == answers[1], "the answers differ"
            whole.append(spread.whole_s / alone.whole_s)
            rate.append(alone.images_per_s / spread.images_per_s)
    shown = [f"{statistics.median(ratios) - 1:+.1%}" for ratios in (whole, rate)]
    print(f"\noverhead (medians): {shown[0]} of the whole, {shown[1]} once it is under way")


def read_ray_version() -> str:
    """As installed."""
    from importlib.metadata import version

    return version("ray")


# Decoding and Ray's own processes import this file.
if __name__ == "__main__":
    main()
