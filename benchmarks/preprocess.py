"""Images to float32 `.bin` files: the guides' single-process method beside ours, in one run.

    python benchmarks/preprocess.py [table split odd] [--images 4096] [--repeats 3] [--workers N] [--disk FOLDER]

- table: both read the same 500×375 JPEG files of about 65 kB, and what they write is checked to be equal to the byte.
  Our other processes take half a second to start, which is part of our time: with few images it is much of it;
- split: processor milliseconds of each part of our work on such an image, and of the least that a path with Pillow's
  pixels does: decoding, and Pillow's two passes over the rows and columns that they need;
- odd: the cards' pixels of --odd-images JPEG files of odd sizes beside Pillow's own, bit for bit.
"""

import argparse
import io
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pyarrow  # noqa: F401  As an evaluation does; then Pillow reads pixels in place.
from PIL import Image

from seatrial.data.bins.write import BinForm, write_bins
from seatrial.data.images import LabelledImage
from seatrial.data.labels import list_images
from seatrial.data.loading.batches import fill_row
from seatrial.data.preprocessing.damage import decode_strictly, read_frame
from seatrial.data.preprocessing.decode import decode_array
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline
from seatrial.data.preprocessing.steps import center_crop, find_rows, find_target, resize, to_image
from seatrial.machine.allocator import kept_heap
from seatrial.machine.cpu import count_cores
from seatrial.machine.environment import read_environment
from seatrial.recipes import list_cards, load_recipe
from seatrial.recipes.steps import CenterCrop, Resize
from seatrial.store.files import hash_content

NAME = "ILSVRC2012_val_{:08d}.JPEG"
RECIPE = "resnext50_32x4d"
QUALITY = 91
SIZE = (500, 375)
DISTINCT = 512
"""Photographs that are drawn; further names are links to them."""
Method = Callable[[list[Path], Path], None]


