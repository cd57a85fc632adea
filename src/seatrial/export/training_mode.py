"""Nodes that only training wants: they make the logits of a graph depend on the batch, or on chance."""

import onnx
from onnx import numpy_helper

from seatrial.errors import RefusedFile


def check_inference(model: onnx.ModelProto, name: str) -> None:
    """Refuse a graph that was exported in training mode, as far as its nodes show it.

    Source: ONNX's operators `BatchNormalization` (attribute `training_mode` from opset 14 on; before, several outputs)
    and `Dropout` (third input from opset 12 on).

    Raises:
        RefusedFile: names the first such node.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")
    for node in model.graph.node:
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
