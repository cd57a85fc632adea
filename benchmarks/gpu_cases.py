"""Networks with weights and right answers of their own, for `benchmarks/gpu.py`: no checkpoint has to be there."""

import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from seatrial.data.preprocessing.steps import normalise
from seatrial.models.build import build_network, sketch_network
from seatrial.models.checkpoint import load_checkpoint, store_checkpoint
from seatrial.recipes import load_recipe
from seatrial.recipes.schema import Recipe
from seatrial.store.records import EngineManifest, EngineModel, GraphManifest, TensorSpec

PICTURES = 64
LARGEST_ERROR = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 1e-1}
"""Relative, Frobenius, of logits from which the pictures' mean is taken: that mean would hide what differs."""
LEAST_AGREEMENT = {"fp32": 0.98, "fp16": 0.9, "bf16": 0.75}
"""Share of pictures with the same first class; those of random weights lie close together."""


@dataclass(frozen=True, slots=True)
class Case:
    """One network: what engines and the check need of it."""

    recipe: Recipe
    engine: EngineManifest
    folder: Path
    pictures: np.ndarray
    wanted: np.ndarray
    """Logits of fp32 eager on the CPU."""
    flops: int
    """Of one picture."""


def make_weight(name: str, like: torch.Tensor) -> torch.Tensor:
    """The weight of that name: no branch is zero, as in a fresh ResNet, and no statistic trivial."""
    if name.endswith("num_batches_tracked"):
        return like
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (like.dim() == 1 and name.endswith("weight")):
        lowest, width = (0.5, 1.0) if name.endswith("running_var") else (0.5, 0.5)
        return lowest + width * torch.rand(like.shape, generator=generator)
    scale = 0.1 if like.dim() == 1 else (2 / prod(like.shape[1:])) ** 0.5
    return scale * torch.randn(like.shape, generator=generator)


def draw_pictures(size: tuple[int, int]) -> np.ndarray:
    """Blurred colours of different mean and contrast: random networks hardly tell noise from other noise."""
    rng = np.random.default_rng(1)
    mean, contrast = rng.uniform(0, 256, (PICTURES, 1, 1, 3)), rng.uniform(0, 60, (PICTURES, 1, 1, 1))
    coarse = (mean + contrast * rng.standard_normal((PICTURES, 8, 8, 3))).clip(0, 255).astype(np.uint8)
    rows, columns = (-(-side // 8) for side in size)
    return np.ascontiguousarray(np.kron(coarse, np.ones((1, rows, columns, 1), np.uint8))[:, : size[0], : size[1]])


def make_case(name: str, folder: Path) -> Case:
    """Weights, pictures and right answers; written as an engine folder of the torch engine."""
    recipe = load_recipe(name)
    network = build_network(recipe.network).eval()
    network.load_state_dict({key: make_weight(key, like) for key, like in network.state_dict().items()})
    pictures = draw_pictures(recipe.input_size)
    head = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        logits = network(torch.from_numpy(normalise(pictures, recipe)))
        head.bias -= logits.mean(0)
    folder.mkdir()
    torch.save(network.state_dict(), folder / "source.pth")
    loaded = load_checkpoint(folder / "source.pth", recipe)
    stored = store_checkpoint(loaded, folder / "checkpoint.safetensors")
    meta = sketch_network(recipe.network).eval()
    with FlopCounterMode(display=False) as counter:
        meta(torch.empty(1, 3, *recipe.input_size, device="meta"))
    engine = describe_engine(recipe, stored.sha256)
    return Case(recipe, engine, folder, pictures, (logits - logits.mean(0)).numpy(), counter.get_total_flops())


def describe_engine(recipe: Recipe, sha256: str) -> EngineManifest:
    """As `seatrial compile` would write it, but that no ONNX file was made."""
    pixels = TensorSpec(name="input", dtype="uint8", shape=(None, *recipe.input_size, 3), layout="NHWC")
    logits = TensorSpec(name="output", dtype="float32", shape=(None, recipe.network.classes), layout="NC")
    graph = GraphManifest(
        key="",
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        checkpoint="checkpoint.safetensors",
        checkpoint_sha256=sha256,
        sha256="",
        opset=0,
        exporter="none",
        simplified=False,
        fused=True,
        input=pixels,
        output=logits,
        preprocess_hash="",
        parity=(),
        versions={},
    )
    return EngineManifest(
        key="",
        engine="torch",
        sdk_version=version("torch"),
        device="",
        precision="fp32",
        executed={},
        options={},
        files=(EngineModel(path="checkpoint.safetensors", sha256=sha256, batch_size=None),),
        companions={},
        input=pixels,
        output=logits,
        graph=graph,
    )


def check(run: Callable[[np.ndarray], np.ndarray], case: Case, batch: int, threads: int) -> tuple[float, float]:
    """Share of equal first classes and relative error on all pictures, in whole batches."""
    order = np.arange(-(-PICTURES // batch) * batch) % PICTURES
    parts = [case.pictures[part] for part in order.reshape(-1, batch)]
    if threads == 1:
        answers = list(map(run, parts))
    else:
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(run, parts))
    found = np.concatenate(answers)[:PICTURES]
    error = float(np.linalg.norm(found - case.wanted) / np.linalg.norm(case.wanted))
    return float((found.argmax(1) == case.wanted.argmax(1)).mean()), error


def find_faults(precision: str, agreement: float, error: float) -> list[str]:
    """Why answers are not right; empty when they are."""
    faults = []
    if not error <= LARGEST_ERROR[precision]:
        faults.append(f"relative error {error:.2g} above {LARGEST_ERROR[precision]}")
    if agreement < LEAST_AGREEMENT[precision]:
        faults.append(f"top-1 agrees on {agreement:.0%}, not {LEAST_AGREEMENT[precision]:.0%}")
    return faults
