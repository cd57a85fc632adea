"""The facts of an ONNX file, read back from it, and its logits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from seatrial.engines.base import LEAST_SHARE, pad_batch
from seatrial.engines.node_types import count_precisions
from seatrial.errors import EngineError, RefusedFile, UsageError, first_line
from seatrial.store.records import GraphPrecision, TensorSpec

CHUNK = 16
"""Images run at once while checking."""

_DTYPES: dict[int, str] = {TensorProto.UINT8: "uint8", TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """The opset and the two ends of a classifier's graph."""

    opset: int
    input: TensorSpec
    output: TensorSpec


def load_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file; a manifest beside it is not looked at.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is no ONNX file, or a damaged one.
    """
    if not path.is_file():
        raise UsageError(f"there is no ONNX file {path}", "`seatrial export` makes one")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        raise RefusedFile(f"{path} is no ONNX file or a damaged one ({first_line(error)})", "export it again") from None
    return model


def read_facts(model: onnx.ModelProto) -> GraphFacts:
    """Opset, input and output of a graph with one of each.

    Raises:
        RefusedFile: it has several inputs or outputs, or is no image classifier.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise RefusedFile(
            f"the graph has {len(inputs)} inputs and {len(model.graph.output)} outputs, not one of each",
            "export the classifier alone",
        )
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return GraphFacts(opset, _read_spec(inputs[0]), _read_spec(model.graph.output[0]))


def has_dynamic_scales(model: onnx.ModelProto) -> bool:
    """Whether a graph takes scales from what it is given (DynamicQuantizeLinear, and what fuses it)."""
    return any("DynamicQuantize" in node.op_type for node in model.graph.node)


def check_inference(model: onnx.ModelProto, name: str) -> None:
    """Refuse a graph that was exported in training mode, as far as its nodes show it.

    Source: ONNX's operators `BatchNormalization` (attribute `training_mode` from opset 14 on; before, several outputs)
    and `Dropout` (third input from opset 12 on).

    Raises:
        RefusedFile: names the first such node.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")
    for node in model.graph.node:
        if _is_training(node, constants):
            what = f"its {node.op_type} '{node.name or node.output[0]}' computes from the batch or at random"
            fix = "export it after model.eval(), with training=TrainingMode.EVAL"
            raise RefusedFile(f"{name} was exported in training mode: {what}", fix)


def _is_training(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    if node.op_type == "BatchNormalization":
        training = any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)
        return training or sum(bool(output) for output in node.output) > 1
    if node.op_type != "Dropout" or len(node.input) < 3 or node.input[2] not in constants:
        return False
    return bool(numpy_helper.to_array(constants[node.input[2]]))


def read_precision(model: onnx.ModelProto) -> GraphPrecision:
    """What a graph computes in: the precision of most of its layers, the narrower of two that share the lead.

    "unknown" where no precision is that of half of them.
    """
    counted = count_precisions(model, fuses=True)
    if not counted:
        return "fp32"
    # In the order of their names there the narrower comes first.
    names: tuple[GraphPrecision, ...] = get_args(GraphPrecision)
    found = max(names, key=lambda name: counted.get(name, 0))
    return found if counted.get(found, 0) >= LEAST_SHARE * sum(counted.values()) else "unknown"


def check_facts(facts: GraphFacts, opset: int, ends: tuple[str, str], batch_size: int | None) -> None:
    """Check an exported graph against the request.

    Raises:
        EngineError: opset, a name, or the batch axis is another one.
    """
    wanted = {"opset": opset, "input name": ends[0], "output name": ends[1], "batch": batch_size or "free"}
    found = {
        "opset": facts.opset,
        "input name": facts.input.name,
        "output name": facts.output.name,
        "batch": facts.input.shape[0] or "free",
    }
    for what, want in wanted.items():
        if found[what] != want:
            raise EngineError(
                f"the exporter was to write {what} {want} and wrote {found[what]}", "try another --exporter or --opset"
            )
    if (facts.output.shape[0] or "free") != wanted["batch"]:
        raise EngineError(
            f"the graph's output has batch {facts.output.shape[0]}, its input {found['batch']}",
            "try another --exporter",
        )


def run_graph(
    model: onnx.ModelProto, images: NDArray[np.generic], batch_size: int | None = None
) -> NDArray[np.float32]:
    """The logits of some images, by `open_graph`."""
    return open_graph(model, batch_size)(images)


def open_graph(
    model: onnx.ModelProto, batch_size: int | None = None
) -> Callable[[NDArray[np.generic]], NDArray[np.float32]]:
    """A graph in onnxruntime on the CPU: images to logits, in pieces; a fixed batch is padded with its first image.

    No node is optimised: an optimiser that errs would be taken for a fault of the graph.
    `engines.onnxruntime` compares the optimiser with this when an engine is compiled.

    Raises:
        EngineError: onnxruntime is not installed, or does not take the graph.
    """
    try:
        import onnxruntime
    except ImportError:
        raise EngineError("onnxruntime, which checks graphs, is not installed", "pip install 'seatrial[cpu]'") from None
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base but this
        reason = " ".join(str(error).split())[:200]
        raise EngineError(
            f"onnxruntime {onnxruntime.__version__} does not run the graph ({reason})", "an older --opset may help"
        ) from None
    name = session.get_inputs()[0].name
    size = batch_size or CHUNK

    def predict(images: NDArray[np.generic]) -> NDArray[np.float32]:
        logits = []
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            logits.append(session.run(None, {name: pad_batch(chunk, batch_size)})[0][: len(chunk)])
        return np.concatenate(logits)

    return predict


def _read_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
    if kind.elem_type not in _DTYPES or len(shape) not in (2, 4):
        raise RefusedFile(
            f"'{value.name}' is no image batch or logits: type {kind.elem_type}, {len(shape)} axes",
            "export the classifier alone",
        )
    # uint8 images of one or four channels are what an AIPP configuration takes.
    last = (1, 3, 4) if kind.elem_type == TensorProto.UINT8 else (3,)
    layout = "NC" if len(shape) == 2 else "NHWC" if shape[3] in last and shape[1] not in (1, 3) else "NCHW"
    if value.type.denotation == "YUV420SP":
        layout = value.type.denotation
    return TensorSpec.model_validate(
        {"name": value.name, "dtype": _DTYPES[kind.elem_type], "shape": shape, "layout": layout}
    )
