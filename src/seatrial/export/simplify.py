"""Fold and clean a graph without changing its input or its logits."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.utils
import onnxslim
from numpy.typing import NDArray

from seatrial.engines.engine_folder import read_graph
from seatrial.errors import EngineError, LostProcess, RefusedFile, UsageError
from seatrial.evaluation.parity import check_logits, check_parity, measure_parity
from seatrial.export.derived_graph import DerivedGraphJob, store_derived_graph
from seatrial.export.graph import run_graph
from seatrial.machine.isolated_process import PYTHON, ProcessLimits, call_child, serve_job
from seatrial.models.onnx_file import GraphFacts, has_single_axes, load_graph, read_facts
from seatrial.store.files import hash_value, manifest_path, refuse_other_kind, replacing
from seatrial.store.json_text import write_json
from seatrial.store.records import GraphManifest, StepParity
from seatrial.strict import Strict

CHECK_IMAGES = 64
FREE = -1
"""A batch size in a shape that leaves the graph's own as it is."""
LIMITS = ProcessLimits(processor_s=180, memory_bytes=16 << 30)
"""A classifier of ordinary size takes seconds and a few times its size."""


class SimplifyJob(Strict):
    """The arguments of `simplify_file`."""

    source: Path
    output: Path
    shape: tuple[int, ...] | None
    output_name: str | None


