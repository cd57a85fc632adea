"""A graph that is derived from another one: what must stay the same, and a manifest that continues the other's."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from seatrial.errors import EngineError
from seatrial.evaluation.parity import check_outputs, measure_parity
from seatrial.export import fuse_aipp, fuse_preprocess
from seatrial.export.graph import run_graph
from seatrial.models.onnx_file import GraphFacts
from seatrial.store.files import hash_file, manifest_path, replacing
from seatrial.store.records import GraphManifest, StepParity

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators whose second input is a weight."""


@dataclass(frozen=True, slots=True)
class DerivedGraphJob:
    """What to derive a graph from, and the images that both are compared on."""

    graph: Path
    manifest: GraphManifest
    output: Path
    key: str
    images: NDArray[np.generic]
    """As the graph takes them."""


def is_preprocessing(node: onnx.NodeProto) -> bool:
    """Whether a node belongs to the fused preprocessing, whose pixels need float32."""
    return str(node.name).startswith((fuse_preprocess.PREFIX, fuse_aipp.PREFIX))


def check_ends(made: GraphFacts, before: GraphFacts, opset: int) -> None:
    """Check a derived graph's opset, input and output.

    Raises:
        EngineError: one has changed.
    """
    if (made.opset, made.input, made.output) != (opset, before.input, before.output):
        raise EngineError(f"the graph's ends or opset changed from {before} to {made}")


def measure_change(
    step: str,
    job: DerivedGraphJob,
    before: onnx.ModelProto,
    made: onnx.ModelProto,
    check: Callable[[NDArray[np.float32], NDArray[np.float32]], None] | None = None,
) -> tuple[StepParity, ...]:
    """The steps that made the job's source, and one more: from `before` to `made`, on the job's images.

    Args:
        check: raises an error about the logits (n, classes) before and after, in this order.

    Raises:
        ParityError: the logits cannot be a classifier's.
    """
    size = job.manifest.input.shape[0]
    reference, logits = (run_graph(graph, job.images, size) for graph in (before, made))
    check_outputs(job.images, logits)
    if check is not None:
        check(reference, logits)
    return (*job.manifest.parity, measure_parity(step, reference, logits))


def store_derived_graph(model: onnx.ModelProto, job: DerivedGraphJob, changes: Mapping[str, Any]) -> GraphManifest:
    """Write the job's graph, derived as `model`, and its manifest: that of its source with `changes`."""
    before = job.manifest
    own = {
        "key": job.key,
        "data": (),
        "left_out": (),
        "checkpoint": os.path.relpath(job.graph.parent.resolve() / before.checkpoint, job.output.parent.resolve()),
        "origin": before.origin or before.sha256,
    }
    with replacing(job.output) as temporary:
        onnx.save(model, temporary)
        made = before.model_copy(update={**own, "sha256": hash_file(temporary), **changes})
        made.save(manifest_path(temporary))
    return made
