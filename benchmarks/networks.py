"""The five cards' networks with weights of a rule, as graphs to measure: published ones cannot be had everywhere.

A fresh timm ResNet has zero-initialised last BatchNorms, so its branches would compute nothing: here none is trivial.
"""

import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from seatrial.export.spec import ExportSpec
from seatrial.models.build import build_network
from seatrial.progress import silent
from seatrial.recipes import load_recipe
from seatrial.workflow.export import export_checkpoint
from seatrial.workflow.quantize import QuantizeSpec, quantize_graph

NETWORKS = ("resnet50", "spnasnet_100", "sk_resnet50", "resnext50_32x4d", "seresnext101_32x4d")
OPSET = 13
"""The guides' is 11, which has no scale for each channel."""
PICTURES = 192
HELD_OUT = 64
"""Of the pictures are never calibrated with: graphs are proved on them."""


def draw_weights(key: str, shape: torch.Size) -> torch.Tensor:
    """Weights that follow from a name: normal with variance 1 / fan-in, statistics and scales around 1."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if len(shape) > 1:
        values = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    elif key.endswith(("weight", "running_var")):
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = 0.1 * rng.standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32))


def make_checkpoint(name: str, folder: Path) -> Path:
    """The network's weights as safetensors."""
    path = folder / f"{name}-weights.safetensors"
    if not path.exists():
        state = build_network(load_recipe(name).network).state_dict()
        save_file({key: draw_weights(key, tensor.shape) for key, tensor in state.items()}, path)
    return path


def make_pictures(folder: Path) -> list[Path]:
    """Crops of scikit-learn's two photographs as JPEG files, 256×256."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.iterdir())) < PICTURES:
        from sklearn.datasets import load_sample_images

        photographs = load_sample_images().images
        for index in range(PICTURES):
            photograph = photographs[index % len(photographs)]
            rng = np.random.default_rng(index)
            top, left = (int(rng.integers(0, size - 256)) for size in photograph.shape[:2])
            cut = photograph[top : top + 256, left : left + 256]
            cut = cut[:, ::-1] if index % 3 == 0 else cut
            Image.fromarray(np.rot90(cut, index % 4)).save(folder / f"{index:04d}.JPEG", quality=90)
    return sorted(folder.iterdir())


def make_graphs(name: str, folder: Path) -> dict[str, Path]:
    """The network's fp32 graph, and the int8 one that is made of it; found again where they stand."""
    pictures = make_pictures(folder / "pictures")
    graphs = {"fp32": folder / f"{name}.onnx", "int8": folder / f"{name}-int8.onnx"}
    checkpoint = make_checkpoint(name, folder)
    export_checkpoint(
        load_recipe(name), checkpoint, graphs["fp32"], ExportSpec(opset=OPSET), pictures[:HELD_OUT], silent
    )
    listed = folder / "calibration.txt"
    listed.write_text("".join(f"{path.relative_to(folder)}\n" for path in pictures[HELD_OUT:]))
    quantize_graph(graphs["fp32"], QuantizeSpec(listed), graphs["int8"], silent)
    return graphs
