"""From a stored checkpoint to a graph with its manifest, each step compared with torch on real images."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.data.preprocessing.steps import normalise
from seatrial.errors import EngineError, ParityError, first_line
from seatrial.evaluation.batch_dependence import ALONE, EVAL_MODE
from seatrial.evaluation.compare_logits import compare_logits
from seatrial.evaluation.parity import check_outputs, check_parity, measure_parity
from seatrial.export.count_work import count_work
from seatrial.export.fuse_aipp import fuse_aipp
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.export.graph import CHUNK, check_facts, open_graph
from seatrial.export.simplify import simplify
from seatrial.export.spec import OPSETS, Exporter, ExportSpec
from seatrial.machine.out_of_memory import pass_on
from seatrial.metrics.noise_floor import SAME_FLOORS
from seatrial.models.checkpoint import load_network
from seatrial.models.forward import Float32Only, check_function, check_weights, refuse_images
from seatrial.models.onnx_file import load_graph, read_facts
from seatrial.progress import Progress, Update
from seatrial.recipes.schema import Recipe
from seatrial.store.files import hash_file, manifest_path, replacing
from seatrial.store.records import CheckpointManifest, GraphManifest, StepParity


@dataclass(frozen=True, slots=True)
class ExportJob:
    """What to export, and the images that prove it."""

    pipeline: InputPipeline
    checkpoint: Path
    """Canonical weights: `checkpoint.safetensors` with its manifest."""
    output: Path
    key: str
    pixels: NDArray[np.uint8]
    """Images (n, *pipeline.shape) that each step is checked on."""
    spec: ExportSpec
    plain: NDArray[np.uint8] | None = None
    """The same images as the card itself crops them (n, height, width, 3), where the pipeline is another one."""


def make_graph(job: ExportJob, progress: Progress) -> GraphManifest:
    """Export, simplify and fuse; write the ONNX file and its manifest.

    Raises:
        EngineError: the exporter wrote something else than was requested.
        ParityError: a step changed the predictions.
    """
    recipe = job.pipeline.recipe
    network = load_network(recipe.network, job.checkpoint)
    floats = job.pipeline.finish(job.pixels)
    _check_network(network, recipe, torch.from_numpy(floats[:2]))
    reference = run_network(network, floats)
    check_outputs(job.pixels, reference)
    _check_alone("the network", reference, floats, lambda images: run_network(network, images))
    parity: list[StepParity] = []
    with replacing(job.output) as temporary:
        exported, used = _export(network, job, temporary, progress)
        for step, model, images in _make_steps(job, exported, floats):
            predict = open_graph(model, job.spec.batch_size)
            logits = predict(images)
            moved = measure_parity(step, reference, logits)
            check_parity(moved)
            _check_alone(f"after '{step}' the graph", logits, images, predict)
            parity.append(moved)
            note = f"{step}: differs from torch by {moved.relative_error:.1e} on {len(images)} images"
            progress(Update("export", note=note))
        onnx.save(model, temporary)
        if job.plain is not None:
            plain = run_network(network, normalise(job.plain, recipe))
            parity.append(_compare_pipelines(job, reference, plain, progress))
        manifest = _describe(job, model, used, tuple(parity), hash_file(temporary))
        manifest.save(manifest_path(temporary))
    return manifest


def _check_network(network: torch.nn.Module, recipe: Recipe, images: torch.Tensor) -> None:
    """Refuse a network that is no function of images, before it is exported; of the user's own, one not in float32.

    Raises:
        UsageError: says what it is instead.
    """
    name = Path(recipe.network.name).name
    of_user = recipe.network.builder == "python"
    if of_user:
        check_weights(name, network)
    fix = "give another --image-size, or change the card's preprocess steps"
    watch = Float32Only(name, images) if of_user else contextlib.nullcontext()
    with refuse_images(name, images.shape, fix), watch, torch.inference_mode():
        check_function(name, network, images, recipe.network.classes)


def _make_steps(
    job: ExportJob, model: onnx.ModelProto, floats: NDArray[np.float32]
) -> Iterator[tuple[str, onnx.ModelProto, NDArray[np.generic]]]:
    """The steps by name, each with its graph and the images as it takes them; the last graph is the one to keep."""
    aipp = job.pipeline.aipp
    yield "export", model, floats
    if job.spec.simplify:
        model = simplify(model)
        yield "simplify", model, floats
    if job.spec.fuse:
        fused = fuse_preprocess(model, job.pipeline.recipe) if aipp is None else fuse_aipp(model, aipp)
        yield "fuse preprocessing" if aipp is None else "fuse AIPP", fused, job.pixels


def _export(
    network: torch.nn.Module, job: ExportJob, path: Path, progress: Progress
) -> tuple[onnx.ModelProto, ExportSpec]:
    """By the exporter that was asked, or by the other one where that is allowed and the first cannot; and which."""
    recipe = job.pipeline.recipe
    try:
        return to_onnx(network, recipe, job.spec, path), job.spec
    except EngineError as error:
        other: Exporter = "dynamo" if job.spec.exporter == "torchscript" else "torchscript"
        if not job.spec.fall_back:
            raise
        oldest, newest = OPSETS[other]
        opset = min(max(job.spec.opset, oldest), newest)
        used = replace(job.spec, exporter=other, opset=opset)
        try:
            model = to_onnx(network, recipe, used, path)
        except EngineError as second:
            raise EngineError(f"{error.problem}; {second.problem}", "neither exporter takes this network") from None
        progress(Update("export", note=f"{error.problem}; {other} exported it at opset {opset}"))
        return model, used


def to_onnx(network: torch.nn.Module, recipe: Recipe, spec: ExportSpec, path: Path) -> onnx.ModelProto:
    """Export to `path` and read it back. The input is float32 (n, channels, height, width), already normalised.

    Raises:
        EngineError: the exporter fails, or writes something else than was requested.
    """
    try:
        _run_exporter(network, recipe, spec, path)
    except Exception as error:  # Of torch, of what it imports, and of the network's own code
        pass_on(error)
        raise EngineError(
            f"exporter {spec.exporter} failed at opset {spec.opset} ({first_line(error)})",
            "try another --opset or --exporter",
        ) from None
    model = load_graph(path)
    if not model.graph.input:
        raise EngineError(
            f"exporter {spec.exporter} wrote a graph that does not depend on its images",
            "compute with torch alone in the network's forward, without NumPy, .item() and .tolist()",
        )
    check_facts(read_facts(model), spec.opset, (recipe.graph.input, recipe.graph.output), spec.batch_size)
    return model


def _run_exporter(network: torch.nn.Module, recipe: Recipe, spec: ExportSpec, path: Path) -> None:
    example = torch.zeros(spec.batch_size or 2, recipe.channels, *recipe.input_size)
    names = (recipe.graph.input, recipe.graph.output)
    dynamo, free = spec.exporter == "dynamo", spec.batch_size is None
    # On failure the exporter prints the whole graph, and stdout is for results.
    with warnings.catch_warnings(), torch.inference_mode(), contextlib.redirect_stdout(io.StringIO()):
        # The exporter announces its own retirement, and an opset beyond its table; the file is read back later.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            network.eval(),
            (example,),
            str(path),
            dynamo=dynamo,
            opset_version=spec.opset,
            input_names=[names[0]],
            output_names=[names[1]],
            external_data=False,
            verbose=False,
            dynamic_axes={name: {0: "batch"} for name in names} if free and not dynamo else None,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},) if free and dynamo else None,
        )


def _check_alone(
    what: str,
    together: NDArray[np.float32],
    images: NDArray[Any],
    predict: Callable[[NDArray[Any]], NDArray[np.float32]],
) -> None:
    """Refuse what gives the first images other logits alone than among all of them; a fixed batch is padded."""
    rows = range(min(ALONE, len(together)))
    alone = np.concatenate([predict(images[row : row + 1]) for row in rows])
    compared = compare_logits(together[: len(rows)], alone, [f"image {row}" for row in rows], SAME_FLOORS["fp32"])
    if compared.excess is not None:
        raise ParityError(f"{what} gives an image other logits alone than in a batch: {compared.excess}", EVAL_MODE)


def _compare_pipelines(
    job: ExportJob, logits: NDArray[np.float32], own: NDArray[np.float32], progress: Progress
) -> StepParity:
    """How far the AIPP configuration itself, host steps included, moves the logits: reported, not judged."""
    moved = measure_parity("AIPP instead of the card's preprocessing", own, logits)
    note = f"{moved.top1_disagreements} of {moved.images} get another first class ({moved.relative_error:.1e})"
    progress(Update("export", note=f"{moved.step}: {note}"))
    return moved


def run_network(network: torch.nn.Module, floats: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of normalised images (n, channels, height, width), in pieces."""
    with torch.inference_mode():
        parts = [network(torch.from_numpy(floats[i : i + CHUNK])).numpy() for i in range(0, len(floats), CHUNK)]
    return np.concatenate(parts)


