"""Training speed on a GPU: random images with and without torch.compile, then JPEG files.

    python benchmarks/gpu_train.py --folder WORK [--networks resnet50,…] [--batch-size 256] [--device cuda] [--steps 60]
                                   [--budget-s 420]

Each line is one `seatrial train --performance` in a process of its own, fp16 and channels_last; every timed step stands
in its record. JPEG files of 500x375 pixels are made at the first run. The last column is the share of the time that
the device waited for images: where it is large the cores that decode are the limit, and their rate stands below.
ResNet-50 comes first, random and from files; what does not end within the budget is stopped and named.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from networks import NETWORKS
from preprocess import make_jpegs

from seatrial.data.images import LabelledImage
from seatrial.data.labels import list_images
from seatrial.machine.cpu import count_cores
from seatrial.machine.environment import read_environment
from seatrial.recipes import load_recipe
from seatrial.store.training import TrainingSpeedRecord
from seatrial.train.distributed.rank import RankInfo
from seatrial.train.input.augment import Augment
from seatrial.train.input.loader import Loader

FILES, HELD_OUT = 4096, 64
GOAL = 3500.0
"""Images/s of ResNet-50 on a card of the H200's class."""


def make_data(folder: Path) -> Path:
    """JPEG files of which nobody asks what they show."""
    data = folder / "imagenet"
    if not data.exists():
        made = folder / "making"
        shutil.rmtree(made, ignore_errors=True)
        for part, count in (("train", FILES), ("val", HELD_OUT)):
            make_jpegs(made / part, count)
            lines = [f"{path.name} {index % 1000}\n" for index, path in enumerate(list_images(made / part))]
            (made / f"{part}_label.txt").write_text("".join(lines), encoding="utf-8")
        made.rename(data)
    return data


def measure(asked: argparse.Namespace, network: str, name: str, *more: str) -> TrainingSpeedRecord | None:
    """One training; prints its line."""
    output: Path = asked.folder / f"speed-{network}-{name}"
    words = ["train", network, "--output", str(output), "--performance", "--amp", asked.amp, "--device", asked.device]
    words += ["--batch-size", str(asked.batch_size), "--max-train-steps", str(asked.steps), "--max-eval-steps", "1"]
    left = asked.ends - time.monotonic()
    try:
        command = [sys.executable, "-m", "seatrial", *words, *more]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=max(left, 0.001))
    except subprocess.TimeoutExpired:
        print(f"{network:<20}{name:<22}left out: the budget of {asked.budget_s:.0f} s is used up", flush=True)
        return None
    if ran.returncode:
        print(f"{network:<20}{name:<22}{ran.stderr.strip().splitlines()[-1]}", flush=True)
        return None
    speed = TrainingSpeedRecord.load(output / "training-speed.json")
    shown = f"{speed.images_per_s:>9.0f}{1000 * sum(speed.seconds) / len(speed.images):>10.1f}{speed.data_share:>9.1%}"
    print(f"{network:<20}{name:<22}{shown}", flush=True)
    return speed


def measure_decoding(data: Path, batch_size: int) -> float:
    """Images per second that the cores crop, resize and mirror when nothing else runs."""
    recipe = load_recipe("resnet50")
    images = [LabelledImage(path.name, path, 0) for path in list_images(data / "train")]
    settings = recipe.train.model_copy(update={"batch_size": batch_size})
    loader = Loader(images, Augment(settings, recipe.input_size, (0, 0, 0)), RankInfo(), count_cores())
    begun, count = 0.0, 0
    for batch in loader.epoch(0):
        count += len(batch.labels) if begun else 0
        begun = begun or time.perf_counter()
    return count / (time.perf_counter() - begun)


def compare_files(asked: argparse.Namespace, network: str, random: TrainingSpeedRecord | None) -> None:
    """Train from JPEG files; prints its share of the rate on random images, and what the cores can decode."""
    data = make_data(asked.folder)
    files = measure(asked, network, "JPEG files", "--data", str(data))
    if files is None or random is None:
        return
    share = files.images_per_s / random.images_per_s
    print(f"{network} from JPEG files: {share:.1%} of random images (85 % are wanted, or what the cores decode)")
    print(
        f"the cores decode {measure_decoding(data, asked.batch_size):.0f} images/s with nothing beside it", flush=True
    )


def read_arguments() -> argparse.Namespace:
    """The command line, and when the budget ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", default=",".join(sorted(NETWORKS, key=lambda name: name != "resnet50")))
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--budget-s", type=float, default=420.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--amp", default="fp16")
    parser.add_argument("--skip-compile", action="store_true")
    asked = parser.parse_args()
    asked.ends = time.monotonic() + asked.budget_s
    return asked


def main() -> None:
    """Print the table."""
    asked = read_arguments()
    asked.folder.mkdir(parents=True, exist_ok=True)
    machine = read_environment()
    devices = ", ".join(card.name for card in machine.accelerators) or "no GPU"
    print(f"{devices}; {machine.cpu}, {machine.cores} cores; torch {machine.versions.get('torch')}; {asked.amp}")
    print(f"{'network':<20}{'images':<22}{'images/s':>9}{'ms/step':>10}{'waiting':>9}", flush=True)
    for number, network in enumerate(asked.networks.split(",")):
        random = measure(asked, network, "random", "--synthetic")
        compiled = (
            None if asked.skip_compile else measure(asked, network, "random, compiled", "--synthetic", "--compile")
        )
        if number == 0:
            compare_files(asked, network, random)
        if network == "resnet50" and random is not None:
            rates = [found.images_per_s for found in (random, compiled) if found is not None]
            print(f"resnet50, random images: {max(rates):.0f} images/s, goal {GOAL:.0f} on a card of the H200's class")


if __name__ == "__main__":
    main()
