"""A graph in two: the preprocessing that was fused into it, and the network behind."""

import onnx
import onnx.utils

from seatrial.export.derived_graph import is_preprocessing


def cut_body(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network behind the fused preprocessing, whose input it takes; a copy of the graph where nothing is fused."""
    whole, seam = _find_seam(model)
    return whole if seam is None else _extract(whole, [seam], [value.name for value in whole.graph.output])


def cut_tail(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The fused preprocessing alone: uint8 images to what the network takes; None where nothing is fused."""
    whole, seam = _find_seam(model)
    return None if seam is None else _extract(whole, [value.name for value in whole.graph.input], [seam])


def _find_seam(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str | None]:
    """The whole graph, shapes inferred; and what the last node that preprocesses gives: float NCHW.

    Whatever that node takes its values from belongs to the preprocessing.
    """
    whole = onnx.shape_inference.infer_shapes(model)
    marked = [node.output[0] for node in whole.graph.node if is_preprocessing(node)]
    return whole, marked[-1] if marked else None


def _extract(whole: onnx.ModelProto, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    part: onnx.ModelProto = onnx.utils.Extractor(whole).extract_model(inputs, outputs)
    part.producer_name, part.graph.name = whole.producer_name, whole.graph.name
    return part