def _describe(
    job: ExportJob, model: onnx.ModelProto, used: ExportSpec, parity: tuple[StepParity, ...], sha256: str
) -> GraphManifest:
    import onnxruntime

    pipeline, facts = job.pipeline, read_facts(model)
    weights = CheckpointManifest.load(manifest_path(job.checkpoint))
    return GraphManifest(
        key=job.key,
        recipe=pipeline.recipe.model_dump(mode="json", exclude_none=True),
        checkpoint=job.checkpoint.name,
        checkpoint_sha256=weights.sha256,
        published=weights.published,
        sha256=sha256,
        opset=facts.opset,
        exporter=used.exporter,
        requested_opset=None if used.opset == job.spec.opset else job.spec.opset,
        simplified=job.spec.simplify,
        fused=job.spec.fuse,
        aipp=pipeline.aipp.model_dump(mode="json") if pipeline.aipp else None,
        host_steps=tuple(s.model_dump(mode="json", exclude_none=True) for s in pipeline.steps) if pipeline.aipp else (),
        **count_work(model, facts.input).fields,
        input=facts.input,
        output=facts.output,
        preprocess_hash=pipeline.hash,
        parity=parity,
        versions={
            **{name: version(name) for name in ("torch", "onnx", "onnxslim")},
            # Its distribution has another name where it brings a GPU.
            "onnxruntime": onnxruntime.__version__,
        },
    )
