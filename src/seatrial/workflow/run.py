"""`seatrial run`: from a checkpoint or an ONNX file to a verdict, each stage done once."""

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.bench.measure import Limits
from seatrial.bench.sweep import SweepSpec
from seatrial.compare.gates import judge_gates, judge_same_at_batches
from seatrial.compare.speed_expression import judge_speed
from seatrial.compare.verdict import reach_verdict
from seatrial.data.calibration import check_apart, hash_contents, read_calibration
from seatrial.data.images import LabelledImage, are_labelled, hash_listing
from seatrial.data.labels import spread
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.data.preprocessing.steps import hash_steps
from seatrial.data.unlabelled import read_folder_set
from seatrial.engines.base import Capabilities, EngineFile, GraphFile
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import ParityError, SeatrialError, UsageError
from seatrial.export.spec import ExportSpec, check_opset
from seatrial.machine.environment import read_environment
from seatrial.models.find_weights import find_weights
from seatrial.models.reading import AS_IT_IS, CheckpointReading
from seatrial.models.sources import ResolvedCard, resolve_card
from seatrial.models.sources.onnx import describe_inside
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.results.run import ACCURACY, PREPROCESSING, SPEED, VERDICT, Run, describe_reference
from seatrial.results.summarise import summarise
from seatrial.store.command_line import write_words
from seatrial.store.files import hash_file, hash_value, locked, remove_file, write_text
from seatrial.store.measurement import Measurement
from seatrial.store.preprocessing_proof import PreprocessingProof
from seatrial.store.records import AccuracyRecord, CheckpointManifest, GateResult, GraphManifest, RunManifest, Verdict
from seatrial.store.summary import SUMMARY
from seatrial.workflow.bench import bench_engine, contradict, prepare_pixels
from seatrial.workflow.compile import check_engine, compile_graph, parse_engine
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine
from seatrial.workflow.export import PARITY_IMAGES, export_graph, keep_weights, read_weights
from seatrial.workflow.import_onnx import copy_graph, describe_graph
from seatrial.workflow.quantize import CALIBRATION_IMAGES, QuantizeSpec, quantize_graph

CARD = "card.toml"
"""The card that the model reference led to."""
BATCH_SIZES = (1, 4, 8, 16)
RESULTS = (VERDICT, "report.html", "report.md", "diagnosis.json", SUMMARY)
"""Conclusions from a run's records: they are deleted first when the run's inputs change."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What to put through its sea trial."""

    recipe: str
    """A model reference: a card's name or path, or what `models.sources` resolves."""
    checkpoint: Path | None
    """None: the published weights, where they are stored on this machine, or those in an ONNX file."""
    images: Path
    labels: Path | None
    """None: `images` holds class folders, or nothing but images, and then there are no labels."""
    engines: tuple[str, ...]
    output: Path
    batch_sizes: tuple[int, ...] = ()
    """To measure; empty takes `BATCH_SIZES`, or the batch that an ONNX file is fixed to."""
    bench_duration_s: float = 10.0
    bench_min_samples: int = 50
    evaluate_batch_size: int = 16
    opset: int | None = None
    """None takes the card's."""
    calibration: Path | None = None
    """Images for int8: a folder or a list; none of `images`."""
    measure_again: bool = False
    """Measure also what was measured before, for instance on a busy machine."""
    image_size: int | None = None
    """Height and width in place of the reference's own."""
    classes: int | None = None
    """Of a checkpoint that was trained on others than the published one."""
    like: str | None = None
    """Of a network from a Python or an ONNX file, the reference by which its images are prepared."""
    reading: CheckpointReading = AS_IT_IS
    """What the user says of the checkpoint."""
    unlabelled: bool = False
    """Do without labels, whatever `images` holds."""
    fetch: bool = False
    """Download the published weights where they are not stored."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A spec that passed every check that needs no work."""

    card: ResolvedCard
    source: Path
    """The checkpoint, or the ONNX file."""
    described: GraphManifest | None
    """The ONNX file, where there is one instead of a checkpoint."""
    images: tuple[LabelledImage, ...]
    engines: tuple[BuildSpec, ...]
    """The reference first."""
    calibration: dict[str, int]
    """Sizes by hash of the files that int8 is calibrated with."""

    @property
    def recipe(self) -> Recipe:
        """What the card says."""
        return self.card.recipe

    @property
    def reference(self) -> BuildSpec:
        """The engine that every other one is compared with."""
        return self.engines[0]


