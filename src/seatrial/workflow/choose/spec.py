"""What `seatrial choose` is to do: the goal, and the run that it is about."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from seatrial.data.images import LabelledImage, hash_listing
from seatrial.data.unlabelled import read_folder_set
from seatrial.engines import get_engine, list_engines
from seatrial.engines.base import Capabilities, GraphFile
from seatrial.engines.engine_folder import read_graph
from seatrial.errors import SeatrialError, UsageError
from seatrial.models.sources import resolve_card
from seatrial.models.sources.huggingface import fetch_description
from seatrial.progress import Progress, Update
from seatrial.recipes import Recipe
from seatrial.store.records import RunManifest
from seatrial.workflow.choose.contenders import LatencyLimit
from seatrial.workflow.compile import parse_engine, split_engine
from seatrial.workflow.run import begin_run
from seatrial.workflow.run_jobs import GRAPH
from seatrial.workflow.run_spec import BATCH_SIZES, RunSpec, choose_reference

GoalKind = Literal["throughput", "latency", "size"]
FORMS = "write it like throughput, latency=10ms@p99 or size"
_LATENCY = re.compile(r"latency=(\d+(?:\.\d+)?)(ms|s)@p(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be best."""

    kind: GoalKind
    text: str
    limit: LatencyLimit | None = None
    """Of kind *latency*: what images per second are subject to."""


def parse_goal(text: str) -> Goal:
    """Read `throughput`, `latency=10ms@p99` or `size`.

    Raises:
        UsageError: it is none of them.
    """
    plain: tuple[GoalKind, ...] = ("throughput", "size")
    kind = next((each for each in plain if each == text), None)
    if kind is not None:
        return Goal(kind, text)
    found = _LATENCY.fullmatch(text)
    if found is None:
        raise UsageError(f"--goal {text} is no goal", FORMS)
    limit_ms, percent = float(found[1]) * (1000 if found[2] == "s" else 1), float(found[3])
    if limit_ms == 0 or not 50 <= percent < 100:
        raise UsageError(f"--goal {text} can be kept by nothing, or says nothing", "give a time, and p50 to p99.9")
    return Goal("latency", text, LatencyLimit(limit_ms, percent))


@dataclass(frozen=True, slots=True)
class ChooseSpec:
    """What to choose from, and by what."""

    target: str
    """A run folder, or the model reference that `begin` is of."""
    goal: Goal
    max_drop_pp: float | None = None
    """Points that top-1 may fall against the reference; None takes the card's."""
    engines: tuple[str, ...] = ()
    """NAME[:PRECISION][@DEVICE]; of a name alone every precision. Empty: every engine that there is."""
    batch_sizes: tuple[int, ...] = ()
    """Empty: `BATCH_SIZES`, or the batch that the graph is fixed to."""
    calibration: Path | None = None
    """Images for int8; None takes the run's own, and without them there is no int8 of engines that need them."""
    time_budget_s: float | None = None
    begin: RunSpec | None = None
    """The run to begin, without its engines, where `target` is no run folder."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The run that a choice is about."""

    folder: Path
    manifest: RunManifest
    recipe: Recipe
    graph: GraphFile
    images: tuple[LabelledImage, ...]
    calibration: Path | None
    own_calibration: bool
    """It is the run's own, so that its int8 graph may be the run's, too."""
    batch_sizes: tuple[int, ...]
    evaluate_batch_size: int
    limit_pp: float


