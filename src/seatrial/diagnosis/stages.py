"""The stages of a run that give logits, from the graph exported again to the last engine, each ready to be run."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray

from seatrial.diagnosis.compare_weights import compare_weights
from seatrial.diagnosis.explain_preprocessing import describe_difference
from seatrial.diagnosis.measured_noise import Floors
from seatrial.diagnosis.sample import Sample
from seatrial.engines import get_engine
from seatrial.engines.base import MANIFEST, PRECISIONS, EngineFile, check_batch, run_padded
from seatrial.errors import EngineError, SeatrialError
from seatrial.export.graph import open_graph
from seatrial.export.simplify import simplify
from seatrial.export.spec import ExportSpec
from seatrial.export.split_preprocessing import cut_body, cut_tail
from seatrial.metrics.noise_floor import FLOORS, NoiseFloor
from seatrial.models.onnx_file import load_graph, read_facts
from seatrial.progress import Progress, Update
from seatrial.store.diagnosis import EXPORT, FUSED, SIMPLIFY, STORED
from seatrial.store.files import manifest_path
from seatrial.store.records import EngineManifest, GraphManifest

if TYPE_CHECKING:
    from torch import nn

Predict = Callable[[slice], NDArray[np.float32]]
"""Logits of some of the sample's images."""
SHOWN = 8
"""Images from which a difference is explained."""
AGAIN = "and repeat the command in run.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the pipeline that gives logits, and what it is compared with."""

    name: str
    parent: str | None
    """The stage before it; None is torch."""
    floor: NoiseFloor
    """Of the step from the stage before it."""
    whole: NoiseFloor
    """Of all steps from torch."""
    open: Callable[[], contextlib.AbstractContextManager[Predict]]
    """Raises a `SeatrialError` where it cannot be opened."""
    advice: str
    explain: Callable[[], str] = lambda: ""
    """Describes the difference, where there is one."""
    remark: str = ""
    """Added to the reason in any case."""


def list_stages(sample: Sample, network: "nn.Module", floors: Floors) -> list[Stage]:
    """Every stage behind torch, in the order of the pipeline."""
    graphs = _list_graph_stages(sample, network)
    derived = _read_derived(sample)
    stages = _DerivedStages(sample, floors, derived, graphs[-1].name)
    later = [stages.describe_graph(name) for name in derived]
    later += [stages.describe_engine(name) for name in sample.manifest.engines]
    later.sort(key=lambda item: item[0])  # Stable: graphs first, engines in the order of the run.
    return [*graphs, *(stage for _, stage in later)]


class Graphs:
    """The graph exported again from the run's weights, and the stored one; each made once, when it is needed."""

    def __init__(self, sample: Sample, network: "nn.Module") -> None:
        self._case, self._network = sample, network

    @cached_property
    def exported(self) -> onnx.ModelProto:
        """As the exporter writes it."""
        from seatrial.export.export_graph import to_onnx

        graph, recipe = self._case.graph, self._case.recipe
        spec = ExportSpec(graph.opset, graph.input.shape[0], "dynamo" if graph.exporter == "dynamo" else "torchscript")
        with tempfile.TemporaryDirectory() as folder:
            return to_onnx(self._network, recipe, spec, Path(folder) / "model.onnx")

    @cached_property
    def simplified(self) -> onnx.ModelProto:
        """The same, simplified if the run's is."""
        return simplify(self.exported) if self._case.graph.simplified else self.exported

    @cached_property
    def stored(self) -> onnx.ModelProto:
        """The run's."""
        return load_graph(self._case.run / "model.onnx", self._case.graph.output.name)

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


def _list_graph_stages(sample: Sample, network: "nn.Module") -> list[Stage]:
    """From torch to the run's own graph."""
    graphs, fp32 = Graphs(sample, network), FLOORS["fp32"]

    def make(
        name: str,
        parent: str | None,
        load: Callable[[], onnx.ModelProto],
        advice: str,
        explain: Callable[[], str] = lambda: "",
    ) -> Stage:
        is_whole = name == FUSED
        return Stage(name, parent, fp32, fp32, lambda: _open_graph(sample, load, is_whole), advice, explain)

    anew = f"delete model.onnx {AGAIN}"
    stages = [make(EXPORT, None, lambda: graphs.exported, "try `seatrial export` with another --exporter or --opset")]
    if sample.graph.simplified:
        stages.append(
            make(SIMPLIFY, EXPORT, lambda: graphs.simplified, "`seatrial export --no-simplify` leaves it out")
        )
    before = stages[-1].name
    stages.append(make(STORED, before, lambda: cut_body(graphs.stored), anew, graphs.explain_body))
    if sample.graph.fused:
        stages.append(make(FUSED, STORED, lambda: graphs.stored, anew, graphs.explain_tail))
    return stages


