"""A step's arithmetic alone, on a CPU: what keeping freed memory and what bf16 are worth, in fresh processes in turns.

    python benchmarks/train_steps.py [--networks resnet50 spnasnet_100 …] [--sizes 64 224] [--rounds 2]

`train` is forward, loss, backward and SGD on 32 images of random pixels, channels_last; `infer` a batch of 8 at 224 px
in fp32. `usual` leaves the C library's heap as it is, `kept` is within `machine.allocator.kept_heap`. Printed are mean
milliseconds, as now and then a step waits for memory, of each round.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

WARMUP = 3
SECONDS = 5.0


def run_case(work: str, network: str, size: int, precision: str, heap: str) -> None:
    """Print the mean of a step, in milliseconds."""
    import torch

    from seatrial.machine.allocator import kept_heap
    from seatrial.models.build import build_network
    from seatrial.recipes import load_recipe

    torch.manual_seed(0)
    model = build_network(load_recipe(network).network).to(memory_format=torch.channels_last)
    model.train(work == "train")
    count = 32 if work == "train" else 8
    images = torch.randn(count, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (count,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True)

    def train() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = model(images)
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            model(images)

    with kept_heap() if heap == "kept" else contextlib.nullcontext():
        print(1000 * time_steps({"train": train, "infer": infer}[work]))


def time_steps(step: Callable[[], Any]) -> float:
    """Mean seconds of a step over `SECONDS`, at least five."""
    for _ in range(WARMUP):
        step()
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < 5:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.fmean(times)


def measure(*case: str | int) -> float:
    """A case in a fresh process."""
    words = [sys.executable, __file__, "--case", json.dumps(case)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet50", "spnasnet_100"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 224])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        return run_case(*json.loads(asked.case))
    print(f"{'network':<20}{'':<7}{'size':<6}{'':<6}{'usual, ms':<20}{'kept, ms':<20}usual/kept")
    for name in asked.networks:
        cases = [("train", size, amp) for size in asked.sizes for amp in ("bf16", "fp32")] + [("infer", 224, "fp32")]
        for work, size, amp in cases:
            rounds = [[measure(work, name, size, amp, heap) for heap in ("usual", "kept")] for _ in range(asked.rounds)]
            usual, kept = zip(*rounds, strict=True)
            told = ["  ".join(f"{ms:.0f}" for ms in times) for times in (usual, kept)]
            ratio = statistics.median(a / b for a, b in rounds)
            print(f"{name:<20}{work:<7}{size:<6}{amp:<6}{told[0]:<20}{told[1]:<20}{ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
