import json
from typing import Any

import pytest

from seatrial.engines.tensorrt import check_layers
from seatrial.engines.tensorrt.layers import count_layers, read_precision
from seatrial.errors import EngineError


def tensor(text: str, key: str = "Format/Datatype") -> dict[str, Any]:
    return {"Name": "x", "Dimensions": [1, 8, 4, 4], key: text}


def conv(weights: str, form: str, tactic: str = "") -> dict[str, Any]:
    """A convolution as TensorRT 8 describes it."""
    return {
        "Name": "Conv_0 + Relu_1",
        "LayerType": "CaskConvolution",
        "Inputs": [tensor(form)],
        "Outputs": [tensor(form)],
        "ParameterType": "Convolution",
        "Weights": {"Type": weights, "Count": 9408},
        "Bias": {"Type": "Float", "Count": 64},
        "TacticName": tactic,
    }


@pytest.mark.parametrize(
    ("layer", "precision"),
    [
        (conv("Float", "Row major linear FP32", "ampere_scudnn_128x64_relu_xregs_large_nn_v1"), "fp32"),
        (
            conv(
                "Float", "Channel major FP32 format", "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc"
            ),
            "tf32",
        ),
        (conv("Half", "Channel major FP16 format where channel % 8 == 0"), "fp16"),
        (conv("Int8", "Thirty-two wide channel vectorized row major Int8 format"), "int8"),
        (conv("Int8", "N/A due to dynamic shapes"), "int8"),
        ({"LayerType": "gemm", "Inputs": [tensor("Half")], "TacticName": "ampere_h16816gemm_256x128_ldg8_nn"}, "fp16"),
        ({"LayerType": "gemm", "Inputs": [tensor("Float")]}, "fp32"),
        ({"LayerType": "CaskConvolution", "Inputs": [tensor("BFloat16", "Datatype")]}, "bf16"),
        ({"LayerType": "CaskConvolution", "Inputs": [tensor("Half", "Datatype")]}, "fp16"),
        ({"LayerType": "CaskConvolution", "Inputs": [tensor("Float", "DataType")]}, "fp32"),
        (conv("Int4", "N/A due to dynamic shapes"), "int4"),
        (conv("E8M0", "N/A due to dynamic shapes"), "unknown"),
        ({"LayerType": "CaskConvolution", "Inputs": [tensor("N/A due to dynamic shapes")]}, "unknown"),
        ({"LayerType": "CaskConvolution", "Inputs": []}, "unknown"),
    ],
)
def test_a_layer_computes_in_its_weights_type_else_in_its_inputs(layer: dict[str, Any], precision: str) -> None:
    assert read_precision(layer) == precision


def test_only_layers_that_compute_are_counted() -> None:
    layers = [
        {"LayerType": "Reformat", "ParameterType": "Reformat", "Inputs": [tensor("Row major linear FP32")]},
        {"LayerType": "kgen", "Inputs": [tensor("Float")]},
        {"LayerType": "CaskPooling", "ParameterType": "Pooling", "Inputs": [tensor("Half")]},
        conv("Half", "Half"),
        conv("Half", "Half"),
        conv("Float", "Float"),
        {"LayerType": "CaskGemmMatrixMultiply", "Inputs": [tensor("Half")]},
        {"LayerType": "CaskConvolution", "Inputs": [tensor("N/A due to dynamic shapes")]},
    ]
    counted = count_layers(json.dumps({"Layers": layers, "Bindings": ["image", "class"]}))
    assert counted == {"fp16": 3, "fp32": 1, "unknown": 1}


@pytest.mark.parametrize(
    ("layers", "kinds"),
    [
        ([], "names only"),
        (["Conv_0 + Relu_1", "Gemm_2"], "names only"),
        (
            [{"LayerType": "CaskConvolution", "Inputs": [{"Name": "x"}]}, {"LayerType": "Myelin"}],
            "CaskConvolution, Myelin",
        ),
    ],
)
def test_layers_that_tell_nothing_are_an_error(layers: list[Any], kinds: str) -> None:
    with pytest.raises(
        EngineError, match=f"precision is not known: .* no computing layer, but {kinds}; build it again"
    ):
        count_layers(json.dumps({"Layers": layers}))


@pytest.mark.parametrize(
    ("precision", "executed", "refused"),
    [
        ("fp32", {"fp32": 53}, False),
        ("fp32", {"fp32": 52, "unknown": 1}, False),
        ("fp32", {"fp32": 20, "unknown": 33}, True),
        ("fp32", {"fp32": 52, "tf32": 1}, True),
        ("fp16", {"fp16": 30, "fp32": 20, "unknown": 3}, False),
        ("fp16", {"fp16": 20, "fp32": 20, "unknown": 13}, True),
    ],
)
def test_fp32_allows_no_other_precision_and_all_allow_a_few_layers_that_cannot_be_read(
    precision: str, executed: dict[str, int], refused: bool
) -> None:
    if not refused:
        return check_layers(precision, executed)
    with pytest.raises(EngineError, match=f"tensorrt was requested in {precision} and computes"):
        check_layers(precision, executed)
