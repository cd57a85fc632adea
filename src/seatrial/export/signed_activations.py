"""A Q/DQ graph whose activations are uint8 where they are never negative, to one of int8 throughout.

TensorRT takes no uint8: it reads the type as int8, which cuts off the upper half of the values.
"""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from seatrial.errors import EngineError
from seatrial.export.derived_graph import DerivedGraphJob, measure_change, store_derived_graph
from seatrial.models.onnx_file import load_graph
from seatrial.store.records import GraphManifest


def make_signed_graph(job: DerivedGraphJob) -> GraphManifest:
    """Write the graph derived from an int8 one whose activations are int8 throughout.

    Raises:
        EngineError: an activation has a zero point.
        ParityError: the logits cannot be a classifier's.
    """
    model = load_graph(job.graph, job.manifest.output.name)
    signed = to_signed_activations(model)
    parity = measure_change("signed activations", job, model, signed)
    return store_derived_graph(signed, job, {"parity": parity})


def to_signed_activations(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the ranges that uint8 covered in 255 steps covered by int8 in 127.

    Raises:
        EngineError: an activation has a zero point, so that int8 without one would lose its range.
    """
    signed: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    weights = {weight.name: weight for weight in signed.graph.initializer}
    linear = [node for node in signed.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    shifted = [node.name for node in linear if numpy_helper.to_array(weights[node.input[2]]).any()]
    if shifted:
        fix = "quantise with --preset performance"
        raise EngineError(f"'{shifted[0]}' has a zero point, so it cannot become int8", fix)
    pairs = {(node.input[1], node.input[2]) for node in linear}
    unsigned = [pair for pair in pairs if weights[pair[1]].data_type == TensorProto.UINT8]
    # One that is int8 already may have the same scale, which stays as it is.
    wider = {scale: f"{scale}/signed" for scale, _ in unsigned}
    for scale, name in wider.items():
        values = (numpy_helper.to_array(weights[scale]) * (255 / 127)).astype(np.float32)
        signed.graph.initializer.append(numpy_helper.from_array(values, name))
    for node in linear:
        if weights[node.input[2]].data_type == TensorProto.UINT8:
            node.input[1] = wider[node.input[1]]
    for zero in {zero for _, zero in unsigned}:
        zeros = numpy_helper.to_array(weights[zero]).astype(np.int8)
        weights[zero].CopyFrom(numpy_helper.from_array(zeros, zero))
    # Types were inferred for uint8.
    del signed.graph.value_info[:]
    onnx.checker.check_model(signed, full_check=True)
    return signed
