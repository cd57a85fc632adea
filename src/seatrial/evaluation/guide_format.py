"""What the guides' inference tools write, to the byte: `ais_bench`, and the older `benchmark` and `msame`."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

OutputFormat = Literal["TXT", "BIN", "NPY"]
RULE = "-----------------Performance Summary------------------"
PERCENTILE = "percentile(99%)"
PURE_RULE = "-----------------PureInfer Performance Summary------------------"
MSAME_LINE = 100


@dataclass(frozen=True, slots=True)
class Performance:
    """How long each execution of one batch took, in milliseconds, in the order of the executions."""

    batch_size: int
    compute_ms: list[float] = field(default_factory=list)
    """The tool calls these NPU_compute_time."""
    copy_in_ms: list[float] = field(default_factory=list)
    """The tool calls these H2D_latency; empty where the engine does not time copies apart."""
    copy_out_ms: list[float] = field(default_factory=list)
    """The tool calls these D2H_latency."""

    @property
    def images_per_s(self) -> float:
        """Batch size over the mean of the executions, copies left out; 0 where that mean is 0, as the tool has it."""
        mean_ms = summarise_times(self.compute_ms)["mean"]
        return 1000 * self.batch_size / mean_ms if mean_ms else 0

    @property
    def image_ms(self) -> float:
        """Mean time of one image in the engine, copies included."""
        parts = (self.copy_in_ms, self.compute_ms, self.copy_out_ms)
        return sum(summarise_times(times)["mean"] for times in parts) / self.batch_size


@dataclass(frozen=True, slots=True)
class Course:
    """When a run's last image had left each of its stages, in seconds from the start."""

    images: int
    batches: int
    read_s: float
    infer_s: float
    stored_s: float


def name_output(source: Path | str, index: int, form: OutputFormat, between: str = "_") -> str:
    """The name of an input's output: its own up to the first dot, `between`, the output's number."""
    return f"{Path(source).name.split('.')[0]}{between}{index}.{form.lower()}"


def encode_output(rows: NDArray[np.float32], form: OutputFormat) -> bytes:
    """The file of one input's outputs, (images, classes)."""
    if form == "TXT":
        line = "%f " * rows.shape[1] + "\n"
        return "".join(line % tuple(row) for row in rows.tolist()).encode("ascii")
    if form == "BIN":
        return rows.astype("<f4").tobytes()
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


def encode_lines(rows: NDArray[np.float32], form: OutputFormat) -> bytes:
    """The same of `msame`: its text has six digits a number, a hundred numbers a line, a blank line between images."""
    if form != "TXT":
        return encode_output(rows, form)
    starts = range(0, rows.shape[1], MSAME_LINE)
    lines = (("".join(f"{value:g} " for value in row[i : i + MSAME_LINE]) for i in starts) for row in rows.tolist())
    return "\n\n".join("\n".join(row) for row in lines).encode("ascii")


def summarise_times(times_ms: Sequence[float]) -> dict[str, float]:
    """The tool's figures of a list of times; zeros of an empty one."""
    if not times_ms:
        return {"min": 0.0, "max": 0.0, "mean": 0.0, "median": 0.0, PERCENTILE: 0.0, "count": 0}
    times = np.asarray(times_ms, dtype=np.float64)
    figures = (times.min(), times.max(), times.mean(), np.median(times), np.percentile(times, 99))
    named = zip(("min", "max", "mean", "median", PERCENTILE), map(float, figures), strict=True)
    return {**dict(named), "count": len(times)}


def name_times(performance: Performance) -> dict[str, dict[str, float]]:
    """The figures of the three lists, under the tool's names."""
    return {
        "NPU_compute_time": summarise_times(performance.compute_ms),
        "H2D_latency": summarise_times(performance.copy_in_ms),
        "D2H_latency": summarise_times(performance.copy_out_ms),
    }


def write_performance(performance: Performance, everything: bool = False) -> list[str]:
    """The lines that `ais_bench` ends with; `everything` adds the copies."""
    times = name_times(performance)
    shown = ("H2D_latency", "NPU_compute_time", "D2H_latency") if everything else ("NPU_compute_time",)
    mean_ms, rate = times["NPU_compute_time"]["mean"], performance.images_per_s
    lines = [
        RULE,
        *(f"{name} (ms): {_list_figures(times[name])}" for name in shown),
        f"throughput 1000*batchsize.mean({performance.batch_size})/NPU_compute_time.mean({mean_ms}): {rate}",
        "-" * len(RULE),
    ]
    return [f"[INFO] {line}" for line in lines]


def write_summary(
    files: Iterable[tuple[str, str]], arguments: Sequence[str], performance: Performance, process: int
) -> str:
    """The JSON of `NAME_summary.json`.

    Args:
        files: each input with the output that was made of it.
        arguments: the words of the command.
        process: its number.
    """
    infos = ({"infiles": [source], "outfiles": [output]} for source, output in files)
    summary = {
        "filesinfo": {str(number): info for number, info in enumerate(infos)},
        "args": list(arguments),
        **name_times(performance),
        "throughput": performance.images_per_s,
        "npu_compute_time_list": list(performance.compute_ms),
        "pid": process,
    }
    return json.dumps(summary)


def write_report(performance: Performance, course: Course) -> str:
    """The five lines of the older tool's `perf_vision_batchsize_B_device_D.txt`, six digits a number.

    What they mean is concluded from published ones: a stage's rate counts from the start until it is through, in images
    or, for `post`, in batches; its latency is the inverse, but for `infer`, which has its own time for an image.
    """
    images, batches = course.images, course.batches
    read, post = images / course.read_s, batches / course.stored_s
    infer, interface = images / course.infer_s, performance.images_per_s
    return (
        f"[e2e] throughputRate: {images / course.stored_s:g}, latency: {1000 * course.stored_s:g}\n"
        f"[data read] throughputRate: {read:g}, moduleLatency: {1000 / read:g}\n"
        f"[preprocess] throughputRate: {read:g}, moduleLatency: {1000 / read:g}\n"
        f"[infer] throughputRate: {infer:g}, Interface throughputRate: {interface:g}, "
        f"moduleLatency: {performance.image_ms:g}\n"
        f"[post] throughputRate: {post:g}, moduleLatency: {1000 / post:g}\n"
    )


def write_pure(performance: Performance) -> str:
    """The older tool's file of a run without a data set, `PureInfer_perf_of_M_in_device_D.txt`."""
    rate, each = performance.images_per_s, performance.image_ms
    return f"ave_throughputRate = {rate:g}samples/s, ave_latency = {each:g}ms\n"


def print_pure(performance: Performance, saved: Path | None) -> list[str]:
    """The lines that the older tool prints of a run without a data set."""
    rate, each = performance.images_per_s, performance.image_ms
    return [
        *(f"[INFO] Dataset number: {i} finished cost {ms:g}ms" for i, ms in enumerate(performance.compute_ms)),
        *([f"[INFO] PureInfer result saved in {saved}"] if saved else []),
        PURE_RULE,
        f"[INFO] ave_throughputRate: {rate:g}samples/s, ave_latency: {each:g}ms",
        "-" * len(PURE_RULE),
    ]


def print_average(performance: Performance) -> list[str]:
    """The lines in which `msame` states its times."""
    times = performance.compute_ms
    lines = [f"Inference time: {ms:g}ms" for ms in times]
    lines.append(f"Inference average time : {summarise_times(times)['mean']:.2f} ms")
    if len(times) > 1:
        lines.append(f"Inference average time without first time: {summarise_times(times[1:])['mean']:.2f} ms")
    return lines


def _list_figures(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in figures.items() if name != "count")