def choose_reference(recipe: Recipe) -> BuildSpec:
    """The engine that every other one is compared with: torch, or, of an ONNX file, the file itself in onnxruntime."""
    engine = "onnxruntime" if recipe.network.builder == "onnx" else "torch"
    return BuildSpec(engine, "fp32", label=engine)


def run_pipeline(spec: RunSpec, progress: Progress = silent) -> Verdict:
    """Checkpoint → graph → engines → accuracy → speed → verdict → report, all stored in `spec.output`.

    An ONNX file is its own graph, which is copied, and no torch is needed.

    Results of the same inputs and versions are taken as they are.

    A run that is refused, such as for its checkpoint, leaves `spec.output` as it was. Results of other inputs are
    deleted before `run.json` names those of this run, so that no verdict is ever beside inputs of another.

    Raises:
        SeatrialError: any of its stages' errors; what was finished before stays.
    """
    checked = _check(spec, progress)
    run = spec.output
    spec = _choose_batches(spec, checked.described)
    with locked(run):
        manifest, graph = _make_graph(spec, checked, progress)
        engines = _compile_all(spec, checked, graph, progress)
        accuracies = _evaluate_all(spec, checked, engines, progress)
        measurements = _bench_all(spec, checked, engines, progress)
        gates = judge_gates(checked.recipe, accuracies, measurements)
        judged = reach_verdict(checked.recipe.name, (*gates, *_judge_batches(spec, checked, engines, progress)))
        words = describe_reference(checked.recipe)
        facts = {"run": manifest.identity, "evidence": _hash_evidence(run, checked), "reference": words}
        verdict = judged.model_copy(update=facts)
        verdict.save(run / VERDICT)
        write_report(run, progress)
    return verdict


def _choose_batches(spec: RunSpec, described: GraphManifest | None) -> RunSpec:
    """The spec with batch sizes that the graph takes, where it names none."""
    fixed = None if described is None else described.input.shape[0]
    if fixed is not None:
        return replace(spec, batch_sizes=(fixed,), evaluate_batch_size=fixed)
    return replace(spec, batch_sizes=spec.batch_sizes or BATCH_SIZES)


def _make_graph(spec: RunSpec, checked: _Checked, progress: Progress) -> tuple[RunManifest, GraphFile]:
    """Write `run.json`, and the graph that every engine is built from, exported or copied."""
    run, recipe = spec.output, checked.recipe
    paths = [image.path for image in checked.images]
    graph, stored = run / "model.onnx", run / "checkpoint.safetensors"
    if checked.described is not None:
        manifest = _start_run(spec, checked, checked.described.sha256)
        _prove_card(recipe, paths, run / PREPROCESSING, progress)
        said = f"reference: {describe_reference(recipe)}"
        for note in filter(None, (said, describe_inside(checked.source))):
            progress(Update("graph", note=note))
        return manifest, copy_graph(checked.source, checked.described, graph, progress)
    weights = read_weights(recipe, checked.source, stored, spec.reading)
    described = weights if isinstance(weights, CheckpointManifest) else weights.manifest
    manifest = _start_run(spec, checked, described.source_sha256)
    keep_weights(weights, checked.source, stored, progress)
    _prove_card(recipe, paths, run / PREPROCESSING, progress)
    export = ExportSpec(opset=spec.opset or recipe.graph.opset, fall_back=True)
    exported = export_graph(recipe, stored, graph, export, spread(paths, PARITY_IMAGES), progress)
    return manifest, GraphFile(graph, exported)


def _start_run(spec: RunSpec, checked: _Checked, sha256: str) -> RunManifest:
    manifest = _describe_run(spec, checked, sha256)
    _begin(spec.output, manifest)
    write_text(spec.output / CARD, checked.card.text)
    return manifest


