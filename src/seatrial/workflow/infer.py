"""`seatrial infer`: files through an engine, a file of logits for each: the guides' `ais_bench` step on any engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.bench.inputs import make_random_pixels
from seatrial.data.bins.contents import find_contents
from seatrial.data.bins.match_engine import check_bins, suggest_bins
from seatrial.data.bins.raw_inputs import Inputs, count_images, find_inputs, measure_file, read_images
from seatrial.data.calibration import check_apart
from seatrial.data.fast_hash import hash_prepared
from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.input_pipeline import InputPipeline, read_pipeline, to_input
from seatrial.engines import get_engine
from seatrial.engines.base import DeviceTimed, EngineFile, read_engine
from seatrial.engines.self_test import check_self_test
from seatrial.errors import DataError, RefusedFile, UsageError
from seatrial.evaluation.guide_format import Course, Performance
from seatrial.evaluation.run_files import FileSource, Repeats, Store, check_first_batch, run_source
from seatrial.machine.cpu import count_cores
from seatrial.metrics.calibration import are_distributions, log_sum_exp
from seatrial.metrics.noise_floor import find_batch_floor, is_coarse
from seatrial.metrics.topk import rank_top
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.recipes.class_names import read_names, show_class
from seatrial.store.records import GraphManifest, TensorSpec
from seatrial.workflow.infer_output import InferSpec, OutputPlace, PureData, plan_output, store_logits, write_place

PURE = "pure_infer_data"
"""The tool's name of synthetic data."""
PURE_WORDS = {"zero": "zeros", "random": "random bytes"}
SHOWN = 3
"""Images whose best classes are shown, and classes that are shown of each."""
FREE_BATCH = 16
"""Batch size where neither the engine nor an option sets one."""


@dataclass(frozen=True, slots=True)
class InferResult:
    """Files run, and how fast."""

    files: int
    performance: Performance
    course: Course
    place: OutputPlace | None


def infer_engine(folder: Path, spec: InferSpec, progress: Progress = silent) -> InferResult:
    """Run files through an engine and store the logits of each as the guides' tools do.

    The folder of logits appears whole or not at all, and its summary before it.

    Raises:
        UsageError: the folder is no engine folder or has no such batch size, or the output folder is not empty.
        DataError: an input is missing, or is not what the engine takes.
        RefusedFile: a bin is not what `seatrial preprocess` wrote.
        ParityError: a logit is not a number or depends on the batch, or all are the same.
    """
    file = read_engine(folder)
    manifest = file.manifest
    batch_size = choose_batch(file, spec.batch_size)
    place = plan_output(spec, batch_size, manifest.device, file.folder.name)
    source = open_source(file, spec, batch_size, progress)
    engine, repeats = get_engine(manifest.engine), Repeats(batch_size, spec.loop, spec.warmup)
    with store_logits(place, spec.form) as store, engine.open(file, manifest.device, batch_size) as session:
        check_self_test(session, file, batch_size)
        if not isinstance(session, DeviceTimed):
            note = f"NPU_compute_time is the host's time of a run of {manifest.engine}, copies included"
            progress(Update("infer", note=note))
        coarse = is_coarse(manifest.precision, manifest.executed)
        if spec.source is not None:
            floor = find_batch_floor(manifest.precision, manifest.executed, manifest.graph.dynamic_scales)
            check_first_batch(session, source, batch_size, floor)
        shown = store if spec.source is None else show_first(store, manifest.graph, progress)
        performance, course = run_source(session, source, repeats, shown, progress, coarse)
        # First, as a folder of logits without its summary could be neither used nor written again.
        if place is not None:
            write_place(place, folder, spec, source.files, (performance, course))
    return InferResult(len(source.files), performance, course, place)


def choose_batch(file: EngineFile, requested: int | None) -> int:
    """The batch size requested, else the smallest that the engine was built for.

    Raises:
        UsageError: it was built for others.
    """
    sizes = [model.batch_size for model in file.manifest.files]
    fixed = sorted(size for size in sizes if size is not None)
    if requested is None:
        return fixed[0] if fixed else FREE_BATCH
    if requested not in sizes and None not in sizes:
        listed = ", ".join(map(str, fixed))
        raise UsageError(
            f"{file.folder} runs batch {listed}, not {requested}",
            f"give one of these, or compile it with --batch-size {requested}",
        )
    return requested


def show_first(store: Store, graph: GraphManifest, progress: Progress) -> Store:
    """`store`, with a line on each of the first `SHOWN` images: its best classes by name, where the card has names."""
    names = read_names(Recipe.read(graph.recipe, "the graph's manifest")) or ()
    left = SHOWN if names else 0

    def show(path: Path, rows: NDArray[np.float32]) -> None:
        nonlocal left
        store(path, rows)
        for row in rows[:left]:
            progress(Update("infer", note=f"{path.name}: {describe_best(row, names)}"))
        left -= min(left, len(rows))

    return show


