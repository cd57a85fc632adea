"""What a run would do: which of its stages are done already, and how long the others took on this machine before."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from seatrial.engines.base import EngineFile, GraphFile
from seatrial.errors import SeatrialError, UsageError
from seatrial.evaluation.executor import LocalExecutor
from seatrial.evaluation.find_evaluated import load_evaluated
from seatrial.evaluation.reference import ReferencePredictions
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.models.find_weights import find_weights
from seatrial.models.known_hash import check_known
from seatrial.progress import Progress, silent
from seatrial.recipes import Recipe
from seatrial.store.records import AccuracyRecord
from seatrial.store.stage_cache import watching
from seatrial.store.stage_times import TIMES, LatestStageTimes, StageTime
from seatrial.workflow.bench import find_measured
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.evaluate import prepare_evaluation
from seatrial.workflow.export import export_graph, find_weights_of
from seatrial.workflow.import_onnx import find_copy
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
from seatrial.workflow.run_spec import CheckedRun, RunSpec, check_run, choose_batches, wants_quantised

MOST_RUNS = 100
"""Run folders beside this one whose times are read, the newest first."""


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of a run."""

    stage: str
    engine: str
    """Empty of a stage that is of no engine."""
    done: bool
    seconds: float | None = None
    """That it may take; None where that is not known. 0 where it is done."""
    source: str = ""
    """The run folder whose time this is."""
    what: str = ""
    """What it works on, in a few words."""
    repeats: int = 1
    """Times that it is done, such as once for each batch size."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The stages of a run in their order."""

    stages: tuple[PlannedStage, ...]
    spec: RunSpec
    """With the batch sizes that were left open."""
    checked: CheckedRun

    @property
    def seconds(self) -> float:
        """Of the stages that are left and whose time is known."""
        return sum(stage.seconds or 0.0 for stage in self.stages)

    @property
    def unknown(self) -> tuple[PlannedStage, ...]:
        """Those that are left and whose time is not known."""
        return tuple(stage for stage in self.stages if stage.seconds is None)


class _NotDone(Exception):
    """A stage has no result yet."""


@contextmanager
def _looking() -> Iterator[None]:
    """End every stage that would begin to work with `_NotDone`."""

    def watch(stage: str, found: bool) -> None:
        if not found:
            raise _NotDone

    with watching(watch):
        yield


def plan_run(spec: RunSpec, progress: Progress = silent) -> RunPlan:
    """Find what of a run is done, and estimate the rest by the times that runs on this machine have stored.

    Nothing is written, downloaded or measured. A stage whose inputs are not there yet is to do.

    Raises:
        SeatrialError: what the run itself would find wrong before any work.
    """
    absent: list[str] = []

    def find(recipe: Recipe, given: Path | None, fetch: bool, progress: Progress) -> Path:
        try:
            return find_weights(recipe, given, False, progress)
        except UsageError:
            if given is not None or not fetch:
                raise
            absent.append(recipe.weights.file if recipe.weights else "")
            return Path(absent[0])

    return plan_checked(spec, check_run(spec, progress, find), absent[0] if absent else "")


def plan_checked(spec: RunSpec, checked: CheckedRun, absent: str = "") -> RunPlan:
    """The plan of a run that was checked; `absent` are weights that are still to be downloaded."""
    spec = choose_batches(spec, checked.described)
    stages = [PlannedStage("fetch", "", False, what=absent)] if absent else []
    stages += _Finder(spec, checked).plan(weights_there=not absent)
    estimates = read_estimates(spec.output, checked.recipe.network.name)
    return RunPlan(tuple(_estimate(stage, spec, checked, estimates) for stage in stages), spec, checked)


