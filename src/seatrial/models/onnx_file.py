"""An ONNX file of an image classifier: its nodes and weights read whole, its two ends, what it must not be."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx
import onnx.external_data_helper as external
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from seatrial.errors import RefusedFile, UsageError, cut, first_line
from seatrial.foreign.files import is_regular
from seatrial.store.files import hash_graph, is_inside
from seatrial.store.records import TensorSpec

_DTYPES: dict[int, str] = {TensorProto.UINT8: "uint8", TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}


RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
"""ONNX's operators that draw random numbers."""


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """The opset and the two ends of a classifier's graph."""

    opset: int
    input: TensorSpec
    output: TensorSpec


def load_graph(path: Path, output: str | None = None) -> onnx.ModelProto:
    """Read an ONNX file with its external data; a manifest beside it is not looked at.

    Args:
        output: the only output to keep; None keeps all.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is no ONNX file, a damaged one, or its external data is missing or outside its folder.
    """
    model = read_nodes(path)
    try:
        if find_data(model, path):
            external.load_external_data_for_model(model, str(path.parent))
        _check_types(model.graph)
        sort_nodes(model.graph)
        # Weights beside the file make it too large for a message of protobuf's, which the checker would write.
        if model.ByteSize() < onnx.checker.MAXIMUM_PROTOBUF:
            onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        # Some runtimes take such files all the same.
        raise RefusedFile(
            f"{path} does not keep to the ONNX standard, as onnx {onnx.__version__} checks it ({first_line(error)})",
            "export it again, or mend what it names",
        ) from None
    except (OSError, ValueError) as error:
        raise RefusedFile(f"{path}: its weights cannot be read ({first_line(error)})", "export it again") from None
    if output is not None:
        for value in [value for value in model.graph.output if value.name != output]:
            model.graph.output.remove(value)
    return model


def read_nodes(path: Path) -> onnx.ModelProto:
    """Read an ONNX file without its external data.

    Raises:
        UsageError: there is no such file.
        RefusedFile: it is no ONNX file.
    """
    if not path.is_file():
        raise UsageError(f"there is no ONNX file {path}", "`seatrial export` makes one")
    try:
        model = onnx.load(path, load_external_data=False)
        if not model.ir_version:
            raise ValueError("it is empty" if not path.stat().st_size else "it has no ir_version")
        return model
    except (DecodeError, OSError, ValueError) as error:
        raise RefusedFile(f"{path} is no ONNX file or a damaged one ({first_line(error)})", "export it again") from None


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put nodes behind those that make their inputs, as the format wants it and engines do not mind.

    A graph in order stays as it is, and so does one with a circle, which the checker names.
    """
    maker = {output: place for place, node in enumerate(graph.node) for output in node.output if output}
    needed = [{maker[name] for name in _list_inputs(node) if name in maker} for node in graph.node]
    if all(max(before, default=-1) < place for place, before in enumerate(needed)):
        return
    with contextlib.suppress(CycleError):
        order = list(TopologicalSorter(dict(enumerate(needed))).static_order())
        nodes = [onnx.NodeProto.FromString(graph.node[place].SerializeToString()) for place in order]
        del graph.node[:]
        graph.node.extend(nodes)


def _list_inputs(node: onnx.NodeProto) -> Iterator[str]:
    """What a node takes, its inner graphs included."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for each in inner.node:
                yield from _list_inputs(each)


