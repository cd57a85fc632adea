"""Where a result came from."""

from collections.abc import Sequence

from seatrial.recipes.schema import Recipe
from seatrial.report.numbers import write_count, write_percent, write_size
from seatrial.report.tables import Column, Table
from seatrial.results.reproduction import judge_reproduction
from seatrial.results.run import describe_reference
from seatrial.results.run_folder import Run
from seatrial.store.records import NO_LABELS, AccuracyRecord, TensorSpec

_FACTS = (Column(""), Column(""))


def make_model(run: Run) -> Table:
    """The recipe, the checkpoint and the published accuracy."""
    recipe, weights, published = run.recipe, run.recipe.weights, run.recipe.reference
    rows = [
        ("Recipe", f"{recipe.name}: {recipe.title}"),
        ("Network", f"{recipe.network.name}, {recipe.network.classes:,} classes"),
        ("Paper", recipe.paper),
        ("Defined in", recipe.source),
        ("Resolved from", recipe.origin),
        ("Reference", describe_reference(recipe)),
        ("Licence of the weights", weights.licence if weights else None),
    ]
    if published:
        top5 = "" if published.top5 is None else f", top-5 {write_percent(published.top5)} %"
        rows.append(("Published accuracy", f"top-1 {write_percent(published.top1)} %{top5}"))
        rows += [("Published by", published.source), ("About it", published.note)]
    if run.preprocessing:
        rows += [("Preprocessing", run.preprocessing.describe()), ("On this Pillow", run.preprocessing.note())]
    accuracy = run.accuracy.get(run.reference)
    if accuracy:
        weights_published = run.checkpoint.published if run.checkpoint else None
        rows.append(("Published figure", _describe_reproduction(recipe, accuracy, weights_published)))
    if run.checkpoint:
        rows += [
            ("Checkpoint", run.checkpoint.source),
            ("sha256 of the file", run.checkpoint.source_sha256),
            ("sha256 of checkpoint.safetensors", run.checkpoint.sha256),
            ("Parameters", write_count(run.checkpoint.parameters)),
            ("Form of the file", run.checkpoint.layout),
            ("Filled in", ", ".join(run.checkpoint.filled)),
        ]
    return _make_facts("Model", rows)


def _describe_reproduction(recipe: Recipe, record: AccuracyRecord, weights_published: bool | None) -> str | None:
    """Whether the published accuracy was reached; None where none was published."""
    if not record.labelled:
        return NO_LABELS if recipe.reference else None
    found = judge_reproduction(recipe, record.hits[0], record.images, weights_published)
    return f"{found.outcome}: {found.reason}" if found else None


def make_graph(run: Run) -> Table:
    """How images become inputs, and what the graph is."""
    rows = [("Preprocessing", ", then ".join(step.describe() for step in run.recipe.preprocess))]
    graph = run.graph
    if graph:
        rows += [
            ("Preprocessing hash", graph.preprocess_hash),
            ("In the graph", "crop, scaling and normalisation" if graph.fused else "none of it"),
            ("Exported by", f"{graph.exporter}, {'simplified' if graph.simplified else 'not simplified'}"),
            ("Weights beside it", ", ".join(graph.data)),
            ("ONNX opset", str(graph.opset)),
            ("Input tensor", describe_tensor(graph.input)),
            ("Output tensor", describe_tensor(graph.output)),
            ("sha256 of model.onnx", graph.sha256),
        ]
    return _make_facts("Preprocessing and graph", rows)


def make_machine(run: Run) -> Table:
    """The machine, the software and the inputs."""
    machine = run.manifest.environment
    rows = [
        ("Processor", f"{machine.cpu}, {machine.cores} usable cores, {write_size(machine.memory_bytes)}"),
        ("Instructions", ", ".join(machine.cpu_flags)),
        ("System", machine.system),
        ("Python", machine.python),
        ("Versions", ", ".join(f"{name} {version}" for name, version in sorted(machine.versions.items()))),
        *((f"Input {path}", f"sha256 {digest}") for path, digest in run.manifest.inputs.items()),
    ]
    return _make_facts("Machine and inputs", rows)


def _make_facts(title: str, rows: Sequence[tuple[str, str | None]]) -> Table:
    return Table(title, "", _FACTS, tuple((name, value) for name, value in rows if value), "")


def describe_tensor(spec: TensorSpec) -> str:
    """An input or output of a graph in words."""
    shape = " × ".join("N" if size is None else str(size) for size in spec.shape)
    return f"{spec.name}: {spec.dtype} {shape} ({spec.layout})"
