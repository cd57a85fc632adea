"""A Q/DQ graph whose activations are uint8 where they are never negative, to one of int8 throughout.

TensorRT takes no uint8: it reads the type as int8, which cuts off the upper half of the values.
"""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from seatrial.errors import EngineError
from seatrial.evaluation.parity import measure_parity
from seatrial.export.graph import load_graph, run_graph
from seatrial.export.twin import TwinJob, check_answers, store_twin
from seatrial.store.records import GraphManifest


def make_signed(job: TwinJob) -> GraphManifest:
    """Write the twin of an int8 graph whose activations are int8 throughout.

    Raises:
        EngineError: an activation has a zero point.
        ParityError: the answers cannot be a classifier's.
    """
    model = load_graph(job.graph)
    signed = to_signed(model)
    size = job.manifest.input.shape[0]
    reference, logits = (run_graph(graph, job.images, size) for graph in (model, signed))
    check_answers(job.images, logits)
    parity = (*job.manifest.parity, measure_parity("signed activations", reference, logits))
    return store_twin(signed, job.graph, job.output, {"key": job.key, "parity": parity})


def to_signed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the ranges that uint8 covered in 255 steps covered by int8 in 127.

    Raises:
        EngineError: an activation has a zero point, so that int8 without one would lose its range.
    """
    signed: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    weights = {weight.name: weight for weight in signed.graph.initializer}
    pairs = {
        (node.input[1], node.input[2])
        for node in signed.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) == 3
    }
    for scale, zero in sorted(pairs):
        point = numpy_helper.to_array(weights[zero])
        if point.any():
            raise EngineError(
                f"'{scale}' has a zero point, so it cannot become int8", "quantise with --preset performance"
            )
        if weights[zero].data_type == TensorProto.UINT8:
            wider = (numpy_helper.to_array(weights[scale]) * (255 / 127)).astype(np.float32)
            weights[scale].CopyFrom(numpy_helper.from_array(wider, scale))
            weights[zero].CopyFrom(numpy_helper.from_array(point.astype(np.int8), zero))
    # What was inferred for uint8 no longer holds.
    del signed.graph.value_info[:]
    onnx.checker.check_model(signed, full_check=True)
    return signed
