"""A small network that one layer spoils in int8: a channel of its input is 3,000 times as large as the others.

An activation has one scale for all its channels, so beside that channel the others vanish; in float nothing is lost.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from seatrial.data.preprocessing.steps import hash_steps
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.export.graph import run_graph
from seatrial.models.onnx_file import read_facts
from seatrial.recipes.schema import Recipe
from seatrial.store.files import hash_file
from seatrial.store.records import GraphManifest

SIZE = 12
CLASSES = 4
SPOILED = "conv3"
RECIPE = Recipe.read(
    {
        "name": "uneven",
        "title": "Uneven",
        "network": {"name": "uneven", "classes": CLASSES},
        "preprocess": [
            {"step": "center_crop", "size": [SIZE, SIZE]},
            {"step": "to_float"},
            {"step": "normalise", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        ],
    },
    "uneven",
)


def make_network(uneven: float = 3000.0, opset: int = 13, batch: int | str = "batch") -> onnx.ModelProto:
    """Four convolutions and their mean on float32 (n, 3, 12, 12); logits are centred on those of `draw_pixels`."""
    rng = np.random.default_rng(0)
    kernels = [rng.standard_normal((8, channels, 3, 3)).astype(np.float32) / 5 for channels in (3, 8, 8)]
    kernels[1][0] *= uneven
    kernels[2][:, 0] /= uneven
    weights = {f"kernel{i}": kernel for i, kernel in enumerate(kernels, start=1)}
    weights["kernel4"] = rng.standard_normal((CLASSES, 8, 1, 1)).astype(np.float32)
    plain = _build({**weights, "bias": np.zeros(CLASSES, np.float32)}, opset, "batch")
    pixels = draw_pixels(64)
    centre = run_graph(fuse_preprocess(plain, RECIPE), pixels).mean(axis=0)
    return _build({**weights, "bias": -centre}, opset, batch)


def _build(weights: dict[str, np.ndarray], opset: int, batch: int | str) -> onnx.ModelProto:
    nodes, value = [], "image"
    for i in (1, 2, 3):
        nodes.append(helper.make_node("Conv", [value, f"kernel{i}"], [f"sum{i}"], f"conv{i}"))
        nodes.append(helper.make_node("Relu", [f"sum{i}"], [f"positive{i}"], f"relu{i}"))
        value = f"positive{i}"
    nodes.append(helper.make_node("Conv", [value, "kernel4", "bias"], ["scores"], "conv4"))
    nodes.append(helper.make_node("GlobalAveragePool", ["scores"], ["pooled"], "pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["class"], "flatten"))
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIZE, SIZE]),
        helper.make_tensor_value_info("class", TensorProto.FLOAT, [batch, CLASSES]),
    ]
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "uneven", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def draw_pixels(count: int, seed: int = 0) -> np.ndarray:
    """A colour each on the right, the same bright noise on the left of all, uint8 (count, 12, 12, 3).

    NNCF takes the mean of the images' largest values for the range of an activation: the noise makes them alike.
    """
    colours = np.random.default_rng(seed).integers(0, 256, (count, 1, 1, 3), dtype=np.uint8)
    pixels = np.broadcast_to(colours, (count, SIZE, SIZE, 3)).copy()
    noise = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (SIZE // 3, SIZE // 3, 3))
    pixels[:, :, : SIZE // 3] = np.tile(noise, (3, 1, 1))
    return pixels


def write_images(folder: Path, count: int, seed: int) -> list[Path]:
    """Those patches as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"patch_{i:03d}.png" for i in range(count)]
    for path, pixels in zip(paths, draw_pixels(count, seed), strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def write_graph(path: Path, model: onnx.ModelProto, fuse: bool = True) -> Path:
    """Store the network as a graph with its manifest."""
    made = fuse_preprocess(model, RECIPE) if fuse else model
    onnx.save(made, path)
    facts = read_facts(made)
    GraphManifest(
        key="uneven",
        recipe=RECIPE.model_dump(mode="json", exclude_none=True),
        checkpoint="checkpoint.safetensors",
        checkpoint_sha256="c",
        sha256=hash_file(path),
        opset=facts.opset,
        exporter="none",
        simplified=True,
        fused=fuse,
        input=facts.input,
        output=facts.output,
        preprocess_hash=hash_steps(RECIPE.preprocess),
        parity=(),
        versions={},
    ).save(path.with_name(path.name + ".json"))
    return path