def _prove_card(recipe: Recipe, images: Sequence[Path], output: Path, progress: Progress) -> None:
    """Compare a resolved card's preprocessing with its library's own on some of the images, if one described it.

    Args:
        output: where to store what was found; a proof that is stored there for this card is taken.

    Raises:
        ParityError: they differ.
    """
    from seatrial.evaluation.preprocessing_parity import IMAGES, prove_preprocessing

    proof = None
    with contextlib.suppress(SeatrialError):
        proof = PreprocessingProof.load(output)
    if proof is None or (proof.preprocess, proof.origin) != (hash_steps(recipe.preprocess), recipe.origin):
        proof = prove_preprocessing(recipe, spread(images, IMAGES))
        if proof is None:
            return
        proof.save(output)
    if not proof.holds:
        raise ParityError(
            proof.describe(), "mend the card's preprocess steps; `seatrial recipes make` gives the library's"
        )
    for note in filter(None, (proof.describe(), proof.note())):
        progress(Update("preprocess", note=note))


def write_report(run: Path, progress: Progress = silent) -> tuple[Path, Path, Run]:
    """Write `report.html`, `report.md` and `summary.json` of a run folder; returns the first two and the run.

    Raises:
        UsageError: the folder is no run.
    """
    from seatrial.report.write import write_report as write

    written = html, markdown, found = write(run)
    summarise(found).save(run / SUMMARY)
    progress(Update("report", note=f"{html} and {markdown.name}"))
    return written


def _check(spec: RunSpec, progress: Progress) -> _Checked:
    card = resolve_card(spec.recipe, spec.image_size, spec.like, spec.classes)
    recipe = card.recipe
    images = read_folder_set(spec.images, spec.labels, recipe, spec.unlabelled, progress)
    probed: dict[str, Capabilities] = {}
    choices = [parse_engine(text, probed) for text in spec.engines]
    reference = choose_reference(recipe)
    reference = replace(reference, capabilities=probed.get(reference.engine)).probed()
    engines = (reference, *(choice for choice in choices if _name_kind(choice) != _name_kind(reference)))
    if not choices:
        raise UsageError("--engines names no engine", "write it like onnxruntime,openvino:bf16")
    kinds = [_name_kind(choice) for choice in engines]
    twice = next((choice.label for choice in engines if kinds.count(_name_kind(choice)) > 1), None)
    if twice is not None:
        raise UsageError(f"--engines names '{twice}' twice", "name it once")
    check_engine(reference)
    if recipe.network.builder != "onnx":
        check_opset(ExportSpec(opset=spec.opset or recipe.graph.opset, fall_back=True))
    calibration = _read_calibration(spec, engines, images)
    for text in recipe.gates.speed:
        judge_speed(text, {})  # An unreadable gate is an error before the work, not after it.
    if recipe.network.builder == "onnx":
        return _Checked(card, Path(recipe.network.name), _check_file(spec, recipe), images, engines, calibration)
    # Last, since it may download.
    checkpoint = find_weights(recipe, spec.checkpoint, spec.fetch, progress)
    return _Checked(card, checkpoint, None, images, engines, calibration)


def _check_file(spec: RunSpec, recipe: Recipe) -> GraphManifest:
    """What the card's ONNX file is.

    Raises:
        UsageError: an option is for checkpoints, the file is not the card's, or is fixed to another batch.
        RefusedFile: it is no ONNX file of an image classifier.
    """
    given = {
        "--checkpoint": spec.checkpoint is not None,
        "--opset": spec.opset is not None,
        "--fetch": spec.fetch,
        "--weights": spec.reading.weights is not None,
        "--checkpoint-key": spec.reading.key is not None,
        "--strip-prefix": spec.reading.prefix is not None,
    }
    ignored = next((option for option, is_given in given.items() if is_given), None)
    file = recipe.network.name
    if ignored is not None:
        raise UsageError(f"{ignored} is for a network that is exported, and {file} is a graph already", "leave it out")
    described = describe_graph(Path(file), recipe)
    if recipe.network.sha256 not in (None, described.sha256):
        raise UsageError(f"{file} is not the file that the card names: checksum mismatch", "make the card again")
    if described.precision != "fp32":
        raise UsageError(
            f"{file} computes in {described.precision}, and the reference of a run is the file itself in fp32",
            "run the fp32 file that it was made from, or compile this one: `seatrial compile FILE --recipe CARD`",
        )
    fixed = described.input.shape[0]
    if fixed is not None and spec.batch_sizes not in ((), (fixed,)):
        raise UsageError(
            f"{file} is fixed to batch {fixed}, and --batch-size is {','.join(map(str, spec.batch_sizes))}",
            f"give --batch-size {fixed}, or export the file with a free batch",
        )
    return described