@contextlib.contextmanager
def _open_graph(sample: Sample, load: Callable[[], onnx.ModelProto], takes_pixels: bool) -> Iterator[Predict]:
    """A graph in onnxruntime, every node as stored."""
    model = load()
    spec = read_facts(model).input
    run_graph = open_graph(model, spec.shape[0])
    free = spec.model_copy(update={"shape": (None, *spec.shape[1:])})

    def predict(part: slice) -> NDArray[np.float32]:
        batch = sample.pixels[part] if takes_pixels else sample.see(part)
        check_batch(batch, free)
        return run_graph(batch)

    yield predict


def _read_derived(sample: Sample) -> dict[str, GraphManifest]:
    """The graphs derived from the run's, with their manifests, by file name; one without is a finding and no stage."""
    manifests = {}
    for path in sorted(sample.run.glob("model-*.onnx")):
        with contextlib.suppress(SeatrialError):
            manifests[path.name] = GraphManifest.load(manifest_path(path))
    return manifests


@dataclass(frozen=True, slots=True)
class _DerivedStages:
    """Stages derived from the run's graph."""

    sample: Sample
    floors: Floors
    derived: dict[str, GraphManifest]
    whole: str
    """The stage that is the graph itself."""

    def describe_graph(self, name: str) -> tuple[int, Stage]:
        """A derived graph, and the place of its precision in the order."""
        sample, manifest = self.sample, self.derived[name]
        # Its name is that of its source and a word more.
        source = name.rpartition("-")[0] + ".onnx"
        precision = manifest.precision
        advice = f"delete {name} {AGAIN}" + ("; `seatrial quantize` can keep layers in float" * (precision == "int8"))
        return PRECISIONS.index(precision), Stage(
            name=name,
            parent=source if source in self.derived else self.whole,
            floor=self.floors.get(precision, source in self.derived),
            whole=self.floors.get(precision),
            open=lambda: _open_graph(sample, lambda: load_graph(sample.run / name), manifest.fused),
            advice=advice,
        )

    def describe_engine(self, name: str) -> tuple[int, Stage]:
        """An engine, and the place of its precision in the order."""
        folder, fp32 = self.sample.run / "engines" / name, self.floors.get("fp32")
        try:
            if not folder.is_dir():
                raise EngineError(f"engines/{name} is missing", "repeat the command in run.json")
            manifest = EngineManifest.load(folder / MANIFEST)
        except SeatrialError as error:
            problem = error
            return 0, Stage(name, self.whole, fp32, fp32, lambda: _fail(problem), "")
        parent, precision = self._find_source(manifest), manifest.precision
        return PRECISIONS.index(precision), Stage(
            name=name,
            parent=parent,
            floor=self.floors.get(precision, parent in self.derived and manifest.graph.precision == precision),
            whole=self.floors.get(precision),
            open=lambda: _open_engine(self.sample, EngineFile(folder, manifest)),
            advice=f"delete engines/{name} {AGAIN}",
        )

    def _find_source(self, manifest: EngineManifest) -> str | None:
        """The stage that an engine was made of; torch rebuilds the network from the weights."""
        if manifest.engine == "torch":
            return None
        if manifest.graph.precision == "fp32":
            return self.whole
        exact = [name for name, graph in self.derived.items() if graph.sha256 == manifest.graph.sha256]
        alike = [name for name, graph in self.derived.items() if graph.precision == manifest.graph.precision]
        return next(iter((*exact, *alike)), self.whole)


def _fail(error: SeatrialError) -> NoReturn:
    raise error


@contextlib.contextmanager
def _open_engine(sample: Sample, file: EngineFile) -> Iterator[Predict]:
    engine = get_engine(file.manifest.engine)
    with engine.open(file, file.manifest.device, sample.batch_size) as session:
        takes_pixels = session.input.dtype == "uint8"
        size = session.input.shape[0] or sample.batch_size

        def predict(part: slice) -> NDArray[np.float32]:
            batch = sample.pixels[part] if takes_pixels else sample.see(part)
            return np.concatenate([run_padded(session, batch[i : i + size]) for i in range(0, len(batch), size)])

        yield predict


def predict_all(sample: Sample, predict: Predict, name: str, progress: Progress) -> NDArray[np.float32]:
    """Logits of all the sample's images, batch by batch."""
    parts, count = [], len(sample.images)
    for start in range(0, count, sample.batch_size):
        parts.append(predict(slice(start, start + sample.batch_size)))
        progress(Update("diagnose", start + len(parts[-1]), count, "images", {"stage": name}))
    return np.concatenate(parts)
