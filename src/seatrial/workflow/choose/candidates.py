"""The candidates of a choice: engines in precisions, compiled, and evaluated when their turn comes."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from seatrial.compare.gates import judge_gates
from seatrial.compare.quantities import QUANTITIES
from seatrial.data.images import LabelledImage, are_labelled
from seatrial.data.labels import spread
from seatrial.engines.base import EngineFile, GraphFile
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import EngineError, ParityError, SeatrialError
from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.executor import EvaluateSpec, LocalExecutor
from seatrial.evaluation.find_evaluated import load_evaluated
from seatrial.evaluation.reference import ReferencePredictions, compare_with
from seatrial.evaluation.sequential import ALPHA, visit_order
from seatrial.evaluation.statistics import Paired
from seatrial.metrics.inequality import EACH, list_terms
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.schema import Gates
from seatrial.report.headline import PLAUSIBLE
from seatrial.results.run import ENGINE
from seatrial.results.summarise import measure_size
from seatrial.store.records import WORST_FIRST, AccuracyRecord, Comparison, EngineManifest
from seatrial.workflow.choose.contenders import Judged
from seatrial.workflow.choose.spec import Subject
from seatrial.workflow.compile import compile_graph, label_engine, parse_engine
from seatrial.workflow.evaluate import evaluate_engine, prepare_evaluation
from seatrial.workflow.export import PARITY_IMAGES
from seatrial.workflow.quantize import QuantizeSpec, quantize_graph
from seatrial.workflow.run_jobs import INT8
from seatrial.workflow.run_spec import choose_reference, wants_quantised

FOLDER = "choose"
"""In the run folder: what is only of the choice."""
MIXED = "model-int8-mixed.onnx"
MIXED_SHARE, MOST_TO_MIX = 0.25, 2000
"""Of the images, which choose the layers that stay in float; the others judge the result."""
MIXED_LIMIT = 0.5
"""Share of the limit that the drop on those images may take, so that on the others it is likely within the limit."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine in a precision."""

    build: BuildSpec
    graph: GraphFile
    file: EngineFile | None = None
    """None where it could not be compiled."""
    problem: str = ""
    """Why not."""
    mixed: bool = False
    """Of int8 with layers in float."""
    reference: bool = False
    """It is what the others are compared with."""

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.build.label


