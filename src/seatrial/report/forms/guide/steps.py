"""How the run was made, step by step, with the commands that were run."""

from collections.abc import Iterator

from seatrial.printable import make_printable
from seatrial.report.formats import escape, fence
from seatrial.report.forms.guide.blocks import NOTHING, number_steps, tabulate
from seatrial.report.language import retell, say
from seatrial.report.numbers import write_count, write_figures, write_small
from seatrial.report.speed import all_speeds
from seatrial.report.tables import write_precision
from seatrial.results.run_folder import Run
from seatrial.store.atc_build import BUILD, AtcBuild


def write_source_steps(run: Run) -> list[str]:
    """Where the weights are from."""
    facts, weights = run.checkpoint, run.recipe.weights
    network = run.recipe.network
    steps = [
        say("The network is the ONNX file {file}.", file=network.name)
        if network.builder == "onnx"
        else say("The network is built by {builder}.", builder=network.builder)
    ]
    if weights and weights.url:
        steps.append(say("The card's weights: {file} from {url}", file=weights.file, url=weights.url))
    if facts:
        steps.append(say("The checkpoint {file} has sha256 {sha256}.", file=facts.source, sha256=facts.source_sha256))
        if facts.published is not None:
            yes, no = say("It is the published file."), say("It is not the published file.")
            steps.append(yes if facts.published else no)
    return [number_steps([[escape(step)] for step in steps])]


def write_data_steps(run: Run) -> list[str]:
    """The images, the labels, and how an image becomes an input."""
    manifest, folders = run.manifest, say("Labels: the class folders of the images.")
    if manifest.spec.get("no_labels"):
        folders = say("Labels: none.")
    images = max((record.images for record in run.accuracy.values()), default=0)
    what = [
        say("Images: {folder}.", folder=manifest.images or say("not recorded")),
        say("{images} of them were evaluated.", images=write_count(images))
        if images
        else say("Accuracy: not measured."),
        say("Labels: {file}.", file=manifest.labels) if manifest.labels else folders,
    ]
    hashes = [[path, f"sha256 {digest}"] for path, digest in manifest.inputs.items()]
    preprocess = [[str(place), retell(step.describe())] for place, step in enumerate(run.recipe.preprocess, start=1)]
    prepared = say("Each image is prepared by the run itself, in these steps:")
    return [
        number_steps(
            [
                [escape(retell(" ".join(what))), tabulate([say("Input"), say("Checksum")], hashes)],
                [prepared, tabulate([say("Step"), say("What it does")], preprocess)],
            ]
        )
    ]


def write_inference_steps(run: Run) -> list[str]:
    """From the checkpoint to the verdict: the command, the graph and the engines that it made."""
    conversion = say("Conversion: the checkpoint becomes an ONNX graph, which is held against PyTorch.")
    if run.recipe.network.builder == "onnx":
        conversion = say("No conversion: the graph is a copy of the ONNX file, which is the reference in onnxruntime.")
    steps = [
        [say("Run the whole trial. This is the command that was run:"), fence(make_printable(run.manifest.command))],
        [conversion, *_write_graph(run)],
        [say("Each engine is compiled from the graph, and reads back what it was built as."), *_write_engines(run)],
        [escape(_describe_sizes(run))],
    ]
    return [number_steps(steps)]


def _describe_sizes(run: Run) -> str:
    """The batch sizes that there are figures of."""
    evaluated = sorted({record.batch_size for record in run.accuracy.values()})
    timed = sorted({speed.latency.batch_size for speeds in all_speeds(run).values() for speed in speeds})
    sizes = (", ".join(map(str, found)) or say("not measured") for found in (evaluated, timed))
    return say("Batch sizes: accuracy {evaluated}; speed {timed}.", evaluated=next(sizes), timed=next(sizes))


def _write_graph(run: Run) -> Iterator[str]:
    graph = run.graph
    if graph is None:
        yield say("No graph was made.")
        return
    rows = [
        [say("Exporter"), graph.exporter],
        ["ONNX opset", str(graph.opset)],
        [say("Simplified"), say("yes") if graph.simplified else say("no")],
        [say("Preprocessing in the graph"), say("crop, scaling and normalisation") if graph.fused else say("none")],
        ["sha256", graph.sha256],
    ]
    yield tabulate([say("Graph"), say("Value")], rows)
    parity = [
        [step.step, write_count(step.images), write_small(step.relative_error), write_count(step.top1_disagreements)]
        for step in graph.parity
    ]
    if parity:
        header = [say("Step"), say("Images"), say("Relative error"), say("Other first classes")]
        yield tabulate(header, parity, (1, 2, 3))


def _write_engines(run: Run) -> Iterator[str]:
    rows = [
        [
            name,
            f"{built.engine} {built.sdk_version}",
            built.device,
            retell(write_precision(run, name)),
            ", ".join(say("any") if file.batch_size is None else str(file.batch_size) for file in built.files),
            ", ".join(f"{key}={value}" for key, value in built.options.items()) or NOTHING,
            NOTHING if built.compile_s is None else write_figures(built.compile_s),
        ]
        for name, built in run.built.items()
    ]
    names = [say("Engine"), say("Version"), say("Device"), say("Precision"), say("Batch sizes"), say("Options")]
    if rows:
        yield tabulate([*names, say("Compiling, s")], rows, (6,))
    else:
        yield say("No engine was compiled.")
    commands = [line for name in run.built for line in _list_atc_lines(run, name)]
    if commands:
        yield say("ATC was run with these commands, each in the folder of its engine:")
        yield fence("\n".join(commands))


def _list_atc_lines(run: Run, engine: str) -> tuple[str, ...]:
    """The command lines of `atc` that built an engine; none of any other engine."""
    path = run.folder / "engines" / engine / BUILD
    return AtcBuild.load(path).commands if AtcBuild.stands_at(path) else ()