def _name_kind(choice: BuildSpec) -> tuple[str, str, str]:
    return choice.engine, choice.precision, choice.device


def _read_calibration(spec: RunSpec, engines: Sequence[BuildSpec], images: Sequence[LabelledImage]) -> dict[str, int]:
    quantised = next((choice.label for choice in engines if _wants_quantised(choice)), None)
    if spec.calibration is None:
        if quantised is not None:
            raise UsageError(f"'{quantised}' needs calibration images", "give --calibration FOLDER or LIST")
        return {}
    if quantised is None:
        raise UsageError("--calibration is for int8, and --engines names none in int8", "write it like openvino:int8")
    contents = hash_contents(read_calibration(spec.calibration, CALIBRATION_IMAGES))
    check_apart(contents, images)
    return contents


def _wants_quantised(choice: BuildSpec) -> bool:
    """Whether the engine takes int8 from the graph."""
    has = choice.capabilities
    return choice.precision == "int8" and has is not None and "int8" in has.in_graph


def _describe_run(spec: RunSpec, checked: _Checked, sha256: str) -> RunManifest:
    inputs = {str(checked.source): sha256, str(spec.images): hash_listing(checked.images)}
    if spec.labels is not None:
        inputs[str(spec.labels)] = hash_file(spec.labels)
    if spec.calibration is not None:
        inputs[str(spec.calibration)] = hash_value(sorted(checked.calibration))
    checkpoint = checked.source if checked.described is None else None
    settings = {
        "engines": list(spec.engines),
        "batch_sizes": list(spec.batch_sizes),
        "bench_duration_s": spec.bench_duration_s,
        "bench_min_samples": spec.bench_min_samples,
        "evaluate_batch_size": spec.evaluate_batch_size,
        "opset": spec.opset or checked.recipe.graph.opset,
    }
    if not are_labelled(checked.images):
        settings["no_labels"] = True
    return RunManifest(
        recipe=checked.recipe.model_dump(mode="json", exclude_none=True),
        spec=settings,
        command=describe_command(replace(spec, checkpoint=checkpoint)),
        inputs=inputs,
        engines=tuple(choice.label for choice in checked.engines),
        environment=read_environment(),
        checkpoint="" if checkpoint is None else str(checkpoint),
        images=str(spec.images),
        labels=None if spec.labels is None else str(spec.labels),
    )


def _begin(run: Path, manifest: RunManifest) -> None:
    """Write `run.json` with the inputs of this run, once the results of other inputs are deleted."""
    before = None
    with contextlib.suppress(SeatrialError):
        before = RunManifest.load(run / "run.json").identity
    for name in RESULTS if before != manifest.identity else ():
        remove_file(run / name)
    manifest.save(run / "run.json")


def _hash_evidence(run: Path, checked: _Checked) -> dict[str, str]:
    """sha256 of every record that the gates are judged by, by its path in the run folder."""
    names = [choice.label for choice in checked.engines]
    paths = [place.format(name) for place in (ACCURACY, SPEED) for name in names]
    sizes = checked.recipe.gates.same_at_batches
    paths += [f"evaluation/batch-{size}/{name}.json" for size in sizes for name in names]
    return {path: hash_file(run / path) for path in paths}


def describe_command(spec: RunSpec) -> str:
    """The `seatrial run` line that gives this run, also when another verb was the caller."""
    words = write_words(
        "run",
        spec.recipe,
        checkpoint=spec.checkpoint,
        images=spec.images,
        labels=spec.labels,
        no_labels=spec.unlabelled,
        engines=spec.engines,
        batch_size=spec.batch_sizes,
        bench_duration=spec.bench_duration_s,
        bench_samples=spec.bench_min_samples,
        evaluate_batch_size=spec.evaluate_batch_size,
        opset=spec.opset,
        calibration=spec.calibration,
        image_size=spec.image_size,
        classes=spec.classes,
        like=spec.like,
        weights=spec.reading.weights,
        checkpoint_key=spec.reading.key,
        strip_prefix=spec.reading.prefix,
        output=spec.output,
    )
    return shlex.join(words)


