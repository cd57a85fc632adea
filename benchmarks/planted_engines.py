"""Faults in graphs and engines: exchanged, damaged, exported or quantised otherwise than they are said to be."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from planted_bench import Bench, Fault, Tried, differs, edit_json
from planted_stored import shake, write_weights
from planted_trial import Trial
from safetensors.torch import load_file

from seatrial.data.labels import list_images, spread
from seatrial.recipes import Recipe, load_recipe
from seatrial.store.files import hash_file

BATCH = 64


def list_engine_faults() -> Iterator[Fault]:
    """All of them."""
    yield Fault("engine: another file, its sha256 edited", "run", _exchange_file)
    yield Fault("engine: OpenVINO's cache with a flipped bit", "evaluate", _flip_cache)
    yield Fault("engine: of other weights, its key edited", "run", _exchange_engine)
    yield Fault("engine: of other weights under its name", "evaluate", _judge_other_engine)
    yield Fault("graph: int8 with most layers in float", "evaluate", _judge_mostly_float)
    yield Fault("graph: quantised dynamically, asked as fp32", "evaluate", _judge_dynamic)
    yield Fault("graph: exported in training mode", "evaluate", _judge_training_mode)
    yield Fault("sound: two classes, outputs in int8", "evaluate", _judge_two_classes, True)


def _reference(bench: Bench) -> Path:
    return bench.sound / "evaluation" / "torch.parquet"


def _wrong(bench: Bench, found: Path, name: str) -> bool:
    """Whether an engine's scores are not those of the sound run."""
    return differs(found / f"{name}.parquet", bench.sound / "evaluation" / f"{name}.parquet")


def _run_exchanged(bench: Bench, run: Path, name: str) -> Tried:
    tried = bench.run(bench.trial, run, name)
    return Tried(tried.code, tried.outcome, tried.reason, tried.silent and _wrong(bench, run / "evaluation", name))


def _exchange_file(bench: Bench) -> Tried:
    """A number of the last bias in the graph that onnxruntime keeps."""
    from planted_faults import add_to_bias

    run = bench.copy_run()
    folder = run / "engines" / "onnxruntime"
    path = next(folder.glob("*.onnx"))
    model = onnx.load(path)
    add_to_bias(model, 0.2)
    path.unlink()
    onnx.save(model, path)

    def name_file(manifest: dict[str, Any]) -> None:
        manifest["files"][0]["sha256"] = hash_file(path)

    edit_json(folder / "engine.json", name_file, seal=True)
    return _run_exchanged(bench, run, "onnxruntime")


def _flip_cache(bench: Bench) -> Tried:
    """The highest bit of a number's mantissa, in the last layer's bias inside a compiled blob."""
    run = bench.copy_run()
    folder = run / "engines" / "openvino"
    bench.judge(folder, _reference(bench))  # so that there is a blob for these very settings
    shutil.rmtree(bench.place / "found")
    bias = load_file(bench.trial.checkpoint)["fc.bias"].numpy().tobytes()
    flipped = 0
    for blob in folder.rglob("*.blob"):
        data = bytearray(blob.read_bytes())
        at = data.find(bias)
        if at >= 0:
            data[at + 4 * int(np.abs(np.frombuffer(bias, np.float32)).argmax()) + 2] ^= 0x40
            blob.write_bytes(data)
            flipped += 1
    if not flipped:
        return Tried(0, "no blob", "nothing is cached that holds the bias", False)
    ran = bench.judge(folder, _reference(bench))
    return Tried.of(ran, wrong=_wrong(bench, bench.place / "found", "openvino"))


def _compile_others(bench: Bench) -> Path:
    """An OpenVINO engine of weights that are nearly as good."""
    graph, engine = bench.place / "other" / "model.onnx", bench.place / "other" / "openvino"
    bench.cli.must("export", bench.trial.card, "--checkpoint", write_weights(bench, shake), "--output", graph)
    bench.cli.must("compile", graph, "--engine", "openvino", "--output", engine)
    return engine


def _exchange_engine(bench: Bench) -> Tried:
    import json

    run, other = bench.copy_run(), _compile_others(bench)
    target = run / "engines" / "openvino"
    key = json.loads((target / "engine.json").read_text())["key"]
    shutil.rmtree(target)
    shutil.copytree(other, target)
    edit_json(target / "engine.json", lambda manifest: manifest.update(key=key), seal=True)
    return _run_exchanged(bench, run, "openvino")


def _judge_other_engine(bench: Bench) -> Tried:
    """Its drop is its own and measured truly; that its weights are not the reference's is to be said beside it."""
    ran = bench.judge(_compile_others(bench), _reference(bench))
    return Tried.of(ran, wrong="its weights differ" not in ran.stdout)