class Candidates:
    """All candidates of a subject by name, in the order of the request; others may come in the place of some."""

    def __init__(self, subject: Subject, progress: Progress) -> None:
        self._subject, self._progress = subject, progress
        self._own = subject.folder / FOLDER
        self._proof = spread([image.path for image in subject.images], PARITY_IMAGES)
        self._mixed: tuple[GraphFile, tuple[LabelledImage, ...]] | str | None = None
        self._reference: ReferencePredictions | None = None
        self.by_name: dict[str, Candidate] = {}
        self.records: dict[str, AccuracyRecord] = {}
        """Of those that were evaluated."""

    def compile(self, texts: tuple[str, ...]) -> None:
        """Compile all of them; one that cannot be is kept with the reason.

        Raises:
            SeatrialError: the graph cannot be quantised.
        """
        reference, probed = choose_reference(self._subject.recipe).probed(), {}
        if reference.capabilities is not None:
            probed[reference.engine] = reference.capabilities
        builds = [parse_engine(text, probed) for text in texts]
        known = self._name_known()
        int8 = self._quantise() if any(map(wants_quantised, builds)) else self._subject.graph
        for text, build in zip(texts, builds, strict=True):
            kind = (build.engine, build.precision, build.device)
            named = replace(build, label=known.get(kind, label_engine(text)))
            graph = int8 if wants_quantised(build) else self._subject.graph
            is_reference = kind == (reference.engine, reference.precision, reference.device)
            self._add(Candidate(named, graph, reference=is_reference))

    @property
    def can_mix(self) -> int:
        """How many candidates may come in the place of others."""
        return sum(self._is_mixable(each) for each in self.by_name.values())

    def judge(self, name: str) -> Judged:
        """Whether a candidate keeps the accuracy, evaluated no further than that takes.

        One whose outputs are wrong does not, and of one that fails to run nothing is known.

        Raises:
            SeatrialError: the reference or an image is not as it must be.
        """
        candidate, subject = self.by_name[name], self._subject
        assert candidate.file is not None
        reference = self.evaluate_reference()
        try:
            record = self._evaluate(candidate, candidate.file, reference)
        except ParityError as error:
            return Judged("FAIL", error.problem)
        except EngineError as error:
            return Judged("INCONCLUSIVE", error.problem)
        self.records[name] = record
        return judge_candidate(subject.recipe, record, reference.record, subject.limit_pp, self._alpha)

    def mix(self, name: str) -> Candidate | None:
        """The same engine with a graph of which some layers stay in float; None where that would not help."""
        candidate = self.by_name[name]
        if not self._is_mixable(candidate) or not may_mend(self.records.get(name), self._subject.limit_pp):
            return None
        mixed = self._make_mixed()
        if mixed is None:
            return None
        build = replace(candidate.build, label=f"{candidate.name}-mixed")
        return self._add(Candidate(build, mixed, mixed=True))

    def measure_size(self, name: str) -> int | None:
        """Bytes of all files of an engine; None where it could not be compiled."""
        file = self.by_name[name].file
        return None if file is None else measure_size(file.folder, file.manifest)

    @property
    def _alpha(self) -> float:
        """The chance that the verdict of one candidate may be wrong, so that all together keep to `ALPHA`."""
        plain = sum(not each.mixed for each in self.by_name.values())
        return ALPHA / (plain + self.can_mix)

    def _is_mixable(self, candidate: Candidate) -> bool:
        subject = self._subject
        able = wants_quantised(candidate.build) and not candidate.mixed and are_labelled(subject.images)
        return able and subject.calibration is not None

    def _name_known(self) -> dict[tuple[str, str, str], str]:
        """What the run calls the engines that it compiled."""
        known = {}
        for label in self._subject.manifest.engines:
            with suppress(SeatrialError):
                built = EngineManifest.load(self._subject.folder / ENGINE.format(label))
                known[(built.engine, built.precision, built.device)] = label
        reference = choose_reference(self._subject.recipe)
        return {**known, (reference.engine, reference.precision, reference.device): reference.label}

    def _add(self, candidate: Candidate) -> Candidate:
        subject, build = self._subject, candidate.build
        free = build.capabilities is not None and build.capabilities.free_batch
        sizes = () if free else tuple(sorted({*subject.batch_sizes, subject.evaluate_batch_size}))
        # The run's own folder only where this is what the run would put there.
        shared = free and candidate.name in subject.manifest.engines and self._is_graph_of_run(candidate.graph)
        folder = (subject.folder if shared else self._own) / "engines" / candidate.name
        try:
            sized = replace(build, batch_sizes=sizes)
            file = compile_graph(candidate.graph, sized, folder, self._progress, self._proof)
            candidate = replace(candidate, file=file)
        except SeatrialError as error:
            self._progress(Update("compile", note=f"{candidate.name}: not compiled: {error.problem}"))
            candidate = replace(candidate, problem=error.problem)
        self.by_name[candidate.name] = candidate
        return candidate

    def _is_graph_of_run(self, graph: GraphFile) -> bool:
        return graph.path.parent.resolve() == self._subject.folder.resolve()

    def _quantise(self) -> GraphFile:
        subject = self._subject
        assert subject.calibration is not None
        path = (subject.folder if subject.own_calibration else self._own) / INT8
        job = QuantizeSpec(subject.calibration, images=subject.images)
        path.parent.mkdir(parents=True, exist_ok=True)
        return GraphFile(path, quantize_graph(subject.graph, job, path, self._progress))

    def _make_mixed(self) -> GraphFile | None:
        """The int8 graph with layers in float, made once; None where none keeps the accuracy."""
        subject = self._subject
        assert subject.calibration is not None
        if self._mixed is None:
            chosen, others = split_images(subject.images)
            limit_pp = MIXED_LIMIT * subject.limit_pp
            job = QuantizeSpec(subject.calibration, images=chosen, max_drop_pp=limit_pp)
            path = self._own / MIXED
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                made = quantize_graph(subject.graph, job, path, self._progress)
                kept = made.calibration is not None and made.calibration.kept_float
                self._mixed = (GraphFile(path, made), others) if kept else "int8 needs no layer in float"
            except SeatrialError as error:
                self._mixed = error.problem
                self._progress(Update("quantize", note=f"no int8 with layers in float: {error.problem}"))
        return None if isinstance(self._mixed, str) else self._mixed[0]

    def evaluate_reference(self) -> ReferencePredictions:
        """The predictions that all others are compared with, evaluated where a run has not done it.

        Raises:
            SeatrialError: as compiling and evaluating.
        """
        if self._reference is None:
            subject = self._subject
            reference = choose_reference(subject.recipe).probed()
            folder = subject.folder / "engines" / reference.label
            file = compile_graph(subject.graph, reference, folder, self._progress, self._proof)
            evaluated, job = subject.folder / "evaluation", EvaluateSpec(subject.images, subject.evaluate_batch_size)
            record = evaluate_engine(file, job, evaluated, self._progress)
            path = evaluated / f"{reference.label}.parquet"
            self._reference = ReferencePredictions.load(path, record.classes)
        return self._reference

    def _evaluate(self, candidate: Candidate, file: EngineFile, reference: ReferencePredictions) -> AccuracyRecord:
        subject = self._subject
        images = subject.images
        if candidate.reference and reference.record is not None:
            return reference.record
        if candidate.mixed and isinstance(self._mixed, tuple):
            images = self._mixed[1]
        job = EvaluateSpec(images, subject.evaluate_batch_size, reference)
        known = self._find_evaluated(file, job)
        if known is not None:
            return known
        if are_labelled(images) and not _needs_all(subject.recipe.gates):
            job = replace(job, until_pp=subject.limit_pp, until_alpha=self._alpha)
        return evaluate_engine(file, job, self._own / "evaluation", self._progress)

    def _find_evaluated(self, file: EngineFile, job: EvaluateSpec) -> AccuracyRecord | None:
        """What the run itself found of an engine on all images, if it is current."""
        with suppress(SeatrialError):
            evaluation = prepare_evaluation(file, job, silent, LocalExecutor())
            folder = self._subject.folder / "evaluation"
            found = load_evaluated(folder, evaluation.name, evaluation.key, False, silent)
            if found is not None and evaluation.reference is not None:
                return compare_with(evaluation.reference, found[1], found[0])
        return None


