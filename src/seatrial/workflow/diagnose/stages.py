"""The stages of a run that give logits, from the graph made anew to the last engine, each ready to be asked."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray

from seatrial.data.differences import describe_difference
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile, check_batch, run_padded
from seatrial.errors import EngineError, ParityError, SeatrialError
from seatrial.evaluation.noise import FLOORS, SAME_GRAPH, Floor
from seatrial.export.cut import cut_body, cut_tail
from seatrial.export.graph import load_graph, open_graph, read_facts
from seatrial.export.simplify import simplify
from seatrial.export.spec import ExportSpec
from seatrial.export.weights import compare_weights
from seatrial.models.checkpoint import load_network
from seatrial.store.diagnosis import EXPORT, FUSED, SIMPLIFY, STORED
from seatrial.store.files import manifest_path
from seatrial.store.records import EngineManifest, GraphManifest
from seatrial.workflow.diagnose.case import Case
from seatrial.workflow.engines import PRECISIONS

Answer = Callable[[slice], NDArray[np.float32]]
"""Logits of some of the case's images."""
SHOWN = 8
"""Images from which a difference is explained."""
AGAIN = "and repeat the command that stands in run.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """Something that answers the case's images, and what it is held against."""

    name: str
    parent: str | None
    """The stage before it; None is torch."""
    floor: Floor
    """Of the step from the stage before it."""
    whole: Floor
    """Of all steps from torch."""
    open: Callable[[], contextlib.AbstractContextManager[Answer]]
    advice: str
    explain: Callable[[], str] = lambda: ""
    """What the difference looks like; asked only where there is one."""
    remark: str = ""
    """Told in any case."""


def list_stages(case: Case) -> list[Stage]:
    """Every stage behind torch, in the order of the pipeline."""
    graphs = list_graph_stages(case)
    twins = _read_twins(case)
    later = [_twin_stage(case, name, manifest, twins, graphs[-1].name) for name, manifest in twins.items()]
    later += [_engine_stage(case, name, twins, graphs[-1].name) for name in case.manifest.engines]
    later.sort(key=lambda found: found[0])  # Stable: graphs first, engines in the order asked.
    return [*graphs, *(stage for _, stage in later)]


class Graphs:
    """The graph made anew from the run's weights, and the one that the run holds; each made once, when it is asked."""

    def __init__(self, case: Case) -> None:
        self._case = case

    @cached_property
    def exported(self) -> onnx.ModelProto:
        """As the exporter writes it."""
        from seatrial.export.to_onnx import to_onnx

        graph, recipe = self._case.graph, self._case.recipe
        network = load_network(recipe.network, self._case.run / "checkpoint.safetensors")
        spec = ExportSpec(graph.opset, graph.input.shape[0], "dynamo" if graph.exporter == "dynamo" else "torchscript")
        with tempfile.TemporaryDirectory() as folder:
            return to_onnx(network, recipe, spec, Path(folder) / "model.onnx")

    @cached_property
    def simplified(self) -> onnx.ModelProto:
        """The same, simplified if the run's is."""
        return simplify(self.exported) if self._case.graph.simplified else self.exported

    @cached_property
    def stored(self) -> onnx.ModelProto:
        """The run's."""
        return load_graph(self._case.run / "model.onnx")

    def explain_body(self) -> str:
        """How the stored network's weights differ."""
        return compare_weights(self.simplified, cut_body(self.stored))

    def explain_tail(self) -> str:
        """What the stored preprocessing does to pixels, seen beside the card's."""
        tail = cut_tail(self.stored)
        if tail is None:
            return ""
        pixels = self._case.pixels[:SHOWN]
        return describe_difference({"": open_graph(tail)(pixels)}, pixels, (), self._case.recipe)


def list_graph_stages(case: Case) -> list[Stage]:
    """From torch to the run's own graph."""
    graphs, fp32 = Graphs(case), FLOORS["fp32"]

    def make(
        name: str,
        parent: str | None,
        load: Callable[[], onnx.ModelProto],
        advice: str,
        explain: Callable[[], str] = lambda: "",
    ) -> Stage:
        is_whole = name == FUSED
        return Stage(name, parent, fp32, fp32, lambda: _answer_graph(case, load, is_whole), advice, explain)

    anew = f"delete model.onnx {AGAIN}"
    stages = [make(EXPORT, None, lambda: graphs.exported, "try `seatrial export` with another --exporter or --opset")]
    if case.graph.simplified:
        stages.append(
            make(SIMPLIFY, EXPORT, lambda: graphs.simplified, "`seatrial export --no-simplify` leaves it out")
        )
    before = stages[-1].name
    stages.append(make(STORED, before, lambda: cut_body(graphs.stored), anew, graphs.explain_body))
    if case.graph.fused:
        stages.append(make(FUSED, STORED, lambda: graphs.stored, anew, graphs.explain_tail))
    return stages