def find_data(model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    """The files that hold a graph's weights beside `path`, relative to its folder; none where they are inside.

    Raises:
        RefusedFile: one is missing, or outside the folder.
    """
    stated = (external.ExternalDataInfo(tensor) for tensor in _list_tensors(model.graph))
    names = tuple(sorted({info.location for info in stated if info.location}))
    for name in names:
        shown = cut(name)
        # onnx follows no link; who hashes or copies the file would.
        if not is_inside(name) or _leads_outside(path.parent / name, path):
            raise RefusedFile(
                f"{path} keeps weights in {shown!r}, which is outside its folder",
                "export it with its weights beside it",
            )
        if not is_regular(path.parent / name):
            raise RefusedFile(
                f"{path} keeps weights in {shown}, which is missing", f"put {shown} beside it, or export it again"
            )
    return names


def _leads_outside(data: Path, graph: Path) -> bool:
    """Whether a file is, after any links, neither in the graph's folder nor in that of the file that it is a link to.

    A download's cache has a graph and its weights as links into one folder.
    """
    if not is_regular(data):
        return False
    folders = os.path.realpath(graph.parent), os.path.dirname(os.path.realpath(graph))
    return not any(os.path.commonpath([folder, os.path.realpath(data)]) == folder for folder in folders)


def hash_onnx(path: Path) -> str:
    """The sha256 of an ONNX file, over its external data too: see `store.files.hash_graph`.

    Raises:
        SeatrialError: as `read_nodes` and `find_data`.
    """
    return hash_graph(path, find_data(read_nodes(path), path))


def _check_types(graph: onnx.GraphProto) -> None:
    """Refuse weights of a type that no version of the format known here has.

    Raises:
        ValueError: names the first such.
    """
    known = set(TensorProto.DataType.values())
    unknown = next((tensor for tensor in graph.initializer if tensor.data_type not in known), None)
    if unknown is not None:
        raise ValueError(f"'{unknown.name}' is of {_name_type(unknown.data_type)}")


def _list_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Those with external data, of inner graphs too."""
    tensors = [*graph.initializer]
    for node in graph.node:
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
            for inner in (attribute.g, *attribute.graphs):
                yield from _list_tensors(inner)
    yield from (tensor for tensor in tensors if external.uses_external_data(tensor))


def read_facts(model: onnx.ModelProto, output: str | None = None) -> GraphFacts:
    """Opset, input and output of a graph with one input, and one output or one of the name `output`.

    Raises:
        RefusedFile: it has several inputs, several outputs and none of that name, or is no image classifier.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    outputs = {value.name: value for value in model.graph.output}
    taken = next(iter(outputs)) if len(outputs) == 1 else output
    if len(inputs) != 1 or taken not in outputs:
        fix = "export the classifier alone"
        if len(inputs) == 1 and outputs:
            fix = f"name one of {', '.join(outputs)} in the card (graph.output) or to `seatrial simplify --output-name`"
        counts = f"{len(inputs)} input{'s' * (len(inputs) != 1)} and {len(outputs)} output{'s' * (len(outputs) != 1)}"
        raise RefusedFile(f"the graph has {counts}, not one of each", fix)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return GraphFacts(opset, _read_spec(inputs[0]), _read_spec(outputs[taken]))


def check_classifier(facts: GraphFacts) -> None:
    """Refuse a graph whose input is not images or whose output is not one row of classes for each.

    Raises:
        RefusedFile: names it and its shape.
    """
    for spec, axes, what in ((facts.input, 4, "a batch of images"), (facts.output, 2, "logits (n, classes)")):
        if len(spec.shape) != axes:
            shape = "×".join("N" if size is None else str(size) for size in spec.shape)
            flat = axes == 2 and has_single_axes(spec)
            fix = "`seatrial simplify FILE OUT` flattens it" if flat else "export the classifier alone"
            raise RefusedFile(f"'{spec.name}' is {shape}, not {what}", fix)


def has_single_axes(output: TensorSpec) -> bool:
    """Whether it is (n, classes, 1, 1), as a convolution or a pooling at the end leaves it."""
    return len(output.shape) == 4 and output.shape[2:] == (1, 1)


def check_inference(model: onnx.ModelProto, name: str) -> None:
    """Refuse a graph that was exported in training mode or that draws random numbers, as far as its nodes show it.

    Source: ONNX's operators `BatchNormalization` (attribute `training_mode` from opset 14 on; before, several outputs)
    and `Dropout` (third input from opset 12 on).

    Raises:
        RefusedFile: names the first such node.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")
    # What is computed of weights alone is the same for every image, such as weights standardised by a normalisation.
    reached = {value.name for value in model.graph.input} - {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in RANDOM:
            what = f"{name} draws random numbers (its {node.op_type} '{node.name or node.output[0]}')"
            raise RefusedFile(f"{what}, so an image gets other logits each time", "export it without that operator")
        if reached.isdisjoint(_list_inputs(node)):
            continue
        reached.update(filter(None, node.output))
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


def _name_type(code: int) -> str:
    """The name of a data type; those that newer versions of the format may have got have none here."""
    try:
        return TensorProto.DataType.Name(code).lower()
    except ValueError:
        return f"type {code}, which onnx {onnx.__version__} does not know"


def _read_spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    if any(d.dim_value < -1 for d in kind.shape.dim):
        raise RefusedFile(f"'{value.name}' has an axis of negative size", "export the classifier again")
    # Some tools write -1 or 0 for a free axis.
    shape = tuple(d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim)
    if kind.elem_type not in _DTYPES or len(shape) not in (2, 4):
        raise RefusedFile(
            f"'{value.name}' is no image batch or logits: {_name_type(kind.elem_type)}, {len(shape)} axes",
            "export the classifier alone",
        )
    # uint8 images of four channels are what an AIPP configuration takes.
    last = (1, 3, 4) if kind.elem_type == TensorProto.UINT8 else (1, 3)
    layout = "NC" if len(shape) == 2 else "NHWC" if shape[3] in last and shape[1] not in (1, 3) else "NCHW"
    if value.type.denotation == "YUV420SP":
        layout = value.type.denotation
    return TensorSpec.model_validate(
        {"name": value.name, "dtype": _DTYPES[kind.elem_type], "shape": shape, "layout": layout}
    )