class Simplified(Strict):
    """The ends of a simplified graph, and how far its logits lie from the original's."""

    facts: GraphFacts
    parity: StepParity


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with constants folded and dead nodes gone (onnxslim).

    Raises:
        EngineError: the simplified graph has another opset, input or output.
    """
    before = read_facts(model)
    slim: onnx.ModelProto = onnxslim.slim(onnx.ModelProto.FromString(model.SerializeToString()))
    onnx.checker.check_model(slim)
    after = read_facts(slim)
    if after != before:
        raise EngineError(f"simplifying changed the graph's ends from {before} to {after}", "try --no-simplify")
    return slim


def simplify_apart(
    source: Path, output: Path, shape: tuple[int, ...] | None = None, output_name: str | None = None
) -> Simplified:
    """`simplify_file` in a process of its own, with limits on memory and time.

    Raises:
        SeatrialError: as `simplify_file`.
        RefusedFile: the graph takes more than the limits, or a library crashes on it.
    """
    job = SimplifyJob(source=source, output=output, shape=shape, output_name=output_name)
    command = (*PYTHON, "seatrial.export.simplify")
    try:
        return call_child(command, write_json(job), Simplified, f"simplifying {source}", limits=LIMITS)
    except LostProcess as error:
        raise RefusedFile(error.problem, "export the classifier alone, without what it computes besides") from None


def simplify_file(
    source: Path, output: Path, shape: tuple[int, ...] | None = None, output_name: str | None = None
) -> tuple[GraphFacts, StepParity]:
    """Simplify a classifier's ONNX file of any origin, checked on noise; `shape` pins its input, batch first.

    A graph of ours hands its manifest on.

    Args:
        output_name: the output to keep, where the file has several.

    Raises:
        UsageError: there is no such file, its input cannot have that shape, or `output` is an exported graph.
        RefusedFile: it is no ONNX file, no image classifier, or another file than a manifest of ours describes.
        EngineError: onnxruntime is missing, or the graph's ends changed.
        ParityError: the predictions changed.
    """
    refuse_other_kind(output, ".onnx")
    own = read_graph(source).manifest if GraphManifest.stands_at(manifest_path(source)) else None
    _refuse_described(output, own)
    model = _load_classifier(source, shape, output_name)
    slim = simplify(model)
    facts = read_facts(slim)
    noise = _draw_noise(facts)
    fixed = facts.input.shape[0]
    reference = run_graph(model, noise, fixed)
    check_logits(reference, [f"noise {i}" for i in range(len(reference))])
    parity = measure_parity("simplify", reference, run_graph(slim, noise, fixed))
    check_parity(parity)
    if own is None:
        with replacing(output) as temporary:
            onnx.save(slim, temporary)
        return facts, parity
    job = DerivedGraphJob(source, own, output, hash_value([own.sha256, shape, output_name]), noise)
    pinned = {
        end: spec.model_copy(update={"shape": (found.shape[0], *spec.shape[1:])})
        for end, spec, found in (("input", own.input, facts.input), ("output", own.output, facts.output))
    }
    store_derived_graph(slim, job, {**pinned, "simplified": True, "parity": (*own.parity, parity)})
    return facts, parity


def _load_classifier(source: Path, shape: tuple[int, ...] | None, output_name: str | None) -> onnx.ModelProto:
    """The graph with its one input and the output to keep, and with the shape that it is to have."""
    model = load_graph(source)
    ends = read_facts(model, output_name)
    if output_name not in (None, ends.output.name):
        raise UsageError(f"{source} has no output '{output_name}'", f"it has '{ends.output.name}'")
    if len(model.graph.output) > 1:
        model = onnx.utils.Extractor(model).extract_model([ends.input.name], [ends.output.name])
    if has_single_axes(ends.output):
        _flatten_output(model)
    if shape is not None:
        pin_input(model, shape)
    return model


def _flatten_output(model: onnx.ModelProto) -> None:
    """Put a Flatten behind the one output (n, classes, 1, 1), in place; it gets a name of its own."""
    output = model.graph.output[0]
    before, after = output.name, f"{output.name}_flat"
    model.graph.node.append(onnx.helper.make_node("Flatten", [before], [after], axis=1))
    output.name = after
    del output.type.tensor_type.shape.dim[2:]


def _refuse_described(output: Path, own: GraphManifest | None) -> None:
    """Refuse a graph whose manifest would no longer describe it; one that was derived is made again with its own."""
    beside = manifest_path(output)
    if beside.exists() and not (own and GraphManifest.stands_at(beside) and GraphManifest.load(beside).origin):
        raise UsageError(
            f"{output} is a graph with a manifest, which would no longer describe it", "choose another OUT"
        )


def pin_input(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Fix the input's shape in place; sizes that the graph already fixes, other than the batch, must agree.

    A batch of `FREE` stays as it is.

    Raises:
        UsageError: the input has another number of axes, or another size on one.
    """
    facts = read_facts(model)
    given = facts.input.shape
    agree = len(shape) == len(given) and all(
        have in (None, want) for have, want in zip(given[1:], shape[1:], strict=True)
    )
    if not agree:
        raise UsageError(
            f"--input-shape {','.join(map(str, shape))} does not fit input '{facts.input.name}' "
            f"{'x'.join('N' if size is None else str(size) for size in given)}",
            "give every axis, batch first; only free ones may change",
        )
    ends = {value.name: value.type.tensor_type.shape.dim for value in (*model.graph.input, *model.graph.output)}
    batch, *sizes = shape
    for dim, size in zip(ends[facts.input.name][1:], sizes, strict=True):
        dim.dim_value = size
    if batch != FREE:
        for end in (facts.input.name, facts.output.name):
            ends[end][0].dim_value = batch
    # Shapes were inferred for other sizes.
    del model.graph.value_info[:]


def _draw_noise(facts: GraphFacts) -> NDArray[np.generic]:
    rng = np.random.default_rng(0)
    free = next((axis for axis, size in enumerate(facts.input.shape[1:], start=1) if size is None), None)
    if free is not None:
        raise UsageError(
            f"axis {free} of input '{facts.input.name}' is free, so it cannot be checked", "give --input-shape"
        )
    shape = (CHECK_IMAGES, *(size or 0 for size in facts.input.shape[1:]))
    if facts.input.dtype == "uint8":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.standard_normal(shape).astype(facts.input.dtype)


def _simplify_job(request: Any) -> str:
    job = SimplifyJob.model_validate(request)
    facts, parity = simplify_file(job.source, job.output, job.shape, job.output_name)
    return write_json(Simplified(facts=facts, parity=parity))


if __name__ == "__main__":
    sys.exit(serve_job(_simplify_job))
