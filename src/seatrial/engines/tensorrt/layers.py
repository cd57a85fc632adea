"""What a plan's layers compute in, read from the JSON of TensorRT's engine inspector."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from seatrial.engines.base import UNKNOWN
from seatrial.errors import EngineError

COMPUTING = ("conv", "gemm", "matmul", "matrixmultiply", "matrix_multiply", "fullyconnected")
"""Parts of the names of layer types that do nearly all of a classifier's arithmetic."""
PRECISIONS = (
    ("int8", "int8"),
    ("int4", "int4"),
    ("fp4", "fp4"),
    ("bf16", "bf16"),
    ("bfloat16", "bf16"),
    ("fp8", "fp8"),
    ("fp16", "fp16"),
    ("half", "fp16"),
    ("fp32", "fp32"),
    ("float", "fp32"),
)
"""How TensorRT writes types and formats, in the order in which they are looked for, and our names."""


def count_layers(information: str) -> dict[str, int]:
    """Computing layers by precision, from what `get_engine_information` gives in JSON.

    Raises:
        EngineError: no computing layer is described.
    """
    layers = [layer for layer in json.loads(information)["Layers"] if isinstance(layer, dict)]
    counted = Counter(read_precision(layer) for layer in layers if _computes(layer))
    if not counted.keys() - {UNKNOWN}:
        kinds = ", ".join(sorted({str(layer.get("LayerType")) for layer in layers})[:8]) or "names only"
        raise EngineError(
            f"the plan's precision is not known: TensorRT describes no computing layer, but {kinds}",
            "build it again, or take another TensorRT",
        )
    return dict(counted)


def read_precision(layer: Mapping[str, Any]) -> str:
    """The precision of one layer: that of its weights, else of its first input; `UNKNOWN` where neither is given.

    Under TF32 the data stay float32, and only the kernel's name shows it.
    """
    inputs = layer.get("Inputs") or [{}]
    # TensorRT 8 and 10 write one field, 11 two. A shape that is not known yet makes it "N/A due to dynamic shapes".
    first = inputs[0].get("Format/Datatype") or inputs[0].get("Datatype") or inputs[0].get("DataType") or ""
    weights = layer.get("Weights")
    written = [weights["Type"]] if isinstance(weights, dict) and "Type" in weights else []
    for text in (*written, first):
        name = next((ours for theirs, ours in PRECISIONS if theirs in str(text).lower()), None)
        if name is not None:
            return "tf32" if name == "fp32" and "tf32" in str(layer.get("TacticName", "")).lower() else name
    return UNKNOWN


def _computes(layer: Mapping[str, Any]) -> bool:
    kinds = f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".lower()
    return any(part in kinds for part in COMPUTING)