def _judge_foreign(bench: Bench, graph: Path, precision: str, *more: object) -> Tried:
    """A graph that somebody else made, compiled for onnxruntime by the card and judged."""
    compiled = bench.compile(graph, bench.trial.card, "onnxruntime", precision, "onnxruntime")
    if compiled.code:
        return Tried.of(compiled)
    return Tried.of(bench.judge(bench.place / "onnxruntime", _reference(bench), *more))


def _load_floats(trial: Trial, count: int = 64) -> np.ndarray:
    """Training images as the card normalises them, (n, 3, height, width)."""
    from PIL import Image

    from planted_faults import make_pixels
    from seatrial.data.preprocessing.steps import normalise

    recipe: Recipe = load_recipe(str(trial.card))
    paths = spread([path for folder in sorted(trial.train.iterdir()) for path in list_images(folder)], count)
    return normalise(np.stack([make_pixels(Image.open(path), recipe) for path in paths]), recipe)


def _quantize(graph: Path, output: Path, images: np.ndarray, leave: Callable[[list[str]], list[str]]) -> None:
    """Quantise as onnxruntime does, outputs too, but for the layers that `leave` chooses."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    model = onnx.load(graph)
    layers = [node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm")]

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = iter([{model.graph.input[0].name: image[None]} for image in images])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    quantize_static(
        str(graph), str(output), Images(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=leave(layers),
    )  # fmt: skip


def _judge_mostly_float(bench: Bench) -> Tried:
    graph = bench.place / "model-int8.onnx"
    _quantize(bench.floats / "model.onnx", graph, _load_floats(bench.trial), lambda layers: layers[2:])
    return _judge_foreign(bench, graph, "int8")


def _judge_dynamic(bench: Bench) -> Tried:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(str(bench.floats / "model.onnx"), str(bench.place / "model.onnx"))
    return _judge_foreign(bench, bench.place / "model.onnx", "fp32")


def _build(weights: Path) -> torch.nn.Module:
    from timm import create_model

    state = load_file(weights)
    network = create_model("test_resnet", num_classes=len(state["fc.bias"]))
    network.load_state_dict(state)
    return network


def _export_by_hand(network: torch.nn.Module, output: Path, training: bool = False) -> None:
    mode = torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL
    drawn = torch.randn(2, 3, 48, 48)
    torch.onnx.export(
        network.train(training), (drawn,), str(output), input_names=["image"], output_names=["class"],
        dynamic_axes={"image": {0: "n"}, "class": {0: "n"}}, training=mode, do_constant_folding=not training,
        opset_version=17, dynamo=False,
    )  # fmt: skip


def _judge_training_mode(bench: Bench) -> Tried:
    graph = bench.place / "model.onnx"
    _export_by_hand(_build(bench.trial.checkpoint), graph, training=True)
    return _judge_foreign(bench, graph, "fp32", "--batch-size", BATCH)


def _judge_two_classes(bench: Bench) -> Tried:
    """Red or blue ink: the last layer looks from the mean of the one's features to that of the other's."""
    place, text = bench.place, bench.trial.card.read_text()
    images = torch.from_numpy(_load_floats(bench.trial, 256))
    weights = write_weights(bench, lambda state: _tell_inks(_build(bench.trial.checkpoint), images))
    card, labels = place / "two.toml", place / "two.txt"
    card.write_text(text.partition("[reference]")[0].replace("classes = 10", "classes = 2"))
    labels.write_text("".join(f"{name} {label % 2}\n" for name, label in bench.trial.read_labels().items()))
    trial = bench.trial.but(card=card, labels=labels)
    plain, graph = place / "plain" / "model.onnx", place / "model-int8.onnx"
    bench.cli.must(
        "export", card, "--checkpoint", weights, "--output", plain, "--no-fuse-preprocess",
    )  # fmt: skip
    bench.cli.must("compile", plain, "--engine", "torch", "--output", plain.parent / "torch")
    reference = bench.evaluate(plain.parent / "torch", trial=trial)
    _quantize(plain, graph, images.numpy()[::4], lambda layers: [])
    compiled = bench.compile(graph, card, "onnxruntime", "int8", "onnxruntime")
    if reference.code or compiled.code:
        return Tried.of(reference if reference.code else compiled)
    return Tried.of(bench.judge(place / "onnxruntime", place / "found" / "torch.parquet", trial=trial))


def _tell_inks(network: torch.nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        network.eval()
        blue = network(images).argmax(1) % 2 == 1
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        toward = features[blue].mean(0) - features[~blue].mean(0)
        middle = (features[blue].mean(0) + features[~blue].mean(0)) / 2
        toward *= 8 / ((features - middle) @ toward).std()
        state = dict(network.state_dict())
        state["fc.weight"] = torch.stack([-toward, toward]) / 2
        state["fc.bias"] = torch.stack([toward @ middle, -toward @ middle]) / 2
    return {key: tensor.clone().contiguous() for key, tensor in state.items()}
