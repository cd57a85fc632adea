"""`seatrial check-app`: is a user's program the network that passed?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.classes import Classes
from seatrial.data.labels import read_labels, spread
from seatrial.diagnosis.app.explain import KitPixels
from seatrial.diagnosis.app.faults import Fault, combine
from seatrial.diagnosis.app.judge import TOLERANCE, OpenKit, judge_outputs, judge_tensors
from seatrial.diagnosis.app.predictions import read_predictions
from seatrial.diagnosis.app.program import make_sound, make_tensors
from seatrial.diagnosis.app.write_kit import Network, NetworkOfKit, write_kit
from seatrial.errors import RefusedFile, SeatrialError, UsageError
from seatrial.evaluation.parity import measure_parity
from seatrial.foreign.files import read_bytes
from seatrial.metrics.noise_floor import SAME_FLOORS
from seatrial.models.sources import resolve_recipe
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.store.app_kit import KIT, OUTPUTS, SOUND, AppJudgement, AppKit
from seatrial.store.files import hash_file, is_inside
from seatrial.store.records import RunManifest

__all__ = ["TOLERANCE", "JudgeSpec", "KitSpec", "judge_app", "make_kit"]


@dataclass(frozen=True, slots=True)
class KitSpec:
    """What a kit is made of."""

    source: str
    """A model reference, or the folder of a run."""
    output: Path
    checkpoint: Path | None = None
    """Without it, and without a run, the kit has no logits."""
    image_size: int | None = None
    like: str | None = None


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """What is judged, and how strictly."""

    kit: Path
    predictions: Path
    tolerance: float = TOLERANCE
    """Levels of 255 by which a value may lie off."""
    images: Path | None = None
    """The user's own, for the effect on top-1."""
    labels: Path | None = None
    limit: int = 256


def make_kit(spec: KitSpec, progress: Progress = silent) -> AppKit:
    """Draw the images, and write what is right for each.

    Raises:
        UsageError: there is no such card or run, or something else is in the place of the kit.
        RefusedFile: the weights are not this network's.
        EngineError: a library that the network needs is not installed.
    """
    if spec.output.exists() and not (spec.output / KIT).is_file():
        raise UsageError(f"{spec.output} is there already and is no kit", "choose another --output, or remove it")
    run = Path(spec.source)
    weights = spec.checkpoint
    if (run / "run.json").is_file():
        if spec.checkpoint is not None or spec.image_size is not None or spec.like is not None:
            raise UsageError(f"{run} is a run, which has its own weights and card", "leave the other options out")
        manifest = RunManifest.load(run / "run.json")
        recipe = Recipe.read(manifest.recipe, str(run / "run.json"))
        weights = run / "checkpoint.safetensors"
        if recipe.network.builder == "onnx":
            weights = Path(recipe.network.name)
    else:
        recipe = resolve_recipe(spec.source, spec.image_size, spec.like)
        if recipe.network.builder == "onnx":
            weights = Path(recipe.network.name)
    network = None if weights is None else NetworkOfKit(_open_network(recipe, weights), str(weights.absolute()))
    return write_kit(recipe, network, spec.output, progress)


def judge_app(spec: JudgeSpec, progress: Progress = silent) -> AppJudgement:
    """Judge what a program wrote for a kit.

    Raises:
        UsageError: the folder is no kit, or the predictions have a form that is not known.
        RefusedFile: the kit is damaged.
        DataError: predictions are missing or of a wrong shape.
        ParityError: predictions are not finite.
    """
    if spec.tolerance < 0:
        raise UsageError(f"--tolerance {spec.tolerance:g} is below 0", "give levels of 255, such as 2")
    record, kit = _open_kit(spec.kit)
    given = read_predictions(spec.predictions, record, kit.recipe)
    if given.kind != "tensors":
        if not kit.outputs:
            raise UsageError(
                f"{spec.kit} has no logits to judge {given.kind} by",
                "make the kit of a run or with --checkpoint, or let your program write tensors",
            )
        return judge_outputs(given, kit)
    judged, faults = judge_tensors(given, kit, spec.tolerance)
    network = _find_network(record, kit, needed=spec.images is not None)
    if judged.changed is None and network is not None:
        changed = network(given.values).argmax(axis=1) != network(kit.tensors).argmax(axis=1)
        judged = judged.model_copy(update={"changed": int(changed.sum())})
    if spec.images is None:
        return judged
    assert network is not None
    return _measure_top1(judged, faults, kit.recipe, network, spec, progress)


