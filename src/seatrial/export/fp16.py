"""An fp32 graph to one that computes in fp16, its ends and its preprocessing as they were."""

import sys
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from seatrial.errors import EngineError
from seatrial.evaluation.parity import check_parity, measure_parity
from seatrial.export.derived_graph import (
    WEIGHTED,
    DerivedGraphJob,
    check_ends,
    is_preprocessing,
    measure_change,
    store_derived_graph,
)
from seatrial.export.split_preprocessing import cut_body
from seatrial.extras import naming_extras
from seatrial.models.onnx_file import load_graph, read_facts
from seatrial.store.records import GraphManifest

DECIDED = 0.01
"""An image is decided if its two best logits lie further apart than this share of all its logits' range."""


def make_fp16(job: DerivedGraphJob) -> GraphManifest:
    """Write the fp16 graph derived from an fp32 one, and compare their logits.

    Raises:
        EngineError: onnxruntime is missing, or its converter left layers in fp32.
        ParityError: the predictions changed.
    """
    model = load_graph(job.graph, job.manifest.output.name)
    fp16 = to_fp16(model)
    parity = measure_change("fp16", job, model, fp16, check_decided)
    return store_derived_graph(fp16, job, {"precision": "fp16", "parity": parity})


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in float16 from the end of its fused preprocessing to its logits, which are float32 again.

    onnxruntime's converter can leave single nodes in float32, but hands float16 from one to the next; so it is given
    the graph without them.

    Raises:
        EngineError: onnxruntime is missing, or a weight, an end or the opset is not what it should be.
    """
    tail = [node for node in model.graph.node if is_preprocessing(node)]
    body = cut_body(model)
    converted: onnx.ModelProto = _load_converter()(body, keep_io_types=True)
    graph = converted.graph
    for values, own in ((graph.input, model.graph.input), (graph.output, model.graph.output)):
        del values[:]
        values.extend(own)
    nodes = sort_nodes([*tail, *graph.node])
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in tail for name in node.input}
    graph.initializer.extend(weight for weight in model.graph.initializer if weight.name in used)
    # Types were inferred for float32.
    del graph.value_info[:]
    onnx.checker.check_model(converted, full_check=True)
    before = read_facts(model)
    check_ends(read_facts(converted), before, before.opset)
    check_weights(converted)
    return converted


def check_weights(model: onnx.ModelProto) -> None:
    """Refuse a graph of which a convolution or linear layer has weights that are not float16.

    Raises:
        EngineError: counts them.
    """
    types = {weight.name: weight.data_type for weight in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in WEIGHTED and node.input[1] in types]
    other = [node.name for node in layers if types[node.input[1]] != TensorProto.FLOAT16]
    if other or not layers:
        raise EngineError(
            f"{len(other)} of {len(layers)} layers did not become float16, first {other[:1]}",
            "compile another precision",
        )


def check_decided(reference: NDArray[np.floating], logits: NDArray[np.floating]) -> None:
    """Refuse other first classes where the reference was decided: rounding may order two logits that are almost equal.

    Raises:
        ParityError: counts them.
    """
    ranked = np.sort(reference, axis=1)
    decided = ranked[:, -1] - ranked[:, -2] > DECIDED * np.ptp(reference, axis=1)
    if decided.any():
        check_parity(measure_parity("fp16", reference[decided], logits[decided]))


def sort_nodes(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Nodes in an order in which they can run."""
    made = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needed = {index: [made[name] for name in node.input if name in made] for index, node in enumerate(nodes)}
    try:
        return [nodes[index] for index in TopologicalSorter(needed).static_order()]
    except CycleError as error:
        first = nodes[min(error.args[1])]
        raise EngineError(f"the converted graph has a cycle at '{first.name}'", "compile another precision") from None


def _load_converter() -> Any:
    path = list(sys.path)
    try:
        with naming_extras("makes fp16"):
            from onnxruntime.transformers.float16 import convert_float_to_float16
    finally:
        # The package puts its own folder there, full of modules with everyday names.
        sys.path[:] = path
    return convert_float_to_float16