def make_jpegs(folder: Path, count: int, distinct: int = DISTINCT) -> list[Path]:
    """Random crops of scikit-learn's two photographs (640×427), resized, as JPEG files with a little grain.

    From the `distinct`-th on they are links to the first ones.
    """
    from sklearn.datasets import load_sample_images  # Not at the top: each of our processes imports this file.

    folder.mkdir(parents=True)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    for index in range(min(count, distinct)):
        rng = np.random.default_rng(index)
        photograph = photographs[index % len(photographs)]
        width = rng.uniform(320, photograph.width)
        height = width * SIZE[1] / SIZE[0]
        if height > photograph.height:
            width, height = photograph.height * SIZE[0] / SIZE[1], photograph.height
        left, top = rng.uniform(0, photograph.width - width), rng.uniform(0, photograph.height - height)
        box = (left, top, left + width, top + height)
        cut = np.asarray(photograph.resize(SIZE, Image.Resampling.BICUBIC, box=box), dtype=np.float32)
        grainy = (cut + rng.normal(0, 4, cut.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(grainy).save(folder / NAME.format(index + 1), quality=QUALITY)
    for index in range(distinct, count):
        (folder / NAME.format(index + 1)).hardlink_to(folder / NAME.format(index % distinct + 1))
    return list_images(folder)


def write_as_the_guide(images: list[Path], target: Path) -> None:
    """One process, Pillow and numpy, in the order of the ResNeXt-50 guide's script."""
    target.mkdir()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    for path in images:
        image = Image.open(path).convert("RGB")
        width, height = image.size
        wanted = (256, int(256 * height / width)) if width < height else (int(256 * width / height), 256)
        pixels = np.array(image.resize(wanted, Image.Resampling.BILINEAR), dtype=np.float32)
        top, left = int((pixels.shape[0] - 224) / 2), int((pixels.shape[1] - 224) / 2)
        pixels = pixels[top : top + 224, left : left + 224] / 255.0
        for channel in range(3):
            pixels[..., channel] -= mean[channel]
        for channel in range(3):
            pixels[..., channel] /= std[channel]
        pixels.transpose(2, 0, 1).tofile(target / (path.name.split(".")[0] + ".bin"))


def time_once(method: Method, images: list[Path], place: Path) -> float:
    """Images per second into a fresh folder of `place`."""
    target = Path(tempfile.mkdtemp(prefix="bins-", dir=place)) / "bins"
    start = time.perf_counter()
    method(images, target)
    seconds = time.perf_counter() - start
    shutil.rmtree(target.parent)
    return len(images) / seconds


def check_equal(images: list[Path], place: Path, ours: Method) -> None:
    """Stop unless both methods write the same bytes."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        write_as_the_guide(images, Path(folder) / "guide")
        ours(images, Path(folder) / "ours")
        for file in sorted((Path(folder) / "guide").iterdir()):
            if file.read_bytes() != (Path(folder) / "ours" / file.name).read_bytes():
                raise SystemExit(f"{file.name} differs between the two methods")


def time_part(part: Callable[[Any], object], items: Sequence[Any], repeats: int) -> float:
    """Processor milliseconds of this thread for an item: the least of some repetitions."""
    found = []
    for _ in range(repeats):
        begun = time.thread_time()
        for item in items:
            part(item)
        found.append(1e3 * (time.thread_time() - begun) / len(items))
    return min(found)


def print_split(images: list[Path], repeats: int) -> None:
    """What an image's time is made of, each part alone, with memory kept as where many are decoded, and without."""
    pipeline = make_pipeline(load_recipe(RECIPE))
    step, crop = pipeline.steps[:2]
    assert isinstance(step, Resize) and isinstance(crop, CenterCrop)
    files = [LabelledImage(path.name, path, 0) for path in images]
    row = np.empty(pipeline.shape, np.uint8)
    alone = [sys.executable, __file__, "alone", "--disk", str(images[0].parent), "--repeats", str(repeats)]
    given_back = float(subprocess.run(alone, capture_output=True, text=True, check=True).stdout)
    with kept_heap():
        whole = time_part(lambda file: fill_row(row, file, pipeline), files, repeats)
        data = [file.read() for file in files]
        frames = [(each, frame) for each in data if (frame := read_frame(each)) is not None]
        pixels = [decode_array(each, "an image") for each in data]
        padded = [np.dstack([each, each[..., :1]]) for each in pixels]
        rows = find_rows(SIZE, step, crop)
        cut = [to_image(each[rows.start : rows.stop]) for each in pixels]
        part = (rows.start, SIZE[1])
        done = [resize(each, step, crop, part) for each in cut]
        parts = {
            "reading the file": time_part(LabelledImage.read, files, repeats),
            "sha256 of its bytes": time_part(hash_content, data, repeats),
            "its header": time_part(read_frame, data, repeats),
            "decoding, which raises its warnings": time_part(
                lambda each: decode_strictly(*each, True), frames, repeats
            ),
            "pixels as Pillow's, in place": time_part(lambda a: to_image(a[rows.start : rows.stop]), padded, repeats),
            "resizing": time_part(lambda each: resize(each, step, crop, part), cut, repeats),
            "pixels out of it": time_part(lambda each: np.copyto(row, np.asarray(each)), done, repeats),
        }
        copying = time_part(lambda each: to_image(each[rows.start : rows.stop]), pixels, repeats)
    least = parts["decoding, which raises its warnings"] + parts["resizing"]
    print(f"{len(images)} JPEG files of {SIZE[0]}×{SIZE[1]}, {RECIPE}: processor milliseconds for an image")
    print(f"  all of it {whole:.2f}; {given_back:.2f} where freed memory goes back to the system, as in a new process")
    for name, found in parts.items():
        print(f"  {name:<40}{found:6.3f}")
    print(f"  copied into Pillow's memory, as where pyarrow is not loaded, pixels take {copying:.3f} instead of that")
    print(
        f"  decoding and resizing alone {least:.2f}: {least / whole:.0%} of all, {whole / least:.2f} x is the most left"
    )


def print_alone(folder: Path, repeats: int) -> None:
    """All of it in a process that has freed nothing large yet, for `print_split`."""
    pipeline = make_pipeline(load_recipe(RECIPE))
    row = np.empty(pipeline.shape, np.uint8)
    files = [LabelledImage(path.name, path, 0) for path in list_images(folder)]
    print(time_part(lambda file: fill_row(row, file, pipeline), files, repeats))


def print_odd(count: int) -> None:
    """Compare the cards' pixels with Pillow's whole resize and crop, of photographs cut to random odd sizes.

    Raises:
        SystemExit: a pixel differs.
    """
    from sklearn.datasets import load_sample_images

    photographs = [np.tile(image, (3, 2, 1)) for image in load_sample_images().images]
    kinds = {recipe.preprocess[:2]: recipe for recipe in map(load_recipe, list_cards())}
    pipelines = [make_pipeline(recipe) for recipe in kinds.values()]
    for index in range(count):
        rng = np.random.default_rng(index)
        width, height = (2 * int(side) + 1 for side in rng.integers(8, 500, 2))
        photograph = photographs[index % 2]
        top, left = (int(rng.integers(0, photograph.shape[axis] - side)) for axis, side in enumerate((height, width)))
        stored = io.BytesIO()
        cut = np.ascontiguousarray(photograph[top : top + height, left : left + width])
        Image.fromarray(cut).save(stored, "JPEG", quality=int(rng.integers(60, 99)), subsampling=index % 3)
        pipeline = pipelines[index % len(pipelines)]
        ours = pipeline.decode(stored.getvalue(), f"image {index}")
        if not np.array_equal(ours, resize_whole(stored, pipeline)):
            raise SystemExit(f"image {index}, {width}×{height}, differs from Pillow's")
    print(f"{count} JPEG files of odd sizes, {len(pipelines)} preprocessings: every pixel is Pillow's")


def resize_whole(stored: io.BytesIO, pipeline: InputPipeline) -> np.ndarray:
    """Pillow's own decoder, its two passes over all of the image, and then the crop."""
    step, crop = pipeline.steps[:2]
    assert isinstance(step, Resize) and isinstance(crop, CenterCrop)
    image = Image.open(stored).convert("RGB")
    width, height = find_target(image.size, step)
    kind = Image.Resampling[step.interpolation.upper()]
    return np.asarray(center_crop(image.resize((width, image.height), kind).resize((width, height), kind), crop))


def main() -> None:
    """Measure and print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["table", "split", "odd", "alone", []], default=[])
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--odd-images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=count_cores())
    parser.add_argument("--disk", type=Path, default=Path.cwd())
    asked = parser.parse_args()
    if asked.what == ["alone"]:
        print_alone(asked.disk, asked.repeats)
        return
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores; Python {environment.python}, Pillow {PIL.__version__}")
    what = asked.what or ["table", "split", "odd"]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        images = make_jpegs(Path(memory) / "images", asked.images if "table" in what else DISTINCT)
        if "table" in what:
            print_table(images, Path(memory), asked)
        if "split" in what:
            print_split(images[:DISTINCT], asked.repeats)
    if "odd" in what:
        print_odd(asked.odd_images)


def print_table(images: list[Path], memory: Path, asked: argparse.Namespace) -> None:
    """The guide's method and ours, taking turns."""
    form = BinForm(load_recipe(RECIPE).find_mode())

    def write_alone(images: list[Path], target: Path) -> None:
        write_bins(form, images, target, decode_workers=1)

    def write_together(images: list[Path], target: Path) -> None:
        write_bins(form, images, target, asked.workers)

    methods: dict[str, Method] = {
        "guide": write_as_the_guide,
        "seatrial, 1 process": write_alone,
        f"seatrial, {asked.workers} processes": write_together,
    }
    with tempfile.TemporaryDirectory(dir=asked.disk) as disk:
        size = statistics.mean(path.stat().st_size for path in images)
        check_equal(images[:DISTINCT], memory, write_together)
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(asked.repeats):
            for place, folder in (("/dev/shm", memory), ("disk", Path(disk))):
                for name, method in methods.items():
                    rates.setdefault((place, name), []).append(time_once(method, images, folder))
    print(f"{len(images)} JPEG files of {size / 1000:.0f} kB, {RECIPE}, float32; medians of {asked.repeats} runs")
    print(f"{'to':<10}{'method':<24}{'images/s':>10}{'lowest':>10}{'highest':>10}{'ratio':>8}")
    for (place, name), found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, rates[place, "guide"], strict=True))
        print(
            f"{place:<10}{name:<24}{statistics.median(found):>10.0f}{min(found):>10.0f}{max(found):>10.0f}{ratio:>8.2f}"
        )


if __name__ == "__main__":
    main()