def _open_kit(folder: Path) -> tuple[AppKit, OpenKit]:
    if not (folder / KIT).is_file():
        raise UsageError(f"{folder} is no kit (it has no {KIT})", "`seatrial check-app kit` makes one")
    record = AppKit.load(folder / KIT)
    for name, sha256 in record.files.items():
        if not is_inside(name) or not (folder / name).is_file() or hash_file(folder / name) != sha256:
            raise RefusedFile(f"{folder / name} is missing, edited or damaged", "make the kit again")
    recipe = Recipe.read(record.recipe, str(folder / KIT))
    files = [(Path(image.file).name, read_bytes(folder / image.file)) for image in record.images]
    tensors = np.stack([np.load(folder / image.tensor, allow_pickle=False) for image in record.images])
    outputs: Mapping[str, NDArray[np.float32]] = {}
    if record.outputs:
        rows = np.load(folder / OUTPUTS, allow_pickle=False)
        outputs = dict(zip(record.outputs, rows, strict=True))
    return record, OpenKit(recipe, KitPixels(files, recipe), [image.name for image in record.images], tensors, outputs)


def _find_network(record: AppKit, kit: OpenKit, needed: bool) -> Network | None:
    """The kit's network, where its weights are still where they were, and as they were.

    Raises:
        UsageError: they are needed, and are gone.
        RefusedFile: they are needed, and are others by now.
    """
    there = record.weights is not None and Path(record.weights).is_file()
    if needed and not there:
        where = f"its weights {record.weights} are not there" if record.weights else "it was made without weights"
        raise UsageError(f"the kit cannot run images of yours: {where}", "make the kit again, of a run")
    if not there or record.weights is None:
        return None
    try:
        network = _open_network(kit.recipe, Path(record.weights))
        _check_same_network(network, kit, record.weights)
    except SeatrialError:
        if needed:
            raise
        return None  # How many first classes change is then not known; what differs is.
    return network


def _check_same_network(network: Network, kit: OpenKit, weights: str) -> None:
    """Refuse a network that does not give the kit's logits: another training may have written its weights since.

    Raises:
        RefusedFile: they are others.
    """
    right, now = kit.outputs[SOUND], network(kit.tensors)
    # What an ONNX file computes in may be anything.
    floor = SAME_FLOORS["int8" if kit.recipe.network.builder == "onnx" else "fp32"]
    if now.shape != right.shape or not measure_parity("kit", right, now).relative_error <= floor:
        raise RefusedFile(f"{weights} has other weights than when the kit was made", "make the kit again")


def _open_network(recipe: Recipe, weights: Path) -> Network:
    if recipe.network.builder == "onnx":
        return _open_graph(weights)
    from seatrial.export.export_graph import run_network
    from seatrial.models.build import build_network
    from seatrial.models.checkpoint import load_checkpoint

    module = build_network(recipe.network)
    module.load_state_dict(load_checkpoint(weights, recipe).state, strict=True)
    return partial(run_network, module.eval())


def _open_graph(path: Path) -> Network:
    from seatrial.export.graph import open_graph
    from seatrial.models.onnx_file import load_graph, read_facts

    model = load_graph(path)
    facts = read_facts(model)
    if facts.input.dtype == "uint8" or facts.input.layout != "NCHW":
        raise UsageError(
            f"{path} takes {facts.input.dtype} {facts.input.layout}, and kits are of float tensors NCHW",
            "give the card of its preprocessing alone: a reference other than the file",
        )
    dtype = np.dtype(facts.input.dtype)
    predict = open_graph(model, facts.input.shape[0])
    return lambda tensors: predict(tensors.astype(dtype)).astype(np.float32)


def _measure_top1(
    judged: AppJudgement,
    faults: Sequence[Fault],
    recipe: Recipe,
    network: Network,
    spec: JudgeSpec,
    progress: Progress,
) -> AppJudgement:
    """Top-1 on the user's labelled images, as the card prepares them and as the program does by its faults."""
    assert spec.images is not None
    labelled = read_labels(spec.images, spec.labels, Classes.of(recipe), progress)
    by_path = {image.path: image for image in labelled}
    chosen = [by_path[path] for path in spread(list(by_path), spec.limit)]
    truth = np.array([image.label for image in chosen])
    sound = make_sound(recipe)
    program = combine(sound, tuple(faults))
    assert program is not None
    right = []
    for each in (sound, program):
        found = []
        for done, image in enumerate(chosen):
            data = image.read()
            found.append(int(network(make_tensors(each, [(image.id, data)])).argmax()))
            progress(Update("check-app", done + 1, len(chosen), "images"))
        right.append(float((np.array(found) == truth).mean()))
    return judged.model_copy(update={"top1_before": right[0], "top1_after": right[1], "labelled": len(chosen)})