@contextlib.contextmanager
def _answer_graph(case: Case, load: Callable[[], onnx.ModelProto], takes_pixels: bool) -> Iterator[Answer]:
    """A graph in onnxruntime, every node as it stands there."""
    model = load()
    spec = read_facts(model).input
    ask = open_graph(model, spec.shape[0], optimise=False)
    free = spec.model_copy(update={"shape": (None, *spec.shape[1:])})

    def answer(part: slice) -> NDArray[np.float32]:
        batch = case.pixels[part] if takes_pixels else case.see(part)
        check_batch(batch, free)
        return ask(batch)

    yield answer


def _read_twins(case: Case) -> dict[str, GraphManifest]:
    """The run's other graphs by file name, with their manifests; one without is a finding and no stage."""
    found = {}
    for path in sorted(case.run.glob("model-*.onnx")):
        with contextlib.suppress(SeatrialError):
            found[path.name] = GraphManifest.load(manifest_path(path))
    return found


def _twin_stage(
    case: Case, name: str, manifest: GraphManifest, twins: dict[str, GraphManifest], whole: str
) -> tuple[int, Stage]:
    # A twin is called as what it was made of, and a word more.
    source = name.rpartition("-")[0] + ".onnx"
    precision = manifest.precision
    stage = Stage(
        name=name,
        parent=source if source in twins else whole,
        floor=(SAME_GRAPH if source in twins else FLOORS)[precision],
        whole=FLOORS[precision],
        open=lambda: _answer_graph(case, lambda: load_graph(case.run / name), manifest.fused),
        advice=f"delete {name} {AGAIN}" + ("; `seatrial quantize` can keep layers in float" * (precision == "int8")),
    )
    return PRECISIONS.index(precision), stage


def _engine_stage(case: Case, name: str, twins: dict[str, GraphManifest], whole: str) -> tuple[int, Stage]:
    folder = case.run / "engines" / name
    try:
        if not folder.is_dir():
            raise EngineError(f"engines/{name} is not there", "repeat the command that stands in run.json")
        manifest = EngineManifest.load(folder / "engine.json")
    except SeatrialError as error:
        problem = error
        return 0, Stage(name, whole, FLOORS["fp32"], FLOORS["fp32"], lambda: _fail(problem), "")
    parent = _find_source(manifest, twins, whole)
    floors = SAME_GRAPH if parent in twins and manifest.graph.precision == manifest.precision else FLOORS
    stage = Stage(
        name=name,
        parent=parent,
        floor=floors[manifest.precision],
        whole=FLOORS[manifest.precision],
        open=lambda: _answer_engine(case, EngineFile(folder, manifest)),
        advice=f"delete engines/{name} {AGAIN}",
    )
    return PRECISIONS.index(manifest.precision), stage


def _find_source(manifest: EngineManifest, twins: dict[str, GraphManifest], whole: str) -> str | None:
    """The stage that an engine was made of; torch rebuilds the network from the weights."""
    if manifest.engine == "torch":
        return None
    if manifest.graph.precision == "fp32":
        return whole
    exact = [name for name, twin in twins.items() if twin.sha256 == manifest.graph.sha256]
    alike = [name for name, twin in twins.items() if twin.precision == manifest.graph.precision]
    return next(iter((*exact, *alike)), whole)


@contextlib.contextmanager
def _answer_engine(case: Case, file: EngineFile) -> Iterator[Answer]:
    engine = get_engine(file.manifest.engine)
    with engine.open(file, file.manifest.device, case.batch_size) as session:
        takes_pixels = session.input.dtype == "uint8"
        size = session.input.shape[0] or case.batch_size

        def answer(part: slice) -> NDArray[np.float32]:
            batch = case.pixels[part] if takes_pixels else case.see(part)
            return np.concatenate([run_padded(session, batch[i : i + size]) for i in range(0, len(batch), size)])

        yield answer


def _fail(error: SeatrialError) -> NoReturn:
    raise error


def ask(case: Case, stage: Stage, classes: int, told: Callable[[int], None]) -> NDArray[np.float32]:
    """Logits of all the case's images; `told` hears how many are done.

    Raises:
        SeatrialError: the stage cannot be opened, does not take the images, or gives another number of classes.
    """
    parts = []
    with stage.open() as answer:
        for start in range(0, len(case.images), case.batch_size):
            parts.append(answer(slice(start, start + case.batch_size)))
            if parts[-1].shape[1] != classes:
                raise ParityError(f"it tells {parts[-1].shape[1]} classes apart, torch {classes}")
            told(start + len(parts[-1]))
    return np.concatenate(parts)