def describe_best(scores: NDArray[np.float32], names: Sequence[str]) -> str:
    """The best classes of one image's scores (classes,) with their confidences: `281 tabby 93.1%`."""
    classes, best = rank_top(scores[None], SHOWN)
    shares = best[0] if are_distributions(scores[None])[0] else np.exp(best[0] - log_sum_exp(scores[None])[0])
    pairs = zip(classes[0].tolist(), shares.tolist(), strict=True)
    return ", ".join(f"{show_class(names, place)} {share:.1%}" for place, share in pairs)


def open_source(file: EngineFile, spec: InferSpec, batch_size: int, progress: Progress) -> FileSource:
    """The files to run, checked before anything is run.

    Raises:
        UsageError: `spec.source` names nothing that can be fed.
        DataError: a file is missing, or is not what the engine takes.
    """
    graph, tensor = file.manifest.graph, file.manifest.input
    pipeline = read_pipeline(graph)
    if graph.preprocess_hash != pipeline.hash:
        raise DataError(f"{file.folder} was built for another preprocessing", "export and compile it again")
    if spec.source is None:
        note = f"no --input: the engine is fed {PURE_WORDS[spec.pure_data]}, which are no photographs"
        progress(Update("infer", note=f"{note}; some chips compute them faster, and their logits mean nothing"))
        batch = make_pure_batch(spec.pure_data, batch_size, tensor, pipeline)
        made = FileSource((Path(PURE),), batch_size, tensor, lambda path, rows: np.copyto(rows, batch))
        return replace(made, synthetic=True)
    inputs = find_inputs(spec.source)
    if inputs.are_images:
        _report_leak(graph, inputs.files, progress)

        def read(path: Path, rows: NDArray[Any]) -> None:
            rows[:] = to_input(pipeline.load(path)[None], tensor, pipeline)

        return FileSource(inputs.files, 1, tensor, read, read_workers=count_cores())
    checked = [check_bins(folder, pipeline, tensor) for folder in sorted({path.parent for path in inputs.files})]
    _check_info(inputs, tensor)
    images = count_images(inputs.files, tensor, batch_size, suggest_bins(pipeline, tensor))
    if not all(checked):
        note = "without a bins.json beside them, how the files were preprocessed is not checked"
        progress(Update("infer", note=note))
    _report_runs(inputs.files, images, batch_size, progress)
    return FileSource(inputs.files, images, tensor, _read_proved(inputs.files))


def _read_proved(files: Sequence[Path]) -> Callable[[Path, NDArray[Any]], None]:
    """`read_images`, which refuses a bin that is not what `seatrial preprocess` wrote, where that is recorded.

    Raises:
        DataError: a bin was added to its folder later.
    """
    written = find_contents(files)

    def read(path: Path, rows: NDArray[Any]) -> None:
        read_images(path, rows)
        content = written.get(path)
        if content is not None and hash_prepared(rows.data) != content.hash:
            fix = "run it again: it writes such files anew"
            raise RefusedFile(f"{path} has changed since `seatrial preprocess` wrote it", fix)

    return read


def make_pure_batch(kind: PureData, batch_size: int, tensor: TensorSpec, pipeline: InputPipeline) -> NDArray[Any]:
    """A batch of zeros, or of images of random bytes as the engine takes them: bytes as floats would be no numbers."""
    if kind == "zero":
        return np.zeros((batch_size, *(size or 1 for size in tensor.shape[1:])), tensor.dtype)
    pixels = make_random_pixels(pipeline, seed=0)
    return to_input(np.resize(pixels, (batch_size, *pipeline.shape)), tensor, pipeline)


def _check_info(inputs: Inputs, tensor: TensorSpec) -> None:
    """Compare the sizes in an `.info` file with the engine's."""
    sizes = [size or 1 for size in tensor.shape[1:]]
    height, width = sizes[1:] if tensor.layout == "NCHW" else sizes[:2]
    if tensor.layout == "YUV420SP":
        height = height * 2 // 3
    for line in inputs.info:
        if (line.height, line.width) != (height, width):
            raise DataError(
                f"in the .info file {line.path} is {line.width}×{line.height} (width×height), "
                f"the engine takes {width}×{height}",
                "list the files anew with `seatrial preprocess … --info FILE`",
            )


def _report_runs(files: tuple[Path, ...], images: int, batch_size: int, progress: Progress) -> None:
    """The line that the tool prints of its runs."""
    size, per_batch = measure_file(files[0]), batch_size // images
    note = f"get filesperbatch files0 size:{size} tensor0size:{size * per_batch} filesperbatch:{per_batch}"
    progress(Update("infer", note=f"{note} runcount:{-(-len(files) // per_batch)}"))


def _report_leak(graph: GraphManifest, images: tuple[Path, ...], progress: Progress) -> None:
    """Note that an int8 graph is run on its calibration images; only an accuracy is meaningless then."""
    if graph.calibration is None:
        return
    try:
        check_apart(graph.calibration.contents, [LabelledImage(path.name, path, -1) for path in images])
    except DataError as error:
        progress(Update("infer", note=f"{error.problem}: a score of these predictions proves nothing"))
