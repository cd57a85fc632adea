"""The sizes of an ONNX graph's tensors for images of one size, and why a graph may not take images of that size."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnx.helper
import onnx.inliner
from onnx import TensorProto

from seatrial.errors import first_line

SMALL = 64
"""Numbers of a constant that shape inference may read, such as a shape."""
Shapes = Mapping[str, tuple[int, ...]]
"""Sizes by axis of tensors whose sizes are all known, by name."""


def copy_without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the types and sizes of its large constants alone: what is left is small, whatever it weighed.

    Functions of its own are written out.
    """
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    graph = model.graph
    light.graph.CopyFrom(
        onnx.GraphProto(
            name=graph.name, node=graph.node, input=graph.input, output=graph.output, value_info=graph.value_info
        )
    )
    for tensor in graph.initializer:
        small = math.prod(tensor.dims) <= SMALL
        kept = tensor if small else TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        light.graph.initializer.append(kept)
    return onnx.inliner.inline_local_functions(light) if light.functions else light


def infer_shapes(model: onnx.ModelProto, shape: tuple[int | None, ...]) -> Shapes:
    """Sizes of all tensors as far as they are known, constants included, for an input of these sizes.

    Args:
        model: of `copy_without_weights`; it is changed.
    """
    constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    _set_input(model, shape)
    with contextlib.suppress(onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph, shapes = model.graph, {**constants}
    for value in (*graph.input, *graph.value_info, *graph.output):
        axes = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(axis.HasField("dim_value") for axis in axes):
            shapes[value.name] = tuple(axis.dim_value for axis in axes)
    return shapes


def _set_input(model: onnx.ModelProto, shape: tuple[int | None, ...]) -> None:
    """Give the only input that is no constant these sizes, and take the outputs', which were of others, away."""
    constants = {tensor.name for tensor in model.graph.initializer}
    (given,) = (value for value in model.graph.input if value.name not in constants)
    for axis, size in zip(given.type.tensor_type.shape.dim, shape, strict=True):
        if size is not None:
            axis.dim_value = size
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")


def explain_size(model: onnx.ModelProto, shape: tuple[int | None, ...]) -> str | None:
    """Why an engine takes no images (n, …) of these sizes, in words; None where the graph's shapes do not say it."""
    found = find_large_kernel(model, shape, rounds_up=False)
    if found is not None:
        return found
    try:
        light = copy_without_weights(model)
        _set_input(light, shape)
        onnx.shape_inference.infer_shapes(light, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        return first_line(error).replace("[ShapeInferenceError] ", "").removeprefix("Inference error(s): ")
    except (ValueError, RuntimeError):
        pass
    return None


def find_large_kernel(model: onnx.ModelProto, shape: tuple[int | None, ...], rounds_up: bool = True) -> str | None:
    """The first convolution or pooling whose kernel does not fit into its input, in words; None where all do.

    Args:
        shape: of the images (n, …).
        rounds_up: a pooling that rounds its size up may reach past its input by less than its stride, as the standard
            has it; some engines take none.
    """
    light = copy_without_weights(model)
    shapes = infer_shapes(light, shape)
    for node in light.graph.node:
        found = shapes.get(node.input[0]) if node.input else None
        kernel = _find_kernel(node, shapes)
        if found is None or len(found) != len(kernel) + 2 or not kernel:
            continue
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            continue  # Padded as far as the kernel wants it.
        ones = [1] * len(kernel)
        pads, strides = attributes.get("pads", [0, 0] * len(kernel)), attributes.get("strides", ones)
        padded = [size + pads[axis] + pads[axis + len(kernel)] for axis, size in enumerate(found[2:])]
        reach = [(size - 1) * step + 1 for size, step in zip(kernel, attributes.get("dilations", ones), strict=True)]
        spare = [stride - 1 if rounds_up and attributes.get("ceil_mode") else 0 for stride in strides]
        if any(wide > there + more for wide, there, more in zip(reach, padded, spare, strict=True)):
            name = node.name or node.output[0]
            return f"the kernel of {node.op_type} '{name}' is {_join(reach)}, and its input, padded, {_join(padded)}"
    return None


def _find_kernel(node: onnx.NodeProto, shapes: Shapes) -> Sequence[int]:
    """The kernel of a convolution or pooling; empty of any other node."""
    stated: Any = next((each.ints for each in node.attribute if each.name == "kernel_shape"), None)
    if stated is None and node.op_type == "Conv" and len(node.input) > 1:
        return shapes.get(node.input[1], ())[2:]
    return () if stated is None or node.op_type == "ConvTranspose" else list(stated)


def _join(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))
