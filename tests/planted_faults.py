"""Faults planted in a copy of a run folder, one each. Manifests get the new hashes, so that only numbers tell."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from PIL import Image

from golden_weights import fill_golden_weights
from seatrial.data.bins.write import name_bins
from seatrial.data.labels import list_images
from seatrial.data.preprocessing.steps import apply_pixel_steps, center_crop, find_target, normalise
from seatrial.models.build import build_network
from seatrial.recipes import Recipe, load_recipe
from seatrial.recipes.steps import CenterCrop, Resize
from seatrial.store.files import hash_file
from seatrial.store.records import CheckpointManifest, EngineManifest, GraphManifest
from tiny_trial import CLASSES, NETWORK, TinyTrial, make_trial

Pixels = Callable[[Image.Image, Recipe], np.ndarray]


def make_diagnosed_trial(folder: Path, network: str = NETWORK) -> TinyTrial:
    """The miniature trial with pictures full of detail, a colour for each class, and a last layer that tells them.

    Random weights give nearly the same answer to everything, and what they answer is mostly rounding.
    """
    trial = make_trial(folder, network=network)
    rng = np.random.default_rng(1)
    for place in (trial.images, *sorted((folder / "train").iterdir())):
        for path in list_images(place):
            _draw_detail(path, int(path.stem.rpartition("_")[2]) % CLASSES, rng)
    recipe = load_recipe(str(trial.card))
    paths = list_images(trial.images)
    pixels = np.stack([make_pixels(Image.open(path), recipe) for path in paths])
    images = torch.from_numpy(normalise(pixels, recipe))
    built = build_network(recipe.network).eval()
    fill_golden_weights(built, "tiny")
    _fit_last_layer(built, images, torch.arange(len(paths)) % CLASSES)
    torch.save(built.state_dict(), trial.checkpoint)
    with torch.inference_mode():
        answers = built(images).argmax(dim=1).tolist()
    write_labels(trial.labels, {path.name: answer for path, answer in zip(paths, answers, strict=True)})
    return trial


def _draw_detail(path: Path, kind: int, rng: np.random.Generator) -> None:
    """Coarse patches and fine grain around red, green, blue or grey."""
    colour = np.array([(170, 90, 90), (90, 170, 90), (90, 90, 170), (128, 128, 128)][kind])
    coarse = np.clip(colour + rng.normal(0, 40, (*rng.integers(2, 9, 2), 3)), 0, 255).astype(np.uint8)
    size = (int(rng.integers(60, 110)), int(rng.integers(60, 110)))
    drawn = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=float)
    grainy = drawn + rng.normal(0, rng.uniform(20, 30), drawn.shape)
    Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(path, "JPEG", quality=95)


def _fit_last_layer(network: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Let each class look along the mean of its pictures' features, seen from the mean of all."""
    with torch.inference_mode():
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        means = torch.stack([features[labels == kind].mean(dim=0) for kind in range(CLASSES)])
        centre = means.mean(dim=0)
        away = means - centre
        away *= 4 / ((features - centre) @ away.T).std()
        network.fc.weight.copy_(away)
        network.fc.bias.copy_(-away @ centre)


def write_labels(path: Path, labels: dict[str, int]) -> None:
    path.write_text("".join(f"{name} {label}\n" for name, label in sorted(labels.items())))


def move_labels(labels: Path, output: Path, classes: int, wrap: bool = False) -> Path:
    """The labels plus one: with `wrap` the last class becomes the first."""
    lines = [line.split() for line in labels.read_text().splitlines()]
    moved = {name: (int(label) + 1) % (classes if wrap else classes + 1) for name, label in lines}
    write_labels(output, moved)
    return output


def make_pixels(image: Image.Image, recipe: Recipe) -> np.ndarray:
    """As the card says."""
    return apply_pixel_steps(image.convert("RGB"), recipe.preprocess)


def resize_as_opencv(image: Image.Image, recipe: Recipe) -> np.ndarray:
    """What scripts on cv2.resize make: torch's bilinear without antialiasing has the same two taps."""
    resize = next(step for step in recipe.preprocess if isinstance(step, Resize))
    crop = next((step for step in recipe.preprocess if isinstance(step, CenterCrop)), None)
    width, height = find_target(image.size, resize)
    planes = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)[None].float()
    made = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", align_corners=False)
    pixels = Image.fromarray(made[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy())
    return np.asarray(center_crop(pixels, crop) if crop else pixels)


def swap_colours(image: Image.Image, recipe: Recipe) -> np.ndarray:
    return make_pixels(image, recipe)[:, :, ::-1]


def shift_crop(image: Image.Image, recipe: Recipe) -> np.ndarray:
    """A crop one row lower and two columns further left."""
    return np.roll(make_pixels(image, recipe), (-1, 2), axis=(0, 1))


def write_bins(images: Path, output: Path, recipe: Recipe, make: Pixels = make_pixels, form: str = "float") -> Path:
    """Bins of all images as a guide's script might write them: float (CHW), transposed (HWC) or uint8 (HWC)."""
    output.mkdir()
    for name, path in name_bins(list_images(images)).items():
        pixels = np.ascontiguousarray(make(Image.open(path), recipe))
        floats = normalise(pixels[None], recipe)[0]
        content = {"float": floats, "transposed": floats.transpose(1, 2, 0), "uint8": pixels}[form]
        (output / name).write_bytes(np.ascontiguousarray(content).tobytes())
    return output


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Replace a graph and put its hash into the manifest beside it."""
    path.unlink()
    onnx.save(model, path)
    beside = path.with_name(path.name + ".json")
    GraphManifest.load(beside).model_copy(update={"sha256": hash_file(path)}).save(beside)


def rehash_engine(folder: Path) -> None:
    """Put the hashes of an engine's files as they are now into its manifest."""
    manifest = EngineManifest.load(folder / "engine.json")
    files = tuple(m.model_copy(update={"sha256": hash_file(folder / m.path)}) for m in manifest.files)
    companions = {name: hash_file(folder / name) for name in manifest.companions}
    manifest.model_copy(update={"files": files, "companions": companions}).save(folder / "engine.json")


def change_weight(model: onnx.ModelProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    weight = next(weight for weight in model.graph.initializer if weight.name == name)
    changed = change(numpy_helper.to_array(weight)).astype(numpy_helper.to_array(weight).dtype)
    weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(changed), name))


