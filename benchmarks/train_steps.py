"""A step's arithmetic alone, on a CPU: what keeping freed memory and what bf16 are worth, in fresh processes in turns.

    python benchmarks/train_steps.py [--networks resnet50 spnasnet_100 …] [--sizes 64 224] [--rounds 2] [--split]

`train` is forward, loss, backward and SGD on 32 images of random pixels, channels_last; `infer` a batch of 8 at 224 px
in fp32. `usual` leaves the C library's heap as it is, `kept` is within `machine.allocator.kept_heap`. Printed are mean
milliseconds, as now and then a step waits for memory, of each round. `--split` prints what a `train` step spends its
time in instead, by torch's own profiler.
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
KERNELS = {
    "convolutions": ("mkldnn_convolution", "convolution_backward", "thnn_conv", "_slow_conv", "mkldnn_reorder"),
    "BatchNorm": ("batch_norm",),
    "activations": ("clamp_min", "threshold_backward", "relu", "hardtanh", "silu"),
    "matrix products": ("aten::addmm", "aten::mm", "aten::linear"),
    "sums, casts, copies": ("aten::add", "aten::copy_", "aten::_to_copy", "aten::fill_", "aten::zero_"),
    "pooling": ("pool", "aten::mean", "aten::expand", "aten::div"),
    "optimiser": ("Optimizer", "_fused_sgd"),
}
"""What is in the names of torch's operators, by what they compute."""


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

    with kept_heap() if heap != "usual" else contextlib.nullcontext():
        if heap == "split":
            print(json.dumps(split_step(train)))
        else:
            print(1000 * time_steps({"train": train, "infer": infer}[work]))


def split_step(step: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds of a step by what torch's operators compute."""
    from torch.profiler import ProfilerActivity, profile

    for _ in range(WARMUP):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(WARMUP):
            step()
    groups = dict.fromkeys([*KERNELS, "the rest"], 0.0)
    for event in found.key_averages():
        group = next((g for g, words in KERNELS.items() if any(word in event.key for word in words)), "the rest")
        groups[group] += event.self_cpu_time_total / 1000 / WARMUP
    return groups


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


def measure(*case: str | int) -> Any:
    """A case in a fresh process."""
    words = [sys.executable, __file__, "--case", json.dumps(case)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def print_split(networks: list[str], sizes: list[int]) -> None:
    """What a step spends its time in."""
    print(f"{'network':<14}{'px':<5}{'':<6}{'ms':>7}  " + "".join(f"{name:>21}" for name in [*KERNELS, "the rest"]))
    for name in networks:
        for size in sizes:
            for amp in ("bf16", "fp32"):
                groups = measure("train", name, size, amp, "split")
                whole = sum(groups.values())
                print(f"{name:<14}{size:<5}{amp:<6}{whole:>7.0f}  ", end="")
                print("".join(f"{ms / whole:>21.1%}" for ms in groups.values()), flush=True)


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet50", "spnasnet_100"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 224])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        return run_case(*json.loads(asked.case))
    if asked.split:
        return print_split(asked.networks, asked.sizes)
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
