"""A graph in two: the preprocessing that was fused into it, and the network behind."""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from seatrial.export.derived_graph import is_preprocessing


@dataclass(frozen=True, slots=True)
class _Seam:
    """Where the two meet."""

    model: onnx.ModelProto
    """The whole graph, shapes inferred."""
    value: onnx.ValueInfoProto
    """What the preprocessing gives: float (n, 3, height, width)."""
    before: tuple[onnx.NodeProto, ...]
    after: tuple[onnx.NodeProto, ...]


def cut_body(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network behind the fused preprocessing, whose input it takes; a copy of the graph where nothing is fused."""
    seam = _find_seam(model)
    if seam is None:
        return onnx.shape_inference.infer_shapes(model)
    return _keep(seam.model, seam.after, [seam.value], seam.model.graph.output)


def cut_tail(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The fused preprocessing alone: uint8 images to what the network takes; None where nothing is fused."""
    seam = _find_seam(model)
    return None if seam is None else _keep(seam.model, seam.before, seam.model.graph.input, [seam.value])


def _find_seam(model: onnx.ModelProto) -> _Seam | None:
    """Behind the last node that preprocesses; whatever it takes its values from belongs to it."""
    whole = onnx.shape_inference.infer_shapes(model)
    marked = [node for node in whole.graph.node if is_preprocessing(node)]
    if not marked:
        return None
    border = marked[-1].output[0]
    needed, before, after = {border}, [], []
    for node in reversed(whole.graph.node):
        if needed.isdisjoint(node.output):
            after.append(node)
        else:
            needed.update(node.input)
            before.append(node)
    value = next(value for value in whole.graph.value_info if value.name == border)
    return _Seam(whole, value, tuple(reversed(before)), tuple(reversed(after)))


def _keep(
    whole: onnx.ModelProto,
    nodes: tuple[onnx.NodeProto, ...],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    outputs_of_nodes = {name for node in nodes for name in node.output}
    used = {name for node in nodes for name in node.input}
    weights = [weight for weight in whole.graph.initializer if weight.name in used]
    infos = [info for info in whole.graph.value_info if info.name in outputs_of_nodes]
    part = onnx.ModelProto()
    part.CopyFrom(whole)
    graph = onnx.helper.make_graph(nodes, whole.graph.name, inputs, outputs, weights, value_info=infos)
    part.graph.CopyFrom(graph)
    return part
