"""Are the faults of a program named, and is no sound program blamed? Faults and pairs are planted, libraries are run.

    python benchmarks/check_app.py --output benchmarks/results/check_app.txt     # --cv FOLDER: where OpenCV is

Each fault is planted alone, then in pairs with others of another part, by the code of the table, so what is measured
is that they are told apart. OpenCV, torchvision, torch and Pillow are run as their users run them.
"""

import argparse
import io
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.diagnosis.app.explain import KitPixels
from seatrial.diagnosis.app.faults import FAULTS, Fault, combine
from seatrial.diagnosis.app.images import draw_kit
from seatrial.diagnosis.app.judge import TOLERANCE, OpenKit, judge_tensors
from seatrial.diagnosis.app.predictions import AppPredictions
from seatrial.diagnosis.app.program import make_sound, make_tensors
from seatrial.machine.cpu import read_cpuinfo
from seatrial.recipes.schema import Recipe
from seatrial.store.app_kit import AppJudgement

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SIDE, SHORT = 64, 72
PLANTED = (
    "exif",
    "alpha-white",
    "cmyk-inverted",
    "jpeg-fast",
    "squash",
    "straight",
    "no-margin",
    "letterbox",
    "crop-first",
    "pillow-bicubic",
    "pillow-lanczos",
    "tensor-bilinear-plain",
    "area",
    "half-pixel",
    "crop-up-left",
    "crop-right",
    "bgr",
    "nv12",
    "yuv-709",
    "yuv-limited",
    "nv21",
    "0-1",
    "255-missing",
    "255-twice",
    "triples-bgr",
    "set-1",
    "mean-only",
    "wrap-mean",
    "int8",
    "hwc",
    "transposed",
)
"""Those whose pairs are planted."""
Prepare = Callable[[bytes], NDArray[np.floating]]


def make_card() -> Recipe:
    """The usual steps at a small size."""
    steps = [
        {"step": "resize", "short_side": SHORT},
        {"step": "center_crop", "size": [SIDE, SIDE]},
        {"step": "to_float"},
        {"step": "normalise", "mean": MEAN.tolist(), "std": STD.tolist()},
    ]
    network = {"name": "resnet18", "classes": 1000}
    return Recipe.read({"name": "usual", "title": "usual", "network": network, "preprocess": steps}, "benchmark")


def open_kit(recipe: Recipe) -> OpenKit:
    """A kit without logits, in memory."""
    files = list(draw_kit(SIDE))
    return OpenKit(
        recipe, KitPixels(files, recipe), [name for name, _ in files], make_tensors(make_sound(recipe), files), {}
    )


def normalise(levels: NDArray[np.floating] | NDArray[np.uint8]) -> NDArray[np.floating]:
    """As most scripts do it, in float64."""
    return ((np.asarray(levels, dtype=np.float64) / 255 - MEAN) / STD).transpose(2, 0, 1)


def open_rgb(data: bytes) -> Image.Image:
    """As the data sets of torchvision; 16-bit grey, which they cut off, as the card."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I"):
            return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
        return image.convert("RGB")


def size_of(image: Image.Image) -> tuple[int, int]:
    """Width and height by torchvision's rule."""
    short, long = min(image.size), max(image.size)
    pair = SHORT, int(SHORT * long / short)
    return pair if image.width <= image.height else pair[::-1]


def crop(levels: NDArray[np.generic]) -> NDArray[np.generic]:
    """The middle of (height, width, channels)."""
    top, left = (round((side - SIDE) / 2) for side in levels.shape[:2])
    return levels[top : top + SIDE, left : left + SIDE]


