"""An fp32 graph to an int8 one of Q/DQ nodes (NNCF), read back as per-channel; its preprocessing stays float.

Weights are symmetric int8 with a scale for each output channel, activations uint8 or int8 with one scale each.
"""

import contextlib
import io
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from seatrial.engines.base import LEAST_SHARE
from seatrial.errors import EngineError, first_line
from seatrial.evaluation.parity import measure_parity
from seatrial.export.derived_graph import WEIGHTED, check_ends, is_preprocessing
from seatrial.export.graph import run_graph
from seatrial.extras import naming_extras
from seatrial.machine.out_of_memory import pass_on
from seatrial.models.onnx_file import read_facts

MIN_OPSET = 13
"""From here on DequantizeLinear takes a scale for each channel."""
EXACT = 1e-6
"""Relative error up to which another opset computes the same."""
Preset = Literal["performance", "mixed"]


@dataclass(frozen=True, slots=True)
class Layers:
    """Convolutions and linear layers, by what their weights are."""

    int8: tuple[str, ...]
    plain: tuple[str, ...]

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.int8) + len(self.plain)


def raise_opset(model: onnx.ModelProto, images: NDArray[np.generic]) -> onnx.ModelProto:
    """The same graph in an opset that knows a scale for each channel; checked on `images`.

    Raises:
        EngineError: onnx cannot convert it, or what it converts computes something else.
    """
    before = read_facts(model)
    if before.opset >= MIN_OPSET:
        return model
    fix = f"export it with --opset {MIN_OPSET} or newer"
    try:
        raised: onnx.ModelProto = onnx.version_converter.convert_version(model, MIN_OPSET)
    except (RuntimeError, onnx.version_converter.ConvertError) as error:
        raise EngineError(
            f"onnx cannot convert the graph from opset {before.opset} ({first_line(error)})", fix
        ) from None
    check_ends(read_facts(raised), before, MIN_OPSET)
    reference, logits = (run_graph(graph, images, before.input.shape[0]) for graph in (model, raised))
    moved = measure_parity("opset", reference, logits).relative_error
    if moved > EXACT:
        raise EngineError(f"at opset {MIN_OPSET} the graph computes something else ({moved:.1e})", fix)
    return raised


def quantize(
    model: onnx.ModelProto, images: NDArray[np.generic], preset: Preset, keep: Collection[str] = ()
) -> onnx.ModelProto:
    """Calibrate on `images`, as the graph takes them, and quantise all but the nodes in `keep`.

    Raises:
        EngineError: NNCF is missing or fails.
    """
    facts = read_facts(model)
    size = facts.input.shape[0] or 1
    # The last batch is filled up from the start.
    filled = np.resize(images, (len(images) + -len(images) % size, *images.shape[1:]))
    batches = [{facts.input.name: filled[i : i + size]} for i in range(0, len(filled), size)]
    keep = {*keep, *(node.name for node in model.graph.node if is_preprocessing(node))}
    # It prints its progress and its log.
    with contextlib.redirect_stdout(io.StringIO()):
        nncf = _load_nncf()
        try:
            return nncf.quantize(  # type: ignore[no-any-return]
                onnx.ModelProto.FromString(model.SerializeToString()),
                nncf.Dataset(batches),
                preset=nncf.QuantizationPreset(preset),
                subset_size=len(batches),
                ignored_scope=nncf.IgnoredScope(names=sorted(keep), validate=False),
            )
        except Exception as error:  # NNCF's exceptions share no base but this
            pass_on(error)
            raise EngineError(
                f"NNCF cannot quantise the graph ({first_line(error)})", "stay with fp16 or bf16"
            ) from error


def check_quantized(model: onnx.ModelProto, before: onnx.ModelProto) -> Layers:
    """Read back what was quantised, and that it is per channel, symmetric, with the same ends and opset.

    Raises:
        EngineError: names what is not.
    """
    facts = read_facts(before)
    check_ends(read_facts(model), facts, facts.opset)
    onnx.checker.check_model(model)
    weights = {weight.name: weight for weight in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    quantized, plain = [], []
    for node in model.graph.node:
        if node.op_type not in WEIGHTED:
            continue
        source = made.get(node.input[1])
        if source is not None and source.op_type == "DequantizeLinear" and source.input[0] in weights:
            _check_scales(node, source, weights)
            quantized.append(node.name)
        elif node.input[1] in weights:
            plain.append(node.name)
    layers = Layers(tuple(quantized), tuple(plain))
    if len(quantized) < LEAST_SHARE * layers.count:
        raise EngineError(
            f"{len(quantized)} of {layers.count} layers became int8, and an int8 engine needs at least half",
            "stay with fp16 or bf16",
        )
    return layers


def list_quantized(model: onnx.ModelProto) -> tuple[str, ...]:
    """Nodes that take dequantised values: those that a runtime computes in int8."""
    made = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return tuple(node.name for node in model.graph.node if not made.isdisjoint(node.input))


def _check_scales(layer: onnx.NodeProto, source: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> None:
    """Refuse a weight without a scale for each of its layer's outputs, or with a zero point that is not 0."""
    weight, scale, *zero = (weights[name] for name in source.input)
    ways = {a.name: a.i for node in (layer, source) for a in node.attribute if a.type == onnx.AttributeProto.INT}
    rank = len(weight.dims)
    outputs = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0 if ways.get("transB") else 1}.get(layer.op_type, rank - 1)
    if list(scale.dims) != [weight.dims[outputs]] or ways.get("axis", 1) % rank != outputs:
        raise EngineError(
            f"layer '{layer.name}' has {int(np.prod(scale.dims))} scales for {weight.dims[outputs]} outputs: "
            "it was quantised per tensor",
            f"int8 needs opset {MIN_OPSET} or newer",
        )
    if weight.data_type != TensorProto.INT8 or any(numpy_helper.to_array(point).any() for point in zero):
        raise EngineError(
            f"layer '{layer.name}' has weights that are not symmetric int8", "take another version of nncf"
        )


def _load_nncf() -> Any:
    # Through it NNCF warns of a missing CUDA, which is not needed here.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    with naming_extras("quantises graphs"):
        import nncf
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf
