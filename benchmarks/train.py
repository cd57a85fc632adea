"""Training from JPEG files: ours beside loops after pytorch/examples' imagenet/main.py and timm's train.py, in one run.

    python benchmarks/train.py [--networks resnet50 spnasnet_100] [--sizes 224 64] [--precisions bf16 fp32]
                               [--steps 25] [--rounds 3] [--batch-size 32] [--workers N] [--folder FOLDER]

Each loop runs in a fresh process, one after the other in every round, on the same files, the same network, batch size
and number of workers. The first steps are not counted. Every step is split into the wait for its images, the
optimiser (torch's own hooks around it), and the rest: forward, loss, backward and what the loop reads back. Memory is
the most that the process held, and what is its workers' own besides.

Peers do what their documentation says: main.py has neither bf16 nor channels_last; timm runs with --amp
--amp-dtype bfloat16 (bf16 only), --channels-last, its prefetcher, and without its colour jitter and its random
choice of a filter, so that all crop, resize and mirror alike.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from preprocess import make_jpegs

from seatrial.machine.openmp import brief_spinning

WARMUP = 5
"""Steps before those that are counted: kernels are chosen and memory is taken in them."""
CLASSES = 1000
LOOPS = ("seatrial", "examples", "timm")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """What to train, and how much of it."""

    loop: str
    network: str
    size: int
    precision: str
    batch_size: int
    steps: int
    workers: int
    data: str

    @property
    def total(self) -> int:
        return WARMUP + self.steps


@dataclass
class Watch:
    """What the steps of a loop took, in seconds."""

    case: Case
    waits: list[float] = field(default_factory=list)
    wholes: list[float] = field(default_factory=list)
    """Of each step, from the end of the one before."""
    optimiser: list[float] = field(default_factory=list)
    memory_bytes: int = 0

    def __post_init__(self) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

        register_optimizer_step_pre_hook(lambda *_: self.optimiser.append(-time.perf_counter()))
        register_optimizer_step_post_hook(lambda *_: self._end_optimiser())

    def _end_optimiser(self) -> None:
        self.optimiser[-1] += time.perf_counter()
        if len(self.optimiser) == self.case.total:
            self.memory_bytes = measure_memory()

    def run(self, batches: Iterable[Any], step: Callable[[Any], None]) -> None:
        """Time a peer's loop as both time themselves: the wait for images, and the whole step."""
        end = time.perf_counter()
        for batch in batches:
            self.waits.append(time.perf_counter() - end)
            step(batch)
            now = time.perf_counter()
            self.wholes.append(now - end)
            end = now
            if len(self.wholes) == self.case.total:
                return

    def describe(self) -> dict[str, float]:
        """Means over the steps that count."""
        counted = slice(WARMUP, self.case.total)
        whole, wait, optimiser = (statistics.fmean(x[counted]) for x in (self.wholes, self.waits, self.optimiser))
        return {
            "images_per_s": self.case.batch_size / whole,
            "wait_ms": 1e3 * wait,
            "compute_ms": 1e3 * (whole - wait - optimiser),
            "optimiser_ms": 1e3 * optimiser,
            "memory_bytes": self.memory_bytes,
        }


def measure_memory() -> int:
    """The most that this process held, and what its children have for themselves."""
    import psutil

    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return own + sum(child.memory_full_info().uss for child in psutil.Process().children(recursive=True))


