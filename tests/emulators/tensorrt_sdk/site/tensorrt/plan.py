"""EMULATOR for tests: what stands for a plan, how it is computed, and what the inspector tells of it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

MAGIC = b"EMULATED TENSORRT PLAN\n"
KINDS = {"Conv": "CaskConvolution", "Gemm": "CaskGemmMatrixMultiply", "MatMul": "CaskGemmMatrixMultiply"}
OLD_FORMATS = {
    "Float": "Row major linear FP32",
    "Half": "Channel major FP16 format where channel % 8 == 0",
    "Int8": "Thirty-two wide channel vectorized row major Int8 format",
}
"""How TensorRT 8 writes what 10 calls by the type's name alone."""


@dataclass
class Plan:
    """The settings that a plan was built with, and its graph."""

    version: str
    capability: str
    flags: list[str]
    typed: bool
    detailed: bool
    sharing: bool
    profile: list[list[int]] | None
    graph: bytes = b""

    def write(self) -> bytes:
        header = asdict(self)
        del header["graph"]
        return MAGIC + json.dumps(header).encode() + b"\n" + self.graph

    @staticmethod
    def read(data: bytes) -> "Plan | None":
        if not data.startswith(MAGIC):
            return None
        header, _, graph = data.removeprefix(MAGIC).partition(b"\n")
        return Plan(**json.loads(header), graph=graph)

    @property
    def model(self) -> onnx.ModelProto:
        return onnx.ModelProto.FromString(self.graph)


def find_fault(path: Path) -> str | None:
    """Why TensorRT's parser would not take the file."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # onnx raises whatever protobuf and its own checker do
        return f"Failed to parse ONNX model from file: {path}! ({str(error).splitlines()[0]})"
    pixels = {v.name for v in model.graph.input if v.type.tensor_type.elem_type == onnx.TensorProto.UINT8}
    for node in model.graph.node:
        if pixels & set(node.input) and node.op_type not in ("Cast", "Identity"):
            return f"{node.name}: UINT8 may only be the input of a cast, not of {node.op_type}"
    return None


def round_weights(model: onnx.ModelProto, flags: list[str]) -> None:
    """Give float32 weights the coarseness of the flags' precision."""
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = coarsen(numpy_helper.to_array(tensor), flags)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def coarsen(values: np.ndarray, flags: list[str]) -> np.ndarray:
    """float32 values as fp16 or TF32 would hold them."""
    if values.dtype != np.float32:
        return values
    if "FP16" in flags:
        return values.astype(np.float16).astype(np.float32)
    if "TF32" in flags:
        return (np.ascontiguousarray(values).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)
    return values


def describe(plan: Plan, shapes_known: bool) -> str:
    """The inspector's JSON, in the form of the plan's version."""
    graph = plan.model.graph
    if not plan.detailed:
        return json.dumps({"Layers": [node.name for node in graph.node]})
    layers = [_describe_reformat(plan, graph)]
    layers += [_describe_layer(plan, node, graph, shapes_known) for node in graph.node]
    if int(plan.version.split(".")[0]) < 11:
        return json.dumps({"Layers": layers, "Bindings": [v.name for v in (*graph.input, *graph.output)]})
    ends = [
        {"Name": v.name, "IOMode": "Input" if v in graph.input else "Output"} for v in (*graph.input, *graph.output)
    ]
    return json.dumps({"Layers": layers, "I/O Tensors": ends})


def _describe_reformat(plan: Plan, graph: onnx.GraphProto) -> dict[str, Any]:
    inputs = [_describe_tensor(plan, graph.input[0].name, "Float", True)]
    return {"Name": "Reformatting CopyNode", "LayerType": "Reformat", "Inputs": inputs, "ParameterType": "Reformat"}


def _describe_layer(plan: Plan, node: onnx.NodeProto, graph: onnx.GraphProto, shapes_known: bool) -> dict[str, Any]:
    kind = _choose_type(plan, node, graph)
    layer: dict[str, Any] = {"Name": node.name, "LayerType": KINDS.get(node.op_type, "kgen")}
    layer["Inputs"] = [_describe_tensor(plan, name, kind, shapes_known) for name in node.input[:1]]
    if node.op_type == "Conv":
        layer |= {"ParameterType": "Convolution", "Weights": {"Type": kind, "Count": 1}}
    if node.op_type in KINDS:
        words = "f32f32_tf32f32_f32" if kind == "Float" and "TF32" in plan.flags else "kernel"
        layer["TacticName"] = f"sm80_xmma_fprop_implicit_gemm_{words}_nhwckrsc_nhwc"
    return layer


def _choose_type(plan: Plan, node: onnx.NodeProto, graph: onnx.GraphProto) -> str:
    held = {tensor.name: tensor.data_type for tensor in graph.initializer}
    quantised = {output for other in graph.node if other.op_type == "DequantizeLinear" for output in other.output}
    allowed = plan.typed or "INT8" in plan.flags
    if allowed and any(name in quantised for name in node.input[1:2]):
        return "Int8"
    half = any(held.get(name) == onnx.TensorProto.FLOAT16 for name in node.input)
    return "Half" if half or "FP16" in plan.flags else "Float"


def _describe_tensor(plan: Plan, name: str, kind: str, shapes_known: bool) -> dict[str, Any]:
    major = int(plan.version.split(".")[0])
    if major >= 11:
        return {"Name": name, "Datatype": kind, "Format": "Row major linear format (kLINEAR)"}
    if plan.profile is not None and not shapes_known:
        return {"Name": name, "Format/Datatype": "N/A due to dynamic shapes"}
    return {"Name": name, "Format/Datatype": kind if major >= 10 else OLD_FORMATS[kind]}
