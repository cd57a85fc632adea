"""Jobs for the ascend engine whose graphs are described, not made."""

from pathlib import Path
from typing import Any

from seatrial.engines.base import CompileJob
from seatrial.store.records import GraphManifest, TensorSpec


def make_job(
    graph: str = "/models/model.onnx",
    input: str = "image",
    sizes: tuple[int, ...] = (1,),
    options: dict[str, str] | None = None,
    precision: str = "fp16",
    fused: bool = False,
    image: int = 224,
) -> CompileJob:
    """A job for a graph of square images, float32 NCHW or, with `fused`, uint8 NHWC."""
    shape = (None, image, image, 3) if fused else (None, 3, image, image)
    dtype, layout = ("uint8", "NHWC") if fused else ("float32", "NCHW")
    spec = TensorSpec.model_validate({"name": input, "dtype": dtype, "shape": shape, "layout": layout})
    values: dict[str, Any] = {"key": "g", "recipe": {}, "checkpoint": "c", "checkpoint_sha256": "c", "sha256": "s"}
    manifest = GraphManifest(
        **values,
        opset=11,
        exporter="torchscript",
        simplified=True,
        fused=fused,
        input=spec,
        output=TensorSpec(name="class", dtype="float32", shape=(None, 1000), layout="NC"),
        preprocess_hash="p",
        parity=(),
        versions={},
    )
    return CompileJob(Path(graph), manifest, Path("/engines"), sizes, precision, "npu:0", options or {})
