"""A foreign graph is tried in a process of its own, before anything here computes with it.

`python -m seatrial.workflow.try_graph` is that process: what asks for more memory than there is, or for hours, ends it
and nothing else.
"""

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.errors import LostProcess, RefusedFile, StorageError, first_line
from seatrial.machine.isolated_process import PYTHON, ProcessLimits, call_child, serve_job
from seatrial.store.files import cache_folder, hash_value, write_text
from seatrial.store.json_text import write_json
from seatrial.store.records import TensorSpec
from seatrial.strict import Strict

LIMITS = ProcessLimits(processor_s=60, memory_bytes=8 << 30)
"""Beside the weights. A classifier takes seconds for the two images."""
IMAGES = 2
"""One more than one, so that a graph that gives one row for all is seen."""


class GraphTrial(Strict):
    """What to try."""

    graph: Path
    input: TensorSpec
    """With the sizes that images have; the batch may be free."""
    output: TensorSpec


class RowsGiven(Strict):
    """What came of it."""

    rows: int | None
    """For `images`; None where onnxruntime does not load the graph."""
    images: int


def try_graph(trial: GraphTrial, sha256: str, data: Sequence[str] = ()) -> None:
    """Run a foreign graph on drawn images, with limits on memory and time; one that passed is not tried again.

    Args:
        sha256: the graph's hash, of its external data too.
        data: the files of its external data, relative to its folder.

    Raises:
        RefusedFile: it takes more than the limits, crashes, or gives another number of rows than it was given.
    """
    key = hash_value([sha256, trial.input.model_dump(mode="json"), trial.output.name])
    passed = cache_folder() / "graphs-that-ran" / key
    if passed.exists():
        return
    command = (*PYTHON, "seatrial.workflow.try_graph")
    weights = 4 * sum(trial.graph.with_name(name).stat().st_size for name in (trial.graph.name, *data))
    limits = replace(LIMITS, memory_bytes=LIMITS.memory_bytes + weights)
    try:
        given = call_child(command, write_json(trial), RowsGiven, f"a run of {trial.graph}", limits=limits)
    except LostProcess as error:
        raise RefusedFile(error.problem, "export the classifier alone, without what it computes besides") from None
    if given.rows not in (None, given.images):
        what = f"{trial.graph} gives {given.rows} rows of logits for {given.images} images"
        raise RefusedFile(what, "export it so that each image has its row")
    with contextlib.suppress(StorageError):  # Then it is tried again the next time.
        write_text(passed, "")


def run_trial(trial: GraphTrial) -> RowsGiven:
    """Run a graph in this process, on images of noise; one that onnxruntime cannot load is left to other engines.

    Raises:
        RefusedFile: running it fails.
    """
    images = draw_images(trial.input)
    try:
        import onnxruntime
    except ImportError:
        return RowsGiven(rows=None, images=len(images))
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(trial.graph), settings, providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime's exceptions share no base but this.
        return RowsGiven(rows=None, images=len(images))
    try:
        rows = session.run([trial.output.name], {trial.input.name: images})[0]
    except Exception as error:
        why = f"{trial.graph} cannot be run: {first_line(error)}"
        raise RefusedFile(why, "export the classifier alone, without what it computes besides") from None
    return RowsGiven(rows=len(rows), images=len(images))


def draw_images(spec: TensorSpec) -> NDArray[Any]:
    """Noise as an input takes it, of `IMAGES` images where the batch is free."""
    rng = np.random.default_rng(0)
    shape = (spec.shape[0] or IMAGES, *(size or 1 for size in spec.shape[1:]))
    if spec.dtype == "uint8":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.standard_normal(shape).astype(spec.dtype)


def _try_job(request: Any) -> str:
    return write_json(run_trial(GraphTrial.model_validate(request)))


if __name__ == "__main__":
    sys.exit(serve_job(_try_job))