def open_subject(spec: ChooseSpec, progress: Progress) -> Subject:
    """The run of a spec; of a model reference it is begun: checked, and its graph made.

    Raises:
        UsageError: there is neither a run nor a reference, or its images have changed since.
        SeatrialError: as the begin of a run.
    """
    folder = Path(spec.target)
    if spec.begin is not None:
        folder = spec.begin.output
        if spec.begin.fetch:
            fetch_description(spec.begin.recipe)
        engines = list_candidates(spec.engines, _is_foreign(spec.begin), spec.calibration is not None, progress)
        quantised = any(split_engine(text)[1] == "int8" for text in engines)
        begin_run(replace(spec.begin, engines=engines, calibration=spec.calibration if quantised else None), progress)
    if not (folder / "run.json").is_file():
        raise UsageError(f"{folder} is no run folder (it has no run.json)", "`seatrial run` makes one")
    manifest = RunManifest.load(folder / "run.json")
    recipe = Recipe.read(manifest.recipe, f"recipe in {folder / 'run.json'}")
    images = _read_images(manifest, recipe, folder, progress)
    graph = read_graph(folder / GRAPH)
    fixed = graph.manifest.input.shape[0]
    if fixed is not None and spec.batch_sizes not in ((), (fixed,)):
        raise UsageError(f"{graph.path} is fixed to batch {fixed}", f"give --batch-size {fixed}, or leave it out")
    own = _find_calibration(manifest)
    limit_pp = recipe.gates.reference_drop_pp if spec.max_drop_pp is None else spec.max_drop_pp
    if limit_pp is None:
        raise UsageError(f"card {recipe.name} does not say how far top-1 may fall", "give --max-drop-pp")
    return Subject(
        folder=folder,
        manifest=manifest,
        recipe=recipe,
        graph=graph,
        images=images,
        calibration=spec.calibration or own,
        own_calibration=own is not None and spec.calibration in (None, own),
        batch_sizes=(fixed,) if fixed is not None else spec.batch_sizes or BATCH_SIZES,
        evaluate_batch_size=fixed or int(manifest.spec["evaluate_batch_size"]),
        limit_pp=limit_pp,
    )


def _is_foreign(spec: RunSpec) -> bool:
    card = resolve_card(spec.recipe, spec.image_size, spec.like, spec.classes)
    return card.recipe.network.builder == "onnx"


def _read_images(manifest: RunManifest, recipe: Recipe, folder: Path, progress: Progress) -> tuple[LabelledImage, ...]:
    place, labels = Path(manifest.images), None if manifest.labels is None else Path(manifest.labels)
    if not place.is_dir():
        raise UsageError(f"the images of {folder} are not at {place}", "work where the run was begun")
    images = read_folder_set(place, labels, recipe, manifest.spec.get("no_labels", False), progress)
    if manifest.inputs.get(manifest.images) not in (None, hash_listing(images)):
        raise UsageError(f"the images at {place} have changed since {folder} was run", "run it again")
    return images


def _find_calibration(manifest: RunManifest) -> Path | None:
    """The calibration images of a run, which only its command names."""
    words = shlex.split(manifest.command)
    return next((Path(value) for word, value in pairwise(words) if word == "--calibration"), None)


def list_candidates(engines: Sequence[str], foreign: bool, calibrated: bool, progress: Progress) -> tuple[str, ...]:
    """NAME:PRECISION[@DEVICE] of each candidate: of a name alone all precisions that it has here.

    Args:
        engines: as they were requested; none: all that can be used here.
        foreign: the graph is no export of ours, so that engines that rebuild the network are not among all.
        calibrated: there are images for int8; without them, engines that take it from the graph go without.

    Raises:
        UsageError: there is no such engine, or int8 is named and there are no calibration images.
        EngineError: one that is named cannot be used here.
    """
    probed: dict[str, Capabilities] = {}
    texts: list[str] = []
    for text in engines or _list_usable(foreign, probed):
        name, precision, device = split_engine(text)
        chosen = parse_engine(text, probed)
        has = probed[name]
        needs = "int8" in has.in_graph and not calibrated
        if precision == "int8" and needs:
            raise UsageError(f"'{text}' needs calibration images", "give --calibration FOLDER or LIST")
        every = [each for each in has.precisions if not (each == "int8" and needs)]
        if needs and not precision and "int8" in has.precisions:
            progress(Update("choose", note=f"{name}: no int8, as there are no calibration images (--calibration)"))
        at = f"@{device}" if device else ""
        texts += [f"{name}:{each}{at}" for each in ([chosen.precision] if precision else every)]
    if not texts:
        raise UsageError("no engine can be used here", "`seatrial doctor` says what is missing")
    return tuple(dict.fromkeys(texts))


def _list_usable(foreign: bool, probed: dict[str, Capabilities]) -> list[str]:
    names = []
    for name in list_engines():
        try:
            has = probed[name] = get_engine(name).probe()
        except SeatrialError:
            continue  # A package of others that cannot be loaded, which `doctor` shows.
        if has.missing is None and has.version is not None and not (foreign and has.needs_network):
            names.append(name)
    return names


def name_reference(recipe: Recipe) -> tuple[str, str, str]:
    """Engine, precision and device of what every candidate is compared with."""
    reference = choose_reference(recipe).probed()
    return reference.engine, reference.precision, reference.device
