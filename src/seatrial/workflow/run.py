"""`seatrial run`: from a checkpoint or an ONNX file to a verdict, each stage done once."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from seatrial.compare.gates import judge_gates, judge_same_at_batches
from seatrial.compare.verdict import reach_verdict
from seatrial.data.images import are_labelled, hash_listing
from seatrial.data.labels import spread
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.data.preprocessing.steps import hash_steps
from seatrial.engines.base import EngineFile, GraphFile
from seatrial.errors import ParityError, SeatrialError
from seatrial.evaluation.reference import ReferencePredictions
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.models.sources.huggingface import fetch_description
from seatrial.models.sources.onnx import describe_inside
from seatrial.progress import Progress, Update, silent, write_duration
from seatrial.recipes import Recipe
from seatrial.results.run import ACCURACY, CHOICE, PREPROCESSING, SPEED, VERDICT, Run, describe_reference
from seatrial.results.speed import find_timed_s
from seatrial.results.summarise import measure_size, summarise
from seatrial.store.command_line import write_duration_option
from seatrial.store.files import hash_file, hash_value, locked, remove_file, write_text
from seatrial.store.measurement import Measurement
from seatrial.store.preprocessing_proof import PreprocessingProof
from seatrial.store.records import AccuracyRecord, CheckpointManifest, GateResult, RunManifest
from seatrial.store.stage_times import TIMES, StageClock, StageTime
from seatrial.store.summary import SUMMARY, RunSummary
from seatrial.workflow.bench import bench_engine, contradict, prepare_pixels
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.evaluate import EvaluateSpec, evaluate_engine
from seatrial.workflow.export import export_graph, keep_weights, read_weights
from seatrial.workflow.import_onnx import copy_graph, find_copy
from seatrial.workflow.quantize import QuantizeSpec, quantize_graph
from seatrial.workflow.run_jobs import (
    CHECKPOINT,
    GRAPH,
    INT8,
    PIXELS,
    draw_proof,
    list_sizes,
    make_evaluation,
    make_export,
    make_sweep,
)
from seatrial.workflow.run_plan import plan_checked
from seatrial.workflow.run_spec import CheckedRun, RunSpec, check_run, choose_batches, describe_command, wants_quantised
from seatrial.workflow.time_budget import describe_budget, fit_budget

CARD = "card.toml"
"""The card that the model reference led to."""
RESULTS = (VERDICT, CHOICE, "report.html", "report.md", "diagnosis.json", SUMMARY)
"""Conclusions from a run's records: they are deleted first when the run's inputs change."""


def run_pipeline(spec: RunSpec, progress: Progress = silent) -> Run:
    """Checkpoint → graph → engines → accuracy → speed → verdict → report, all stored in `spec.output`, and read back.

    An ONNX file is its own graph, which is copied, and no torch is needed.

    Results of the same inputs and versions are taken as they are.

    A run that is refused, such as for its checkpoint, leaves `spec.output` as it was. Results of other inputs are
    deleted before `run.json` names those of this run, so that no verdict is ever beside inputs of another.

    Raises:
        SeatrialError: any of its stages' errors; what was finished before stays.
    """
    began = time.perf_counter()
    checked = _check(spec, progress)
    run = spec.output
    spec = choose_batches(spec, checked.described)
    if spec.time_budget_s is not None:
        spec = fit_budget(plan_checked(spec, checked), progress)
    with locked(run):
        clock = StageClock(run / TIMES, checked.recipe.network.name, machine_hash(read_environment()))
        manifest, graph = _make_graph(spec, checked, clock, progress)
        engines = _compile_all(spec, checked, graph, clock, progress)
        accuracies = _evaluate_all(spec, checked, engines, clock, progress)
        measurements = _bench_all(spec, checked, engines, clock, progress)
        built = {name: file.manifest for name, file in engines.items()}
        sizes = {name: measure_size(file.folder, file.manifest) for name, file in engines.items()}
        gates = judge_gates(checked.recipe, accuracies, measurements, built, sizes, checked.gates)
        judged = reach_verdict(checked.recipe.name, (*gates, *_judge_batches(spec, checked, engines, progress)))
        words = describe_reference(checked.recipe)
        facts = {"run": manifest.identity, "evidence": _hash_evidence(run, checked), "reference": words}
        judged.model_copy(update=facts).save(run / VERDICT)
        written = write_report(run, progress, anew=False)[2]
    taken_s = time.perf_counter() - began
    if spec.time_budget_s is not None and taken_s > spec.time_budget_s:
        length = f"{write_duration(taken_s)}, longer than --time-budget {write_duration_option(spec.time_budget_s)}"
        progress(Update("budget", note=f"the run took {length}; the next one knows how long its stages take"))
    return written


def begin_run(spec: RunSpec, progress: Progress = silent) -> None:
    """Check a run, and make its graph and nothing else: for verbs that go on otherwise than `seatrial run`.

    Raises:
        SeatrialError: as `run_pipeline`.
    """
    checked = _check(spec, progress)
    spec = choose_batches(spec, checked.described)
    with locked(spec.output):
        clock = StageClock(spec.output / TIMES, checked.recipe.network.name, machine_hash(read_environment()))
        _make_graph(spec, checked, clock, progress)


def _check(spec: RunSpec, progress: Progress) -> CheckedRun:
    """As `check_run`; what describes a model of the hub is downloaded first, where downloads are wanted."""
    if spec.fetch:
        fetch_description(spec.recipe)
    return check_run(spec, progress)


def _make_graph(
    spec: RunSpec, checked: CheckedRun, clock: StageClock, progress: Progress
) -> tuple[RunManifest, GraphFile]:
    """Write `run.json`, and the graph that every engine is built from, exported or copied."""
    run, recipe = spec.output, checked.recipe
    paths = [image.path for image in checked.images]
    graph, stored = run / GRAPH, run / CHECKPOINT
    if checked.described is not None:
        manifest = _start_run(spec, checked, checked.described.sha256)
        _prove_card(recipe, paths, run / PREPROCESSING, progress)
        said = f"reference: {describe_reference(recipe)}"
        for note in filter(None, (said, describe_inside(checked.source))):
            progress(Update("graph", note=note))
        with clock.time(StageTime(stage="copy", seconds=0), anew=find_copy(checked.described, graph) is None):
            return manifest, copy_graph(checked.source, checked.described, graph, progress)
    progress(Update("checkpoint", doing=f"reading {checked.source.name}"))
    weights = read_weights(recipe, checked.source, stored, spec.reading)
    described = weights if isinstance(weights, CheckpointManifest) else weights.manifest
    manifest = _start_run(spec, checked, described.source_sha256)
    keep_weights(weights, checked.source, stored, progress)
    _prove_card(recipe, paths, run / PREPROCESSING, progress)
    with clock.time(StageTime(stage="export", seconds=0)):
        export = make_export(spec, checked)
        exported = export_graph(recipe, stored, graph, export, draw_proof(checked), progress)
    return manifest, GraphFile(graph, exported)


def _start_run(spec: RunSpec, checked: CheckedRun, sha256: str) -> RunManifest:
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
        progress(Update("preprocess", doing="comparing the card's with the library's own"))
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


def write_report(run: Path, progress: Progress = silent, anew: bool = True) -> tuple[Path, Path, Run]:
    """Write `report.html`, `report.md` and `summary.json` of a run folder; returns the first two and the run.

    Args:
        anew: also where the pages of the same records are there.

    Raises:
        UsageError: the folder is no run.
    """
    from seatrial.report.drawable import explain_no_charts
    from seatrial.report.write import describe_pages
    from seatrial.report.write import write_report as write

    before = None if anew else RunSummary.find(run)
    written = html, markdown, found = write(run, None if before is None else before.pages)
    summarise(found).model_copy(update={"pages": describe_pages(found)}).save(run / SUMMARY)
    progress(Update("report", note=f"{html} and {markdown.name}"))
    if no_charts := explain_no_charts():
        progress(Update("report", note=no_charts))
    return written


def _describe_run(spec: RunSpec, checked: CheckedRun, sha256: str) -> RunManifest:
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
        "bench_precision_pct": spec.bench_precision_pct,
        "bench_min_samples": spec.bench_min_samples,
        "evaluate_batch_size": spec.evaluate_batch_size,
        "opset": spec.opset or checked.recipe.graph.opset,
    }
    if not are_labelled(checked.images):
        settings["no_labels"] = True
    if spec.gates:
        settings["gates"] = list(spec.gates)
    if spec.before_budget is not None:
        settings["time_budget"] = describe_budget(spec.before_budget)
    return RunManifest(
        recipe=checked.recipe.model_dump(mode="json", exclude_none=True),
        spec=settings,
        command=describe_command(replace(spec.before_budget or spec, checkpoint=checkpoint)),
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


def _hash_evidence(run: Path, checked: CheckedRun) -> dict[str, str]:
    """sha256 of every record that the gates are judged by, by its path in the run folder."""
    names = [choice.label for choice in checked.engines]
    paths = [place.format(name) for place in (ACCURACY, SPEED) for name in names]
    sizes = checked.recipe.gates.same_at_batches
    paths += [f"evaluation/batch-{size}/{name}.json" for size in sizes for name in names]
    return {path: hash_file(run / path) for path in paths}


def _compile_all(
    spec: RunSpec, checked: CheckedRun, graph: GraphFile, clock: StageClock, progress: Progress
) -> dict[str, EngineFile]:
    engines = {}
    int8 = graph
    if spec.calibration is not None:
        path = graph.path.with_name(INT8)
        with clock.time(StageTime(stage="quantize", seconds=0)):
            quantised = quantize_graph(graph, QuantizeSpec(spec.calibration, images=checked.images), path, progress)
        int8 = GraphFile(path, quantised)
    for choice in checked.engines:
        build = replace(choice, batch_sizes=list_sizes(spec, checked, choice))
        source = int8 if wants_quantised(choice) else graph
        folder = spec.output / "engines" / choice.label
        with clock.time(StageTime(stage="compile", engine=choice.label, seconds=0)):
            engines[choice.label] = compile_graph(source, build, folder, progress, draw_proof(checked))
    return engines


def _evaluate_all(
    spec: RunSpec, checked: CheckedRun, engines: dict[str, EngineFile], clock: StageClock, progress: Progress
) -> dict[str, AccuracyRecord]:
    folder = spec.output / "evaluation"
    records: dict[str, AccuracyRecord] = {}
    reference = None
    for label, file in engines.items():
        job = make_evaluation(spec, checked, reference)
        stage = StageTime(stage="evaluate", engine=label, seconds=0, images=len(checked.images))
        with clock.time(stage, folder / f".{label}.ledger"):
            records[label] = evaluate_engine(file, job, folder, progress)
        reference = reference or ReferencePredictions.load(folder / f"{label}.parquet", records[label].classes)
    return records


def _judge_batches(
    spec: RunSpec, checked: CheckedRun, engines: dict[str, EngineFile], progress: Progress
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
    spec: RunSpec, checked: CheckedRun, engines: dict[str, EngineFile], clock: StageClock, progress: Progress
) -> dict[str, Measurement]:
    pipeline = read_pipeline(next(iter(engines.values())).manifest.graph)
    pixels = prepare_pixels([i.path for i in checked.images], pipeline, spec.output / PIXELS)
    measured = {}
    listing = hash_listing(checked.images)
    for label, file in engines.items():
        job = make_sweep(spec.of_engine(label), pixels)
        points, duration_s = len(job.batch_sizes), job.limits.duration_s or 0.0
        place = spec.output / "bench" / f"{label}.json"
        stage = StageTime(stage="bench", engine=label, seconds=0, points=points, duration_s=duration_s)
        with clock.time(stage, place.with_name(f".{label}.points"), spec.measure_again) as facts:
            first = bench_engine(file, job, place, progress, spec.measure_again, listing)
            facts["timed_s"] = find_timed_s(first)
        measured[label] = contradict(first, spec.output / "evaluation" / f"{label}.throughput.json")
        if measured[label] != first:
            measured[label].save(place)
    return measured