def run_seatrial(case: Case, watch: Watch) -> None:
    """Our own, as the command line runs it; its log tells each step's times."""
    from seatrial.workflow.train import train_recipe
    from seatrial.workflow.train_spec import TrainSpec

    settings = {
        "epochs": 1,
        "batch_size": case.batch_size,
        "max_train_steps": case.total,
        "max_eval_steps": 1,
        "size": case.size,
        "amp": {"fp32": "off"}.get(case.precision, case.precision),
        "workers": case.workers,
    }
    with tempfile.TemporaryDirectory() as output:
        train_recipe(TrainSpec(case.network, Path(case.data), Path(output), settings))
        lines = [json.loads(line) for line in (Path(output) / "train.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line.get("event") == "step"]
    watch.waits += [step["data_s"] for step in steps]
    watch.wholes += [step["data_s"] + step["compute_s"] for step in steps]


def run_examples(case: Case, watch: Watch) -> None:
    """As main.py: ImageFolder, float tensors from the workers, SGD, top-1 and top-5 of every step read back."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    crop = [transforms.RandomResizedCrop(case.size), transforms.RandomHorizontalFlip()]
    chain = transforms.Compose([*crop, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    dataset = datasets.ImageFolder(f"{case.data}/train", chain)
    loader = DataLoader(dataset, case.batch_size, shuffle=True, num_workers=case.workers)
    model, criterion = build(case.network).train(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)

    def step(batch: Any) -> None:
        images, target = batch
        output = model(images)
        loss = criterion(output, target)
        right = output.topk(5).indices.eq(target[:, None])
        loss.item(), right[:, 0].float().mean().item(), right.any(1).float().mean().item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    watch.run(loader, step)


def run_timm(case: Case, watch: Watch) -> None:
    """As timm's train.py: its dataset, loader with prefetcher, optimiser and smoothed loss, read back now and then."""
    import torch
    from timm.data import create_dataset, create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2

    loader = create_loader(
        create_dataset("", root=f"{case.data}/train", is_training=True),
        input_size=(3, case.size, case.size),
        batch_size=case.batch_size,
        is_training=True,
        color_jitter=0.0,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=case.workers,
        device=torch.device("cpu"),
        use_prefetcher=True,
    )
    model = build(case.network).to(memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)
    criterion = LabelSmoothingCrossEntropy(0.1)

    def step(batch: Any) -> None:
        images, target = batch
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16"):
            loss = criterion(model(images), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    watch.run(loader, step)


RUNS = {"seatrial": run_seatrial, "examples": run_examples, "timm": run_timm}


def build(network: str) -> Any:
    """The network that all of them train."""
    from seatrial.models.build import build_network
    from seatrial.recipes import load_recipe

    return build_network(load_recipe(network).network)


def run_case(case: Case) -> None:
    """Run one loop in this process and print what its steps took."""
    warnings.simplefilter("ignore")
    # The watch loads torch, which `train_recipe` would otherwise do, with this.
    with brief_spinning() if case.loop == "seatrial" else nullcontext():
        watch = Watch(case)
    RUNS[case.loop](case, watch)
    print(json.dumps(watch.describe()))


def measure(case: Case) -> dict[str, float]:
    """What a loop's steps take, in a fresh process."""
    words = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
    told = subprocess.run(words, capture_output=True, text=True, check=False)
    if told.returncode:
        raise SystemExit(f"{case}\n{told.stderr}")
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def make_data(folder: Path, images: int) -> Path:
    """`train/CLASS/NAME` of so many JPEG files, and the same as `val`."""
    data = folder / f"class-folders-{images}"
    if data.exists():
        return data
    files = make_jpegs(folder / f"jpegs-{images}", images)
    for index, file in enumerate(files):
        target = data / "train" / f"n{index % CLASSES:08d}" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(file)
    (data / "val").symlink_to("train")
    return data


def print_table(found: dict[tuple[str, ...], list[dict[str, float]]]) -> None:
    """A line for each loop, and how many times the better peer's speed ours has, in the same round."""
    columns = ("network", "size", "", "loop", "images/s", "lowest", "highest", "wait ms", "compute", "optim.", "wait")
    widths = (14, 5, 6, 10, 9, 8, 8, 9, 9, 8, 7)
    print("".join(f"{c:<{w}}" if i < 4 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(columns, widths, strict=True))))
    for (*names, loop), rounds in found.items():
        rates = [one["images_per_s"] for one in rounds]
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        wait, compute, optimiser = (middle[f"{part}_ms"] for part in ("wait", "compute", "optimiser"))
        share = wait / (wait + compute + optimiser)
        figures = [statistics.median(rates), min(rates), max(rates), wait, compute, optimiser]
        line = [f"{n:<{w}}" for n, w in zip((*names, loop), widths, strict=False)]
        line += [f"{value:>{w}.1f}" for value, w in zip(figures, widths[4:], strict=False)]
        print("".join(line) + f"{share:>{widths[-1]}.1%}{middle['memory_bytes'] / 2**30:>7.2f} GiB")
        peers = [found[*names, peer] for peer in LOOPS[1:] if (*names, peer) in found]
        if loop == "seatrial" and peers:
            best = [max(peer[i]["images_per_s"] for peer in peers) for i in range(len(rounds))]
            ratio = statistics.median(a / b for a, b in zip(rates, best, strict=True))
            print(f"{'':<{sum(widths[:3])}}{ratio:.2f}× the better peer")


def main() -> None:
    """Measure and print the table."""
    from seatrial.machine.cpu import count_cores
    from seatrial.machine.environment import read_environment

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet50", "spnasnet_100"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[224, 64])
    parser.add_argument("--precisions", nargs="+", default=["bf16", "fp32"], choices=["bf16", "fp32"])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=count_cores())
    parser.add_argument("--loops", nargs="+", default=LOOPS, choices=LOOPS)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm/benchmark-train"))
    parser.add_argument("--case", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        return run_case(Case(**json.loads(asked.case)))
    images = max(CLASSES, (WARMUP + asked.steps) * asked.batch_size)
    data = str(make_data(asked.folder, images))
    found: dict[tuple[str, ...], list[dict[str, float]]] = {}
    for _ in range(asked.rounds):
        for network in asked.networks:
            for size in asked.sizes:
                for precision in asked.precisions:
                    for loop in asked.loops:
                        if (loop, precision) == ("examples", "bf16"):
                            continue
                        case = Case(loop, network, size, precision, asked.batch_size, asked.steps, asked.workers, data)
                        found.setdefault((network, str(size), precision, loop), []).append(measure(case))
                        print(case, found[network, str(size), precision, loop][-1], file=sys.stderr, flush=True)
    environment = read_environment()
    print(f"{environment.cpu}, {environment.cores} cores; Python {environment.python}")
    print(f"batches of {asked.batch_size} from JPEG files of 500×375, {asked.workers} workers; ", end="")
    print(f"{asked.steps} steps after {WARMUP}, medians of {asked.rounds} rounds")
    print_table(found)


if __name__ == "__main__":
    main()