def list_sound() -> dict[str, Prepare]:
    """Programs that nobody should be blamed for, by name."""
    import torch
    from torchvision import transforms
    from torchvision.transforms import v2

    end = [transforms.CenterCrop(SIDE), transforms.ToTensor(), transforms.Normalize(MEAN.tolist(), STD.tolist())]
    on_pil = transforms.Compose([transforms.Resize(SHORT), *end])
    on_tensors = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(SHORT, antialias=True),
            v2.CenterCrop(SIDE),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN.tolist(), STD.tolist()),
        ]
    )

    def resize(data: bytes) -> NDArray[np.uint8]:
        image = open_rgb(data)
        return np.asarray(image.resize(size_of(image), Image.Resampling.BILINEAR))

    def rows_first(data: bytes) -> NDArray[np.uint8]:
        image = open_rgb(data)
        width, height = size_of(image)
        wide = image.resize((width, image.height), Image.Resampling.BILINEAR)
        return np.asarray(wide.resize((width, height), Image.Resampling.BILINEAR))

    def interpolate(data: bytes) -> NDArray[np.floating]:
        image = open_rgb(data)
        planes = torch.from_numpy(np.asarray(image).astype(np.float32)).permute(2, 0, 1)[None]
        made = torch.nn.functional.interpolate(planes, size=size_of(image)[::-1], mode="bilinear", antialias=True)
        return made[0].permute(1, 2, 0).numpy()

    def folded(data: bytes) -> NDArray[np.floating]:
        scale, bias = (1 / (255 * STD)).astype(np.float32), (-MEAN / STD).astype(np.float32)
        return (crop(rows_first(data)).astype(np.float32) * scale + bias).transpose(2, 0, 1)

    return {
        "Pillow as it is installed, numpy in float64": lambda data: normalise(crop(resize(data))),
        "Pillow rows first, numpy in float64": lambda data: normalise(crop(rows_first(data))),
        "torchvision on Pillow images": lambda data: on_pil(open_rgb(data)).numpy(),
        "torchvision v2 on tensors": lambda data: on_tensors(open_rgb(data)).numpy(),
        "torch's interpolate with antialias on floats": lambda data: normalise(crop(interpolate(data))),
        "one multiplication and one addition (folded)": folded,
        "float16 tensors": lambda data: normalise(crop(rows_first(data))).astype(np.float16),
        "levels less 255 * mean, over 255 * std": lambda data: (
            (crop(rows_first(data)).astype(np.float32) - 255 * MEAN) / (255 * STD)
        ).transpose(2, 0, 1),
        "printed constants 123.68 116.78 103.94 and 58.4 57.12 57.38": lambda data: (
            (crop(rows_first(data)) - np.array([123.68, 116.78, 103.94])) / np.array([58.4, 57.12, 57.38])
        ).transpose(2, 0, 1),
        "levels 0..1 in float16, then normalised": lambda data: normalise(
            (crop(rows_first(data)) / np.float16(255)).astype(np.float16).astype(np.float64) * 255
        ),
        "bfloat16 tensors": lambda data: (
            torch.from_numpy(normalise(crop(rows_first(data)))).to(torch.bfloat16).float().numpy()
        ),
    }


def list_other_resizes() -> dict[str, tuple[Prepare, str]]:
    """OpenCV's resizes on the pixels that Pillow decodes, and the row that names each."""
    import cv2

    def make(kind: int) -> Prepare:
        return lambda data: normalise(
            crop(cv2.resize(np.asarray(open_rgb(data)), size_of(open_rgb(data)), interpolation=kind))
        )

    return {
        "OpenCV INTER_LINEAR": (make(cv2.INTER_LINEAR), "tensor-bilinear-plain"),
        "OpenCV INTER_AREA": (make(cv2.INTER_AREA), "area"),
        "OpenCV INTER_CUBIC": (make(cv2.INTER_CUBIC), "bicubic-plain"),
    }


def judge(prepare: Prepare, kit: OpenKit) -> AppJudgement:
    """What is said of a program."""
    values = np.stack([np.asarray(prepare(data)) for _, data in kit.pixels.files]).astype(np.float32)
    return judge_tensors(AppPredictions("tensors", values), kit, TOLERANCE)[0]


def list_planted(kit: OpenKit) -> list[tuple[Fault, ...]]:
    """Each fault, and pairs of `PLANTED`, but for those that change nothing beside the other."""
    by_name = {fault.name: fault for fault in FAULTS}
    pairs = itertools.combinations([by_name[name] for name in PLANTED], 2)
    wanted: list[tuple[Fault, ...]] = [(fault,) for fault in FAULTS]
    wanted += [pair for pair in pairs if pair[0].part != pair[1].part]
    return wanted


