"""What `seatrial run` is to do, and the checks that need no work, so that what is wrong is an error before all else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from seatrial.compare.gate_expression import GateScope, check_gates, list_aliases, read_gate
from seatrial.data.calibration import check_apart, hash_contents, read_calibration
from seatrial.data.images import LabelledImage
from seatrial.data.unlabelled import read_folder_set
from seatrial.engines.base import Capabilities
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import UsageError
from seatrial.export.spec import ExportSpec, check_opset
from seatrial.foreign.files import is_regular
from seatrial.metrics.inequality import Inequality
from seatrial.models.find_weights import find_weights
from seatrial.models.reading import AS_IT_IS, CheckpointReading
from seatrial.models.sources import ResolvedCard, resolve_card
from seatrial.progress import Progress
from seatrial.recipes import Recipe
from seatrial.recipes.load import read_card
from seatrial.store.command_line import join_words, write_duration_option, write_words
from seatrial.store.records import GraphManifest
from seatrial.workflow.class_names import name_by_set, name_trained
from seatrial.workflow.compile import check_engine, check_foreign, label_engine, parse_engine
from seatrial.workflow.import_onnx import describe_graph
from seatrial.workflow.quantize import CALIBRATION_IMAGES

BATCH_SIZES = (1, 4, 8, 16)
FindWeights = Callable[[Recipe, Path | None, bool, Progress], Path]
"""As `models.find_weights.find_weights`."""


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
    """Most seconds of timing a point, unless samples are lacking."""
    bench_precision_pct: float = 2.5
    """Timing a point ends once half its rate's interval is within so many percent of it; 0 takes the whole time."""
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
    gates: tuple[str, ...] = ()
    """Expressions (docs/gates.md) beside those of the card."""
    time_budget_s: float | None = None
    """Measure at so many of the batch sizes, and for so long of `bench_duration_s`, that the run takes no longer."""
    before_budget: "RunSpec | None" = None
    """As it was requested, where a budget shortened it."""
    measured_as: Mapping[str, "RunSpec"] = field(default_factory=dict)
    """What an engine was measured by that is measured already and no less; a budget keeps such records."""

    def of_engine(self, label: str) -> "RunSpec":
        """The batch sizes and times that an engine is measured by."""
        return self.measured_as.get(label, self)


@dataclass(frozen=True, slots=True)
class CheckedRun:
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
    gates: tuple[Inequality, ...]
    """Of the card's `require` and of the spec."""

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
        bench_precision=spec.bench_precision_pct,
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
        gate=list(spec.gates),
        time_budget=None if spec.time_budget_s is None else write_duration_option(spec.time_budget_s),
        output=spec.output,
    )
    return join_words(words)


def check_run(spec: RunSpec, progress: Progress, find: FindWeights = find_weights) -> CheckedRun:
    """Check everything that can be checked before any work; last, weights may be downloaded.

    Args:
        find: what finds the weights.

    Raises:
        SeatrialError: what is wrong.
    """
    if spec.labels is not None and spec.labels.is_fifo():
        shown = f"--labels {spec.labels} is a pipe, which can be read once, and a run reads its labels again"
        raise UsageError(shown, "write them to a file and give that")
    card = resolve_card(spec.recipe, spec.image_size, spec.like, spec.classes)
    engines = _choose_engines(spec, card.recipe)
    card = name_trained(card, spec.checkpoint)
    images = read_folder_set(spec.images, spec.labels, card.recipe, spec.unlabelled, progress)
    card = name_by_set(card, images, progress)
    recipe = card.recipe
    if recipe.network.builder != "onnx":
        check_opset(ExportSpec(opset=spec.opset or recipe.graph.opset, fall_back=True))
    calibration = _read_calibration(spec, engines, images)
    described = _check_file(spec, recipe) if recipe.network.builder == "onnx" else None
    gates = _check_gates(spec, recipe, engines, described)
    # Last, since it may download.
    source = find(recipe, spec.checkpoint, spec.fetch, progress) if described is None else Path(recipe.network.name)
    return CheckedRun(card, source, described, images, engines, calibration, gates)


def choose_batches(spec: RunSpec, described: GraphManifest | None) -> RunSpec:
    """The spec with batch sizes that the graph takes, where it names none."""
    fixed = None if described is None else described.input.shape[0]
    if fixed is not None:
        return replace(spec, batch_sizes=(fixed,), evaluate_batch_size=fixed)
    return replace(spec, batch_sizes=spec.batch_sizes or BATCH_SIZES)


def _choose_engines(spec: RunSpec, recipe: Recipe) -> tuple[BuildSpec, ...]:
    """What to compile for, the reference first.

    Raises:
        UsageError: there is no such engine, none, one twice, or one that the card's ONNX file cannot be taken to.
        EngineError: it is not installed, or has no such device or precision.
    """
    probed: dict[str, Capabilities] = {}
    choices = [parse_engine(text, probed) for text in spec.engines]
    for choice in choices if recipe.network.builder == "onnx" else ():
        check_foreign(choice, recipe.network.name)
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
    return engines


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


def _check_gates(
    spec: RunSpec, recipe: Recipe, engines: Sequence[BuildSpec], described: GraphManifest | None
) -> tuple[Inequality, ...]:
    """The expressions that are to hold.

    Raises:
        UsageError: one cannot be read, or names what the run does not have.
    """
    for text in (*recipe.gates.speed, *recipe.gates.require):
        with _naming_card(spec.recipe, text):
            read_gate(text)
    names = tuple(choice.label for choice in engines)
    # What is not among them is the reference in other words, such as torch:fp32.
    aliases = list_aliases({each.label: (each.engine, each.precision, each.device) for each in engines})
    aliases |= {text: label if (label := label_engine(text)) in names else names[0] for text in spec.engines}
    scope = GateScope(names, names[0], choose_batches(spec, described).batch_sizes, aliases)
    required: list[Inequality] = []
    for text in recipe.gates.require:
        with _naming_card(spec.recipe, text):
            required += check_gates([text], scope)
    return (*required, *check_gates(spec.gates, scope))


@contextmanager
def _naming_card(reference: str, gate: str) -> Iterator[None]:
    """Say of a gate that is refused which card it is in, and on which line."""
    try:
        yield
    except UsageError as error:
        card = Path(reference)
        if not is_regular(card):
            raise UsageError(f"card {reference}: {error.problem}", error.fix) from None
        lines = read_card(card)[0].splitlines()
        line = next((f":{number}" for number, text in enumerate(lines, start=1) if gate in text), "")
        raise UsageError(f"{card}{line}: {error.problem}", error.fix) from None


def _name_kind(choice: BuildSpec) -> tuple[str, str, str]:
    return choice.engine, choice.precision, choice.device


def _read_calibration(spec: RunSpec, engines: Sequence[BuildSpec], images: Sequence[LabelledImage]) -> dict[str, int]:
    quantised = next((choice.label for choice in engines if wants_quantised(choice)), None)
    if spec.calibration is None:
        if quantised is not None:
            raise UsageError(f"'{quantised}' needs calibration images", "give --calibration FOLDER or LIST")
        return {}
    if quantised is None:
        raise UsageError("--calibration is for int8, and --engines names none in int8", "write it like openvino:int8")
    contents = hash_contents(read_calibration(spec.calibration, CALIBRATION_IMAGES))
    check_apart(contents, images)
    return contents


def wants_quantised(choice: BuildSpec) -> bool:
    """Whether the engine takes int8 from the graph."""
    has = choice.capabilities
    return choice.precision == "int8" and has is not None and "int8" in has.in_graph
