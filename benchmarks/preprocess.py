"""Images to float32 `.bin` files: the guides' single-process method beside ours, in one run.

    python benchmarks/preprocess.py [--images 4096] [--repeats 3] [--workers N] [--disk FOLDER]

Both read the same 500×375 JPEG files of about 65 kB, and what they write is checked to be equal to the byte. Our other
processes take half a second to start, which is part of our time: with few images it is much of it.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from seatrial.data.bins.write import BinForm, write_bins
from seatrial.data.labels import list_images
from seatrial.recipes import load_recipe

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


def main() -> None:
    """Measure and print the table."""
    from seatrial.machine.cpu import count_cores
    from seatrial.machine.environment import read_environment

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=count_cores())
    parser.add_argument("--disk", type=Path, default=Path.cwd())
    asked = parser.parse_args()
    form = BinForm(load_recipe(RECIPE).find_mode())

    def write_alone(images: list[Path], target: Path) -> None:
        write_bins(form, images, target, decode_workers=1)

    def write_together(images: list[Path], target: Path) -> None:
        write_bins(form, images, target, asked.decode_workers)

    methods: dict[str, Method] = {
        "guide": write_as_the_guide,
        "seatrial, 1 process": write_alone,
        f"seatrial, {asked.workers} processes": write_together,
    }
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, tempfile.TemporaryDirectory(dir=asked.disk) as disk:
        images = make_jpegs(Path(memory) / "images", asked.images)
        size = statistics.mean(path.stat().st_size for path in images)
        check_equal(images[:DISTINCT], Path(memory), write_together)
        rates: dict[tuple[str, str], list[float]] = {}
        for _ in range(asked.repeats):
            for place, folder in (("/dev/shm", memory), ("disk", disk)):
                for name, method in methods.items():
                    rates.setdefault((place, name), []).append(time_once(method, images, Path(folder)))
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores; Python {environment.python}")
    print(f"{len(images)} JPEG files of {size / 1000:.0f} kB, {RECIPE}, float32; medians of {asked.repeats} runs")
    print(f"{'to':<10}{'method':<24}{'images/s':>10}{'lowest':>10}{'highest':>10}{'ratio':>8}")
    for (place, name), found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, rates[place, "guide"], strict=True))
        print(
            f"{place:<10}{name:<24}{statistics.median(found):>10.0f}{min(found):>10.0f}{max(found):>10.0f}{ratio:>8.2f}"
        )


if __name__ == "__main__":
    main()