def plant(faults: Sequence[Fault], kit: OpenKit) -> NDArray[np.float32] | None:
    """The tensors of a program with the faults; None where there is nothing to see of one of them."""
    sound = make_sound(kit.recipe)
    made = []
    for part in (tuple(faults), *((fault,) for fault in faults if len(faults) > 1), ()):
        program = combine(sound, part)
        if program is None:
            return None
        made.append(make_tensors(program, kit.pixels.files))
    alike = any(np.abs(made[0] - other).mean() < 1e-4 for other in made[1:])
    return None if alike else made[0]


def run_planted(kit: OpenKit, every: int) -> tuple[list[str], float]:
    """What is named of planted faults, in lines, and the share of those that are named first."""
    right: Counter[str] = Counter()
    count: Counter[str] = Counter()
    mistakes, table = [], [fault.name for fault in FAULTS]
    wanted = list_planted(kit)
    pairs = [faults for faults in wanted if len(faults) == 2][::every]
    for faults in (*(each for each in wanted if len(each) == 1), *pairs):
        values = plant(faults, kit)
        if values is None:
            continue
        found = judge_tensors(AppPredictions("tensors", values), kit, TOLERANCE)[0]
        kind, names = ("alone", "pair")[len(faults) - 1], [finding.name for finding in found.findings]
        order = sorted((fault.name for fault in faults), key=table.index)
        count[kind] += 1
        right[f"{kind}, first"] += names[:1] == order[:1]
        right[f"{kind}, all"] += names == order
        if names != order:
            mistakes.append(f"  {' + '.join(order)} → {' + '.join(names) or 'nothing'} ({found.verdict})")
    lines = [
        f"planted, {kind}: {count[kind]}; named first {right[f'{kind}, first']} "
        f"({right[f'{kind}, first'] / count[kind]:.1%}), all {right[f'{kind}, all']}"
        for kind in count
    ]
    first = (right["alone, first"] + right["pair, first"]) / sum(count.values())
    return [*lines, "", "planted → named, where it is not the same:", *(mistakes or ["  none"])], first


def run_libraries(kit: OpenKit, with_cv: bool) -> tuple[list[str], int]:
    """What is said of sound programs and of OpenCV's resizes, in lines, and how many sound ones are blamed."""
    lines, blamed = ["", f"sound programs (tolerance {TOLERANCE:g} levels):"], 0
    for name, prepare in list_sound().items():
        found = judge(prepare, kit)
        blamed += found.verdict != "same"
        lines.append(f"  {name}: {found.conclusion}")
    lines += [f"  blamed: {blamed}", "", "other resizes, run by OpenCV:"]
    for name, (prepare, row) in (list_other_resizes() if with_cv else {}).items():
        found = judge(prepare, kit)
        named = "named" if [finding.name for finding in found.findings] == [row] else "NOT NAMED"
        lines.append(f"  {name}: {named}: {found.conclusion}")
    return lines, blamed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--cv", type=Path, help="folder with opencv-python-headless")
    parser.add_argument("--every", type=int, default=1, help="plant every n-th pair only")
    options = parser.parse_args()
    if options.cv:
        sys.path.append(str(options.cv))
    kit, started = open_kit(make_card()), time.perf_counter()
    libraries, blamed = run_libraries(kit, options.cv is not None)
    print("\n".join(libraries), file=sys.stderr, flush=True)
    planted, first = run_planted(kit, options.every)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    versions = [f"{name} {version(name)}" for name in ("numpy", "pillow", "torch", "torchvision")]
    pairs = "all pairs" if options.every == 1 else f"one of {options.every} pairs"
    planted_of = f"card of {SIDE} px; {pairs} of {len(PLANTED)} faults planted"
    head = f"{read_cpuinfo('model name')}; {', '.join(versions)}; {planted_of}"
    text = "\n".join([head, *planted, *libraries])
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    return int(first < 0.95 or blamed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