def change_bias(run: Path) -> None:
    """One number of the last layer's bias in the stored graph."""
    model = onnx.load(run / "model.onnx")
    add_to_bias(model, 0.05)
    save_graph(model, run / "model.onnx")


def add_to_bias(model: onnx.ModelProto, amount: float) -> str:
    """Add to the first number of the last layer's bias; its name."""
    last = [node for node in model.graph.node if node.op_type in ("Gemm", "Conv")][-1]
    change_weight(model, last.input[2], lambda bias: bias + np.eye(len(bias))[0] * amount)
    return str(last.input[2])


def reverse_means(run: Path) -> None:
    """The fused mean and standard deviation in BGR order."""
    model = onnx.load(run / "model.onnx")
    for name in ("preprocess_mean", "preprocess_scale"):
        change_weight(model, name, lambda values: values[:, ::-1])
    save_graph(model, run / "model.onnx")


def reverse_order(run: Path) -> None:
    """Red and blue swapped inside the graph, ahead of mean and standard deviation."""
    model = onnx.load(run / "model.onnx")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "preprocess_order"))
    nodes = list(model.graph.node)
    at = next(i for i, node in enumerate(nodes) if node.op_type == "Sub")
    swap = helper.make_node("Gather", [nodes[at].input[0], "preprocess_order"], ["preprocess_bgr"], "swap", axis=1)
    nodes[at].input[0] = "preprocess_bgr"
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], swap, *nodes[at:]])
    save_graph(model, run / "model.onnx")


def change_scale(run: Path) -> None:
    """The scale of one layer's weights in the int8 graph, doubled."""
    model = onnx.load(run / "model-int8.onnx")
    weights = {weight.name: weight.dims for weight in model.graph.initializer}
    linear = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in weights]
    scale = next(node.input[1] for node in linear if len(weights[node.input[0]]) == 4)
    change_weight(model, scale, lambda scales: scales * 2)
    save_graph(model, run / "model-int8.onnx")


def change_onnxruntime(run: Path) -> None:
    """The bias once more, in the graph that the engine onnxruntime keeps."""
    folder = run / "engines" / "onnxruntime"
    path = next(folder.glob("*.onnx"))
    model = onnx.load(path)
    add_to_bias(model, 0.05)
    path.unlink()
    onnx.save(model, path)
    rehash_engine(folder)


def reverse_channels(kernel: np.ndarray) -> np.ndarray:
    """A kernel, (out, in, height, width), with its output channels the other way round."""
    return kernel[::-1]


def change_openvino(run: Path, name: str, change: Callable[[np.ndarray], np.ndarray] = reverse_channels) -> None:
    """The kernel of a layer in the middle, changed in a compiled OpenVINO engine of a free batch."""
    import openvino

    model = onnx.load(run / "model.onnx")
    kernels = [weight for weight in model.graph.initializer if len(weight.dims) == 4 and weight.dims[1] > 3]
    change_weight(model, kernels[len(kernels) // 2].name, change)
    folder = run / "engines" / name
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    core = openvino.Core()
    for path in folder.glob("*.xml"):
        openvino.save_model(core.read_model(model.SerializeToString()), path, compress_to_fp16=False)
    rehash_engine(folder)


def change_torch(run: Path) -> None:
    """One tensor of the weights that the engine torch keeps."""
    from safetensors.torch import load_file, save

    path = run / "engines" / "torch" / "checkpoint.safetensors"
    weights = load_file(path)
    key = next(key for key in weights if key.endswith("conv1.weight"))
    weights[key] = weights[key] * 1.1
    packed, beside = save(weights), path.with_name(path.name + ".json")
    manifest = CheckpointManifest.load(beside)
    for old in (path, beside):
        old.unlink()
    path.write_bytes(packed)
    manifest.model_copy(update={"sha256": hash_file(path)}).save(beside)
    rehash_engine(path.parent)
