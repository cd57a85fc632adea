"""What engines are checked on: a small network whose logits are known in float64, and the engine built of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.engines import get_engine
from seatrial.engines.base import EngineFile, GraphFile, Session
from seatrial.engines.engine_folder import BuildSpec, build_engine, read_graph
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.recipes import Recipe
from seatrial.store.files import hash_file, manifest_path
from seatrial.store.records import GraphManifest, TensorSpec

SIZE, CHANNELS, CLASSES, IMAGES = 32, 8, 4, 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CARD: Mapping[str, Any] = {
    "name": "engine-check",
    "title": "Two convolutions with a sum around the second",
    "network": {"name": "engine-check", "classes": CLASSES},
    "preprocess": [
        {"step": "center_crop", "size": [SIZE, SIZE]},
        {"step": "to_float"},
        {"step": "normalise", "mean": MEAN, "std": STD},
    ],
}
Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class EngineCase:
    """A network, pictures, and what it gives for them."""

    graph: GraphFile
    other: GraphFile
    """The same network with other weights."""
    pixels: NDArray[Any]
    """At least twelve pictures as the graph takes them (n, …)."""
    expected: NDArray[np.float64]
    """Logits (n, classes) of the pictures, computed in float64 without the engine."""


@dataclass(frozen=True)
class EngineSubject:
    """An engine, and a folder to build it in."""

    spec: BuildSpec
    case: EngineCase
    folder: Path
    exact: bool = False
    """An image's logits are the same to the bit in every batch; else within rounding."""

    @cached_property
    def file(self) -> EngineFile:
        """The engine built of the case's graph; built when it is first used."""
        return build_engine(self.case.graph, self.spec, self.folder / "engine")

    def build(self, name: str, graph: GraphFile | None = None, **changes: Any) -> EngineFile:
        """Another build, in a folder of that name."""
        return build_engine(graph or self.case.graph, replace(self.spec, **changes), self.folder / name)

    def open(self, file: EngineFile | None = None, batch_size: int | None = None, streams: int = 1) -> Session:
        """A session of the engine, or of another build."""
        file = file or self.file
        return get_engine(self.spec.engine).open(file, file.manifest.device, batch_size, streams)


def make_case(folder: Path) -> EngineCase:
    """Write both graphs with their manifests to a folder; needs onnx and numpy only."""
    pixels, weights = draw_pixels(IMAGES), draw_weights(1)
    graph, other = write_graph(folder / "model.onnx", weights), write_graph(folder / "other.onnx", draw_weights(2))
    return EngineCase(graph, other, pixels, compute_logits(pixels, weights))


def draw_pixels(count: int) -> NDArray[np.uint8]:
    """Pictures (n, size, size, 3) of a colour each, with coarse blocks of others and fine noise."""
    rng = np.random.default_rng(7)
    colours = rng.choice((0, 80, 160), (count, 1, 1, 3))
    blocks = rng.integers(0, 64, (count, 4, 4, 3)).repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)
    return (colours + blocks + rng.integers(0, 32, blocks.shape)).astype(np.uint8)


def draw_weights(seed: int) -> Weights:
    """Weights by name, scaled so that signals keep their size."""
    rng = np.random.default_rng(seed)
    shapes = {"first": (CHANNELS, 3, 3, 3), "second": (CHANNELS, CHANNELS, 3, 3), "last": (CLASSES, CHANNELS)}
    return {
        name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        for name, shape in shapes.items()
    }


def compute_logits(pixels: NDArray[np.uint8], weights: Weights) -> NDArray[np.float64]:
    """Logits (n, classes) in float64."""
    values = ((pixels / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    first = np.maximum(_convolve(values, weights["first"]), 0)
    summed = np.maximum(_convolve(first, weights["second"]) + first, 0)
    logits: NDArray[np.float64] = summed.mean(axis=(2, 3)) @ weights["last"].T.astype(np.float64)
    return logits


def _convolve(values: NDArray[np.float64], kernel: NDArray[np.float32]) -> NDArray[np.float64]:
    """3×3, one pixel of zeros around (n, channels, rows, columns)."""
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    summed: NDArray[np.float64] = np.einsum("ncyxij,ocij->noyx", windows, kernel.astype(np.float64), optimize=True)
    return summed


def write_graph(path: Path, weights: Weights) -> GraphFile:
    """The network with its preprocessing as an ONNX file of uint8 (n, size, size, 3), its manifest beside it."""
    recipe = Recipe.read(CARD, "the network of the engine checks")
    model = fuse_preprocess(_make_network(weights), recipe)
    onnx.save(model, path)
    image, logits = (None, SIZE, SIZE, 3), (None, CLASSES)
    GraphManifest(
        key="engine-check",
        recipe=recipe.model_dump(mode="json", exclude_none=True),
        checkpoint=f"{path.stem}.safetensors",
        checkpoint_sha256="",
        sha256=hash_file(path),
        opset=model.opset_import[0].version,
        exporter="seatrial.testing",
        simplified=False,
        fused=True,
        input=TensorSpec(name="image", dtype="uint8", shape=image, layout="NHWC"),
        output=TensorSpec(name="logits", dtype="float32", shape=logits, layout="NC"),
        preprocess_hash=make_pipeline(recipe).hash,
        parity=(),
        versions={"onnx": version("onnx")},
    ).save(manifest_path(path))
    return read_graph(path)


def _make_network(weights: Weights) -> onnx.ModelProto:
    around: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["c1"], name="c1", **around),
        helper.make_node("Relu", ["c1"], ["r1"], name="r1"),
        helper.make_node("Conv", ["r1", "second"], ["c2"], name="c2", **around),
        helper.make_node("Add", ["c2", "r1"], ["sum"], name="sum"),
        helper.make_node("Relu", ["sum"], ["r2"], name="r2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["mean"], name="mean"),
        helper.make_node("Flatten", ["mean"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "last"], ["logits"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "engine-check",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