def _compile_all(spec: RunSpec, checked: _Checked, graph: GraphFile, progress: Progress) -> dict[str, EngineFile]:
    engines = {}
    proof = spread([image.path for image in checked.images], PARITY_IMAGES)
    int8 = graph
    if spec.calibration is not None:
        path = graph.path.with_name("model-int8.onnx")
        quantised = quantize_graph(graph, QuantizeSpec(spec.calibration, images=checked.images), path, progress)
        int8 = GraphFile(path, quantised)
    for choice in checked.engines:
        build = replace(choice, batch_sizes=_choose_sizes(spec, checked, choice))
        source = int8 if _wants_quantised(choice) else graph
        folder = spec.output / "engines" / choice.label
        engines[choice.label] = compile_graph(source, build, folder, progress, proof)
    return engines


def _choose_sizes(spec: RunSpec, checked: _Checked, choice: BuildSpec) -> tuple[int, ...]:
    """Empty for an engine whose files take any batch; else every size that the run needs."""
    if choice.capabilities is not None and choice.capabilities.free_batch:
        return ()
    gate = checked.recipe.gates.same_at_batches
    return tuple(sorted({*spec.batch_sizes, spec.evaluate_batch_size, *gate}))


def _evaluate_all(
    spec: RunSpec, checked: _Checked, engines: dict[str, EngineFile], progress: Progress
) -> dict[str, AccuracyRecord]:
    folder = spec.output / "evaluation"
    records: dict[str, AccuracyRecord] = {}
    for label, file in engines.items():
        reference = folder / f"{checked.reference.label}.parquet" if records else None
        job = EvaluateSpec(checked.images, spec.evaluate_batch_size, reference)
        records[label] = evaluate_engine(file, job, folder, progress)
    return records


def _judge_batches(
    spec: RunSpec, checked: _Checked, engines: dict[str, EngineFile], progress: Progress
) -> Iterator[GateResult]:
    """The gate `same_at_batches`: every engine is evaluated at each of the batch sizes."""
    sizes = checked.recipe.gates.same_at_batches
    for file in engines.values() if sizes else ():
        records: dict[int, AccuracyRecord] = {}
        for size in sizes:
            first = spec.output / "evaluation" / f"batch-{sizes[0]}" / f"{file.folder.name}.parquet"
            job = EvaluateSpec(checked.images, size, first if records else None)
            folder = spec.output / "evaluation" / f"batch-{size}"
            records[size] = evaluate_engine(file, job, folder, progress)
        yield judge_same_at_batches(records)


def _bench_all(
    spec: RunSpec, checked: _Checked, engines: dict[str, EngineFile], progress: Progress
) -> dict[str, Measurement]:
    pipeline = read_pipeline(next(iter(engines.values())).manifest.graph)
    pixels = prepare_pixels([i.path for i in checked.images], pipeline, spec.output / "bench" / "images.npy")
    limits = Limits(
        duration_s=spec.bench_duration_s,
        min_samples=spec.bench_min_samples,
        # On a busy machine a short measurement would otherwise spend most of its time waiting for calm.
        warmup_budget_s=max(2.0, min(10.0, spec.bench_duration_s)),
    )
    # In one process: a run judges a port; for a speed to be published there is `seatrial bench`.
    job = SweepSpec(batch_sizes=spec.batch_sizes, images=pixels, limits=limits)
    measured = {}
    listing = hash_listing(checked.images)
    for label, file in engines.items():
        place = spec.output / "bench" / f"{label}.json"
        first = bench_engine(file, job, place, progress, spec.measure_again, listing)
        measured[label] = contradict(first, spec.output / "evaluation" / f"{label}.throughput.json")
        if measured[label] != first:
            measured[label].save(place)
    return measured
