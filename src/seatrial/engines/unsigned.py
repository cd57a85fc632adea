"""A Q/DQ graph whose activations are int8 here and uint8 there, to one of uint8 throughout: to the bit the same values.

onnxruntime runs a layer in int8 only if what it takes and what it gives have one type, and else quietly in float.
"""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

SHIFT = 128
"""What uint8 counts from where int8 counts from 0: (q + 128) − (z + 128) is q − z."""


def to_unsigned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with every quantised activation as uint8; weights stay int8. `model` is changed and returned."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    takers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            takers.setdefault(name, []).append(node)
    outputs = {value.name for value in model.graph.output}
    shifted: dict[str, onnx.TensorProto] = {}
    for node in model.graph.node:
        pair = [node, *takers.get(node.output[0], ())]
        if node.op_type != "QuantizeLinear" or not all(_is_signed(part, weights) for part in pair):
            continue
        # A constant is a weight, and what leaves the graph is known as int8 outside.
        if node.input[0] in weights or node.output[0] in outputs:
            continue
        if any(taker.op_type != "DequantizeLinear" for taker in pair[1:]):
            continue
        for attribute in node.attribute:
            if attribute.name == "output_dtype" and attribute.i == TensorProto.INT8:
                attribute.i = TensorProto.UINT8
        for part in pair:
            name = f"{part.input[2]}/unsigned"
            zeros = numpy_helper.to_array(weights[part.input[2]]).astype(np.int16) + SHIFT
            shifted[name] = numpy_helper.from_array(zeros.astype(np.uint8), name)
            part.input[2] = name
    model.graph.initializer.extend(shifted.values())
    # Types were inferred for int8.
    del model.graph.value_info[:]
    return model


def _is_signed(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    """Whether a node quantises to int8, or from it, with a zero point that is a constant."""
    zero = weights.get(node.input[2]) if len(node.input) > 2 else None
    return zero is not None and zero.data_type == TensorProto.INT8
