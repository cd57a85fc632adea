"""Writes a kit: images, the right numbers after each step, logits with and without each fault, and readers of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from seatrial import __version__
from seatrial.diagnosis.app.faults import FAULTS, combine
from seatrial.diagnosis.app.images import draw_kit
from seatrial.diagnosis.app.program import Program, make_sound, make_tensors
from seatrial.progress import Progress, Update
from seatrial.recipes.schema import Recipe
from seatrial.store.app_kit import KIT, LOGITS, NOISE, OUTPUTS, SOUND, AppKit, KitImage
from seatrial.store.files import hash_file, make_folder, replacing

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Tensors (n, channels, height, width) to logits (n, classes)."""


@dataclass(frozen=True, slots=True)
class NetworkOfKit:
    """The network, where its weights are at hand."""

    run: Network
    weights: str
    """Where they are."""


def write_kit(recipe: Recipe, network: NetworkOfKit | None, output: Path, progress: Progress) -> AppKit:
    """Write the folder `output`, whole or not at all.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    drawn = list(draw_kit(max(recipe.input_size)))
    sound = make_sound(recipe)
    with replacing(output, flush=False) as folder:
        make_folder(folder)
        tensors = make_tensors(sound, drawn)
        images = [_write_image(folder, sound, *file, tensor) for file, tensor in zip(drawn, tensors, strict=True)]
        outputs: tuple[str, ...] = ()
        if network is not None:
            outputs, images = _write_outputs(folder, network.run, recipe, drawn, images, progress)
        kit = AppKit(
            recipe=recipe.model_dump(mode="json", exclude_none=True),
            shape=(recipe.channels, *recipe.input_size),
            preprocess=tuple(step.describe() for step in recipe.preprocess),
            images=tuple(images),
            outputs=outputs,
            weights=None if network is None else network.weights,
            files={name: hash_file(folder / name) for name in _list_files(images, bool(outputs))},
            seatrial=__version__,
            pillow=PIL.__version__,
        )
        kit.save(folder / KIT)
        _write_texts(folder, output, recipe, kit)
    return kit


def _write_image(folder: Path, sound: Program, file: str, data: bytes, tensor: NDArray[np.float32]) -> KitImage:
    name = file.rpartition(".")[0]
    for place in ("images", "tensors", f"steps/{name}"):
        make_folder(folder / place)
    (folder / "images" / file).write_bytes(data)
    decoded = sound.decode(data, file)
    made = [np.asarray(decoded), *sound.make_each_step(decoded)]
    words = ["decoded", *(step.step for step in sound.steps)]
    steps = {f"{at}-{word}": f"steps/{name}/{at}-{word}.npy" for at, word in enumerate(words)}
    for path, pixels in zip(steps.values(), made, strict=True):
        np.save(folder / path, pixels)
    image = KitImage(
        name=name, file=f"images/{file}", steps=steps, tensor=f"tensors/{name}.npy", raw=f"tensors/{name}.bin"
    )
    np.save(folder / image.tensor, tensor)
    (folder / image.raw).write_bytes(tensor.astype("<f4").tobytes())
    return image


def _write_outputs(
    folder: Path,
    run: Network,
    recipe: Recipe,
    drawn: Sequence[tuple[str, bytes]],
    images: Sequence[KitImage],
    progress: Progress,
) -> tuple[tuple[str, ...], list[KitImage]]:
    sound = make_sound(recipe)
    noisy = _add_noise(sound)
    programs = {SOUND: sound, NOISE: noisy}
    changed = {fault.name: combine(sound, (fault,)) for fault in FAULTS}
    programs |= {name: program for name, program in changed.items() if program is not None}
    logits = []
    for done, program in enumerate(programs.values()):
        logits.append(run(make_tensors(program, drawn)))
        progress(Update("check-app", done + 1, len(programs), "faults"))
    rows = np.stack(logits).astype(np.float32)
    np.save(folder / OUTPUTS, rows)
    np.save(folder / LOGITS, rows[0])
    best = np.argsort(-rows[0], axis=1, kind="stable")[:, :5].tolist()
    named = [image.model_copy(update={"top5": tuple(top)}) for image, top in zip(images, best, strict=True)]
    return tuple(programs), named


def _add_noise(sound: Program) -> Program:
    """One level more or less on each value: so far apart are two right decoders, or two roundings of one resize."""

    def add(levels: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = levels + np.random.default_rng(0).integers(-1, 2, levels.shape).astype(np.float32)
        noisy: NDArray[np.float32] = moved.clip(0, 255)
        return noisy

    return Program(sound.recipe, sound.steps, colours=(add,))


def _list_files(images: Sequence[KitImage], with_outputs: bool) -> list[str]:
    names = [path for image in images for path in (image.file, image.tensor, image.raw, *image.steps.values())]
    return [*names, *((OUTPUTS, LOGITS) if with_outputs else ())]


def _write_texts(folder: Path, output: Path, recipe: Recipe, kit: AppKit) -> None:
    texts = files("seatrial.diagnosis.app") / "kit_files"
    channels, height, width = kit.shape
    described = "| `logits.npy` | float32 (images, classes) of the network; `top5` of each image is in `kit.json` |\n"
    values = {
        "{count}": str(len(kit.images)),
        "{recipe}": recipe.name,
        "{steps}": "\n".join(f"- {step}" for step in kit.preprocess),
        "{folder}": output.name,
        "{shape}": f"({channels}, {height}, {width})",
        "{pixels}": f"({height}, {width}, {channels})",
        "{classes}": str(recipe.network.classes),
        "{outputs}": described if kit.outputs else "",
    }
    for text in sorted(texts.iterdir(), key=lambda each: each.name):
        content = text.read_text(encoding="utf-8")
        if text.name.startswith("README"):
            for mark, value in values.items():
                content = content.replace(mark, value)
        (folder / text.name.removesuffix(".txt")).write_text(content, encoding="utf-8")