class _Finder:
    """Looks for the results of a run, each of which needs those before it."""

    def __init__(self, spec: RunSpec, checked: CheckedRun) -> None:
        self._spec, self._checked, self._run = spec, checked, spec.output

    def plan(self, weights_there: bool) -> Iterator[PlannedStage]:
        checked, spec = self._checked, self._spec
        graph = self._find_graph() if weights_there else None
        yield PlannedStage("export" if checked.described is None else "copy", "", graph is not None, what=GRAPH)
        int8 = graph
        if spec.calibration is not None:
            int8 = None if graph is None else self._find_quantised(graph)
            yield PlannedStage("quantize", "", int8 is not None, what=INT8)
        built: dict[str, EngineFile | None] = {}
        for choice in checked.engines:
            source = int8 if wants_quantised(choice) else graph
            build = replace(choice, batch_sizes=list_sizes(spec, checked, choice))
            folder = self._run / "engines" / choice.label
            with suppress(_NotDone), _looking():
                if source is not None:
                    built[choice.label] = compile_graph(source, build, folder, silent, draw_proof(checked))
            yield PlannedStage("compile", choice.label, choice.label in built)
        yield from self._plan_evaluations(built)
        yield from self._plan_measurements(built)

    def _find_graph(self) -> GraphFile | None:
        checked, graph = self._checked, self._run / GRAPH
        if checked.described is not None:
            return find_copy(checked.described, graph)
        stored, recipe = self._run / CHECKPOINT, checked.recipe
        if find_weights_of(recipe, check_known(checked.source, recipe), stored, self._spec.reading) is None:
            return None
        export = make_export(self._spec, checked)
        with suppress(_NotDone), _looking():
            return GraphFile(graph, export_graph(recipe, stored, graph, export, draw_proof(checked)))
        return None

    def _find_quantised(self, graph: GraphFile) -> GraphFile | None:
        path = self._run / INT8
        assert self._spec.calibration is not None
        job = QuantizeSpec(self._spec.calibration, images=self._checked.images)
        with suppress(_NotDone), _looking():
            return GraphFile(path, quantize_graph(graph, job, path))
        return None

    def _plan_evaluations(self, built: Mapping[str, EngineFile | None]) -> Iterator[PlannedStage]:
        checked, spec = self._checked, self._spec
        reference: ReferencePredictions | None = None
        sizes = checked.recipe.gates.same_at_batches
        what = f"{len(checked.images)} images"
        for number, choice in enumerate(checked.engines):
            folder = self._run / "evaluation"
            file = built.get(choice.label)
            found = None
            if file is not None and (number == 0 or reference is not None):
                found = self._find_evaluated(file, spec.evaluate_batch_size, reference, folder)
            if number == 0 and found is not None:
                reference = ReferencePredictions.load(folder / f"{choice.label}.parquet", found.classes)
            yield PlannedStage("evaluate", choice.label, found is not None, what=what)
        for choice in checked.engines if sizes else ():
            done = built.get(choice.label) is not None and all(
                (self._run / "evaluation" / f"batch-{size}" / f"{choice.label}.json").is_file() for size in sizes
            )
            batches = f"{what} at batch {', '.join(map(str, sizes))}"
            yield PlannedStage("evaluate", choice.label, done, what=batches, repeats=len(sizes))

    def _find_evaluated(
        self, file: EngineFile, batch_size: int, reference: ReferencePredictions | None, folder: Path
    ) -> AccuracyRecord | None:
        job = make_evaluation(replace(self._spec, evaluate_batch_size=batch_size), self._checked, reference)
        with suppress(_NotDone, SeatrialError), _looking():
            evaluation = prepare_evaluation(file, job, silent, LocalExecutor())
            found = load_evaluated(folder, evaluation.name, evaluation.key, False, silent)
            return None if found is None else found[0]
        return None

    def _plan_measurements(self, built: Mapping[str, EngineFile | None]) -> Iterator[PlannedStage]:
        pixels = self._run / PIXELS
        for choice in self._checked.engines:
            spec = self._spec.of_engine(choice.label)
            job = make_sweep(spec, pixels)
            most = "up to " if spec.bench_precision_pct else ""
            what = f"batch {', '.join(map(str, spec.batch_sizes))} for {most}{spec.bench_duration_s:g} s each"
            file, done = built.get(choice.label), False
            if file is not None and pixels.is_file() and not self._spec.measure_again:
                with suppress(_NotDone), _looking():
                    done = find_measured(file, job, self._run / "bench" / f"{choice.label}.json") is not None
            yield PlannedStage("bench", choice.label, done, what=what)


Estimates = Mapping[tuple[str, str], tuple[StageTime, str]]
"""The newest time of each stage and engine, and the run folder that it is of."""


def read_estimates(output: Path, network: str) -> Estimates:
    """The times that this machine stored of a network, in a run folder and in those beside it."""
    machine = machine_hash(read_environment())
    found: dict[tuple[str, str], tuple[StageTime, str]] = {}
    beside = output.resolve().parent.glob(f"*/{TIMES}")
    paths = sorted(beside, key=lambda path: path.stat().st_mtime, reverse=True)[:MOST_RUNS]
    for path in [output / TIMES, *paths]:
        with suppress(SeatrialError):
            times = LatestStageTimes.load(path)
            if (times.network, times.machine) == (network, machine):
                for stage in times.stages:
                    found.setdefault((stage.stage, stage.engine), (stage, str(output.parent / path.parent.name)))
    return found


def _estimate(stage: PlannedStage, spec: RunSpec, checked: CheckedRun, estimates: Estimates) -> PlannedStage:
    if stage.done:
        return replace(stage, seconds=0.0)
    found = estimates.get((stage.stage, stage.engine))
    if found is None:
        return stage
    time, source = found
    seconds = time.seconds
    if time.images:
        seconds *= stage.repeats * len(checked.images) / time.images
    if time.points:
        seconds = len(spec.batch_sizes) * time.estimate_point(spec.bench_duration_s)
    return replace(stage, seconds=seconds, source=source)
