"""Where a result came from, and the doubts about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from seatrial.report.doubts import merge_doubts
from seatrial.report.numbers import write_count, write_percent, write_size
from seatrial.report.tables import ENGINE, Column, Table
from seatrial.results.reproduction import judge_reproduction
from seatrial.results.run import describe_reference
from seatrial.results.run_folder import AnyRecord, Run
from seatrial.results.speed import explain_unmeasured
from seatrial.store.records import TensorSpec

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
        found = judge_reproduction(recipe, accuracy.hits[0], accuracy.images, weights_published)
        rows.append(("Published figure", f"{found.outcome}: {found.reason}" if found else None))
    if run.checkpoint:
        rows += [
            ("Checkpoint", run.checkpoint.source),
            ("sha256 of it", run.checkpoint.source_sha256),
            ("sha256 of its weights", run.checkpoint.sha256),
            ("Parameters", write_count(run.checkpoint.parameters)),
            ("Form of the file", run.checkpoint.layout),
            ("Filled in", ", ".join(run.checkpoint.filled)),
        ]
    return _make_facts("Model", rows)


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
            ("Input", describe_tensor(graph.input)),
            ("Output", describe_tensor(graph.output)),
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


def make_doubts(run: Run) -> Table:
    """The doubts about the figures."""
    note = "What the measurements noticed about themselves, and records that do not fit together."
    absent = "None: the measurements noticed nothing about themselves, and the records fit together."
    return Table("Doubts", note, (ENGINE, Column("Doubt")), find_doubts(run), absent)


def find_doubts(run: Run) -> tuple[tuple[str, str], ...]:
    """Each doubt with the engine that it is about: first of measurements, then of records that do not fit together."""
    measured = [(name, doubt) for name, m in run.measurements.items() for doubt in merge_doubts(m.doubts)]
    measured += [
        (name, explain_unmeasured(absent, m)) for name, m in run.measurements.items() for absent in m.unmeasured
    ]
    accuracy, speed = run.accuracy, run.measurements
    most = max((record.images for record in accuracy.values()), default=0)
    measured += [(name, note) for name, engine in run.built.items() for note in engine.notes]
    measured += [(name, doubt) for name, record in accuracy.items() for doubt in record.doubts]
    measured += [
        (name, f"nothing checked whether its predictions are plausible: {record.unchecked}")
        for name, record in accuracy.items()
        if record.unchecked
    ]
    misfits = {
        "its accuracy is that of another number of images": _unlike_first(accuracy, lambda r: r.images),
        "its accuracy is that of another checkpoint": _unlike_first(accuracy, lambda r: r.checkpoint_sha256),
        "its accuracy is that of other image files under the same names": _unlike_first(
            {name: r for name, r in accuracy.items() if r.contents_hash and r.images == most},
            lambda r: r.contents_hash,
        ),
        "its accuracy was reached with another preprocessing": _unlike_first(accuracy, lambda r: r.preprocess_hash),
        "its speed was measured on another machine": _unlike_first(
            speed, lambda m: (m.environment.cpu, m.environment.cores)
        ),
        "its speed was measured with other inputs": _unlike_first(speed, lambda m: m.inputs),
    }
    return (
        *_doubt_records(run),
        *measured,
        *(
            (name, f"{what}, so its figures do not compare with the others'")
            for what, names in misfits.items()
            for name in names
        ),
    )


def _doubt_records(run: Run) -> Iterator[tuple[str, str]]:
    """Records of the folder that are not of this run, or not provably."""
    for path, other in run.stale.items():
        yield "run", f"stale: {path} is of {other} and left out; run it again"
    if run.verdict is not None and not run.verdict.run:
        yield "run", "an older version stored the verdict, without the checksums of what it was judged from"
    if run.checkpoint is not None and run.checkpoint.published is False:
        yield "run", "its weights are not the published file of the card, so the published accuracy is not theirs"
    for name, record in run.accuracy.items():
        if not (run.folder / "evaluation" / record.predictions).is_file():
            yield name, f"its predictions {record.predictions} are missing, so its accuracy was not counted again"


def _unlike_first(records: Mapping[str, AnyRecord], value: Callable[[AnyRecord], object]) -> list[str]:
    """Names whose value is not the first record's."""
    values = {name: value(record) for name, record in records.items()}
    return [name for name, own in values.items() if own != next(iter(values.values()))]
