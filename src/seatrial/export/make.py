"""From a stored checkpoint to a graph with its manifest, each step held against torch on real images."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from seatrial.data.preprocess import hash_preprocess, normalise
from seatrial.evaluation.parity import Variety, check_logits, check_parity, measure_parity
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.export.graph import CHUNK, read_facts, run_graph
from seatrial.export.simplify import simplify
from seatrial.export.spec import ExportSpec
from seatrial.export.to_onnx import to_onnx
from seatrial.models.checkpoint import load_network
from seatrial.progress import Progress, Update
from seatrial.recipes.schema import Recipe
from seatrial.store.files import hash_file, replacing
from seatrial.store.records import CheckpointManifest, GraphManifest, StepParity


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What to export, and the images that prove it."""

    recipe: Recipe
    checkpoint: Path
    """Canonical weights: `checkpoint.safetensors` with its manifest."""
    output: Path
    key: str
    pixels: NDArray[np.uint8]
    """Images (n, height, width, 3) that each step is checked on."""
    spec: ExportSpec


def make_graph(job: ExportJob, progress: Progress) -> GraphManifest:
    """Export, simplify and fuse; write the ONNX file and its manifest.

    Raises:
        EngineError: an exporter gave something else than was asked.
        ParityError: a step changed the answers.
    """
    network = load_network(job.recipe.network, job.checkpoint)
    floats = normalise(job.pixels, job.recipe)
    reference = _run_torch(network, floats)
    check_logits(reference, [f"image {i}" for i in range(len(reference))])
    variety = Variety()
    variety.see(job.pixels, reference)
    variety.check()
    parity: list[StepParity] = []

    def check(step: str, model: onnx.ModelProto, images: NDArray[np.generic]) -> None:
        parity.append(measure_parity(step, reference, run_graph(model, images, job.spec.batch_size)))
        check_parity(parity[-1])
        error = parity[-1].relative_error
        progress(Update("export", note=f"{step}: differs from torch by {error:.1e} on {len(images)} images"))

    with replacing(job.output) as temporary:
        model = to_onnx(network, job.recipe, job.spec, temporary)
        check("export", model, floats)
        if job.spec.simplify:
            model = simplify(model)
            check("simplify", model, floats)
        if job.spec.fuse:
            model = fuse_preprocess(model, job.recipe)
            check("fuse preprocessing", model, job.pixels)
        onnx.save(model, temporary)
    manifest = _describe(job, model, tuple(parity))
    manifest.save(manifest_path(job.output))
    return manifest


def manifest_path(graph: Path) -> Path:
    """Where the manifest of an ONNX file stands."""
    return graph.with_name(graph.name + ".json")


def _run_torch(network: torch.nn.Module, floats: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        parts = [network(torch.from_numpy(floats[i : i + CHUNK])).numpy() for i in range(0, len(floats), CHUNK)]
    return np.concatenate(parts)


def _describe(job: ExportJob, model: onnx.ModelProto, parity: tuple[StepParity, ...]) -> GraphManifest:
    import onnxruntime

    facts = read_facts(model)
    weights = CheckpointManifest.load(manifest_path(job.checkpoint))
    return GraphManifest(
        key=job.key,
        recipe=job.recipe.model_dump(mode="json", exclude_none=True),
        checkpoint=job.checkpoint.name,
        checkpoint_sha256=weights.sha256,
        sha256=hash_file(job.output),
        opset=facts.opset,
        exporter=job.spec.exporter,
        simplified=job.spec.simplify,
        fused=job.spec.fuse,
        input=facts.input,
        output=facts.output,
        preprocess_hash=hash_preprocess(job.recipe),
        parity=parity,
        versions={
            **{name: version(name) for name in ("torch", "onnx", "onnxslim")},
            # Its distribution has another name where it brings a GPU.
            "onnxruntime": onnxruntime.__version__,
        },
    )