def may_mend(record: AccuracyRecord | None, limit_pp: float) -> bool:
    """Whether layers in float may make up for what int8 lost: not where it lost little and too few images prove it."""
    versus = None if record is None else record.versus
    return versus is None or versus.drop_pp > MIXED_LIMIT * limit_pp


def split_images(
    images: tuple[LabelledImage, ...],
) -> tuple[tuple[LabelledImage, ...], tuple[LabelledImage, ...]]:
    """A random part that chooses layers, and the others, which judge: none is in both."""
    order = visit_order([image.id for image in images])
    count = min(MOST_TO_MIX, round(MIXED_SHARE * len(images)))
    chosen = {*order[:count]}
    return (
        tuple(image for place, image in enumerate(images) if place in chosen),
        tuple(image for place, image in enumerate(images) if place not in chosen),
    )


def _needs_all(gates: Gates) -> bool:
    """Whether a card has gates on accuracy besides the drop, which are judged on all images."""
    limits = (gates.changed_share, gates.agreement, gates.published_relative_drop)
    return any(limit is not None for limit in limits) or bool(
        gates.at_least_published or gates.metrics or list_required(gates)
    )


def list_required(gates: Gates) -> tuple[str, ...]:
    """The expressions of a card that are about the accuracy of any engine, not of one by its name in a run."""
    return tuple(text for text in gates.require if _is_judged(text))


def _is_judged(text: str) -> bool:
    terms = list_terms(text)
    kinds = {QUANTITIES[term.quantity].kind for term in terms if term.quantity in QUANTITIES}
    return all(term.engine == EACH for term in terms) and (not kinds or "accuracy" in kinds)


def list_unjudged(gates: Gates, of_run: Sequence[str] = ()) -> tuple[str, ...]:
    """What is required and a choice does not judge: gates on speed, resources and batch sizes, on engines by name.

    Args:
        of_run: expressions that the run was given beside those of its card.
    """
    named = [text for text in gates.require if text not in list_required(gates)]
    batches = [f"same_at_batches {gates.same_at_batches}"] if gates.same_at_batches else []
    return (*gates.speed, *named, *batches, *of_run)


def judge_candidate(
    recipe: Recipe, record: AccuracyRecord, reference: AccuracyRecord | None, limit_pp: float, alpha: float
) -> Judged:
    """Every gate on accuracy of a card, with the drop that is allowed; the worst decides.

    Args:
        reference: its evaluation, which may be `record` itself.
        alpha: the chance that the verdict on the drop may be wrong, on each side.
    """
    changes = {"reference_drop_pp": limit_pp, "require": list_required(recipe.gates), "speed": ()}
    recipe = recipe.model_copy(update={"gates": recipe.gates.model_copy(update=changes)})
    if record.versus is not None and record.early_stopping is None:
        record = record.model_copy(update={"versus": _widen(record.versus, alpha)})
    records = {each.name: each for each in (reference, record) if each is not None}
    results = [gate for gate in judge_gates(recipe, records, {}) if gate.kind == "accuracy"]
    # What speaks against believing the reference leaves every candidate open: what is at chance cannot lose.
    results = [gate for gate in results if gate.engine == record.name or gate.gate == PLAUSIBLE]
    if record.compared is None:
        bad = [gate for gate in results if gate.outcome != "PASS"]
        return Judged(bad[0].outcome, bad[0].reason) if bad else Judged("PASS", "it is the reference itself")
    worst = min(results, key=lambda gate: WORST_FIRST.index(gate.outcome))
    return Judged(worst.outcome, worst.reason)


def _widen(versus: Comparison, alpha: float) -> Comparison:
    """A comparison with bounds that err in no more than `alpha` each."""
    wrong = versus.images - versus.both_right - versus.lost - versus.gained
    paired = Paired(versus.both_right, versus.lost, versus.gained, wrong)
    low, high = drop_interval(paired, 1 - alpha)
    return versus.model_copy(update={"low_pp": 100 * low, "high_pp": 100 * high, "confidence": 1 - alpha})


def describe_graph_path(subject: Subject, candidate: Candidate) -> str:
    """Where the graph of a candidate is, in the run folder."""
    return str(candidate.graph.path.resolve().relative_to(subject.folder.resolve()))
