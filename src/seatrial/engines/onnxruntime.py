"""ONNX Runtime: the graph as it is, on the CPU or through the CUDA and TensorRT providers where they are installed."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing
from seatrial.engines.base import (
    MANIFEST,
    Built,
    Capabilities,
    CompileJob,
    EngineFile,
    check_batch,
    check_executed,
    check_options,
    check_place,
    fix_ends,
    read_switch,
)
from seatrial.engines.layers import count_layers
from seatrial.engines.runtime import Runtime
from seatrial.errors import EngineError, RefusedFile, UsageError, shorten
from seatrial.extras import write_install
from seatrial.machine.cpu import count_threads, read_threads
from seatrial.machine.environment import find_version
from seatrial.machine.nvidia import count_gpus
from seatrial.machine.out_of_memory import pass_on
from seatrial.store.files import link_or_copy, make_folder
from seatrial.store.records import FOREIGN, LayerPrecision, TensorSpec

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
"""Kinds of device, as in `cuda:0`, and what runs them."""
OPTIONS = {
    "threads": "threads of one run; default: all cores over the streams",
    "spinning": "true lets idle threads wait actively (the default), false lets them sleep",
    "optimisation": "how far graphs are rewritten: all, careful, extended, basic, disabled; default: the highest sound",
}
NOISE_IMAGES = 2
"""That the optimiser is tried on where the batch is free."""
WRONG_REWRITES = ("Pad_Fusion",)
"""Of onnxruntime 1.31: puts a padding with zeros into the max pooling behind it, which then pads with the least number
instead: wrong wherever a border has only negative values."""
LEVELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "disabled": ("ORT_DISABLE_ALL", ()),
    "basic": ("ORT_ENABLE_BASIC", ()),
    "extended": ("ORT_ENABLE_EXTENDED", ()),
    "careful": ("ORT_ENABLE_ALL", WRONG_REWRITES),
    "all": ("ORT_ENABLE_ALL", ()),
}
"""Values of the option `optimisation`, the lowest first: onnxruntime's name of the level, and the rewrites left out."""
MOST_MOVED = {"fp32": 1e-3, "int8": 0.2}
"""Relative error of the logits that a level may add. Rounding adds 1e-5 in fp32 and 4e-2 in int8 at most (see
docs/diagnose.md); a wrong rewrite of one layer of resnetv2_50x1_bit added 2e-2."""
COARSE_MOVED = 5e-2
"""Of the other precisions."""


class OnnxRuntimeEngine:
    """Runs ONNX graphs with ONNX Runtime."""

    def probe(self) -> Capabilities:
        """What is installed, and which of its providers have a device here."""
        found = find_version("onnxruntime") or find_version("onnxruntime-gpu")
        if found is None:
            hint = write_install("cpu")
            return Capabilities("onnxruntime", None, missing="onnxruntime is not installed", install_hint=hint)
        devices = _list_devices()
        precisions = ("fp32", "fp16", "int8") if len(devices) > 1 else ("fp32", "int8")
        return Capabilities("onnxruntime", found, devices, precisions, in_graph=("fp16", "int8"), free_batch=True)

    def compile(self, job: CompileJob) -> Built:
        """Keep the graph and load it once, so that what cannot run fails now, and read back its precisions.

        Raises:
            EngineError: onnxruntime is missing, refuses the graph, or runs it on another device or precision.
        """
        has = job.capabilities or self.probe()
        check_options("onnxruntime", job.options, OPTIONS)
        files, data = [], []
        for size in job.batch_sizes or (None,):
            target = job.output / f"model-{'free' if size is None else size}.onnx"
            # TensorRT, inside onnxruntime too, takes no uint8.
            fusible = job.precision == "int8" and not job.device.startswith("tensorrt")
            # Weights under one of the folder's own names would be in the way; what is written anew has them inside.
            own = {target.name, MANIFEST}.isdisjoint(job.manifest.data)
            if size == job.manifest.input.shape[0] and not fusible and own:
                data += keep_graph(job, target)
            else:
                rewrite_graph(job.graph, target, size, fusible)
            files.append((size, target))
        level, why = _choose_level(*min(files, key=lambda made: made[0] or 0), replace(job, capabilities=has))
        options = {} if why is None else {"optimisation": level}
        layers: list[LayerPrecision] = []
        for _, target in files:
            layers = _read_back(target, replace(job, options={**job.options, **options}))
            check_executed("onnxruntime", job.precision, count_layers(layers))
        notes = (why,) if why else ()
        return Built(
            tuple(files), count_layers(layers), tuple(data), layers=tuple(layers), options=options, notes=notes
        )

    def open(
        self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1
    ) -> "OnnxRuntimeSession":
        """Load the graph."""
        check_place(file, device, file.capabilities or self.probe())
        path, size = file.pick(batch_size)
        settings = _make_settings(file.manifest.options, streams)
        return OnnxRuntimeSession(path, fix_ends(file.manifest, size), settings, device)

    def describe_runtime(self, file: EngineFile) -> Runtime:
        """Provider, level of optimisation and threads."""
        manifest = file.manifest
        level, left_out = LEVELS[read_level(manifest.options.get("optimisation", "all"))]
        settings = {
            "provider": PROVIDERS[manifest.device.partition(":")[0]],
            "provider_options": _set_up(manifest.device),
            "level": level,
            "left_out": list(left_out),
            "threads": read_threads(manifest.options),
            "spinning": read_switch(manifest.options, "spinning", default=True),
        }
        return Runtime(settings, ("onnxruntime" if find_version("onnxruntime") else "onnxruntime-gpu",))


def keep_graph(job: CompileJob, target: Path) -> list[Path]:
    """Put the job's graph at `target`, and its external data, which it returns, beside it under their own names.

    What other tools wrote they may write again in place, so it is copied.
    """
    keep = shutil.copyfile if job.manifest.exporter == FOREIGN else link_or_copy
    keep(job.graph, target)
    kept = [target.parent / name for name in job.manifest.data]
    for name, path in zip(job.manifest.data, kept, strict=True):
        make_folder(path.parent)
        shutil.copyfile(job.graph.parent / name, path)
    return kept


def rewrite_graph(graph: Path, target: Path, size: int | None, fusible: bool) -> None:
    """Write the graph with its free batch axis fixed to `size`, and, if `fusible`, as onnxruntime runs it in int8."""
    import onnx

    from seatrial.engines.fusible_int8 import to_one_scale, to_unsigned

    model = onnx.load(graph)
    if size is not None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = size
    # Shapes were inferred for a free batch.
    del model.graph.value_info[:]
    onnx.save(to_unsigned(to_one_scale(model)) if fusible else model, target)


class OnnxRuntimeSession(Closing):
    """A graph loaded in ONNX Runtime; `run` may be called from several threads."""

    def __init__(self, path: Path, ends: tuple[TensorSpec, TensorSpec], settings: Any, device: str = "cpu") -> None:
        import onnxruntime

        self.input, self.output = ends
        self._names = [self.output.name]
        provider = PROVIDERS[device.partition(":")[0]]
        placed = [(provider, _set_up(device))]
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), settings, providers=placed)
        except Exception as error:  # onnxruntime's exceptions share no base but this
            pass_on(error)
            raise RefusedFile(
                f"onnxruntime does not load {path} ({shorten(str(error))})", "export and compile it again"
            ) from None
        if self._session.get_providers()[0] != provider:
            raise EngineError(
                f"onnxruntime was requested on {provider} and runs on {self._session.get_providers()[0]}",
                "see `seatrial doctor`, or take --device cpu",
            )

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        check_batch(batch, self.input)
        logits: NDArray[Any] = self._session.run(self._names, {self.input.name: batch})[0]
        return logits.astype(np.float32, copy=False)

    def count_placed(self) -> dict[str, int]:
        """Computing nodes of the graph by the provider that took them."""
        from seatrial.engines.node_types import names_computing

        placed: Counter[str] = Counter()
        for part in self._session.get_provider_graph_assignment_info():
            placed[part.ep_name] += sum(names_computing(node.op_type) for node in part.get_nodes())
        return {name: count for name, count in placed.items() if count}

    def close(self) -> None:
        """Free the session."""
        self._session = None


def read_level(text: str) -> str:
    """The level of that name.

    Raises:
        UsageError: there is none.
    """
    if text not in LEVELS:
        raise UsageError(f"there is no level optimisation={text}", f"give one of {', '.join(LEVELS)}")
    return text


def choose_level(
    requested: str | None, precision: str, run: Callable[[str], NDArray[np.float32]], version: str
) -> tuple[str, str | None]:
    """The highest level at which a graph computes what its nodes do unoptimised; and why, where it had to be lowered.

    Args:
        requested: the only level that will do; None takes any.
        run: logits (n, classes) of the same images at a level.

    Raises:
        EngineError: the graph computes something else at the requested level; names the highest sound one.
    """
    first, limit = requested or "all", MOST_MOVED.get(precision, COARSE_MOVED)
    plain = run("disabled")
    moved = _differ(run(first), plain)
    if not moved > limit:  # Nor where they are not numbers: that is the graph's own fault, and finding elsewhere.
        return first, None
    names = list(LEVELS)
    sound = next(level for level in reversed(names[: names.index(first)]) if _differ(run(level), plain) <= limit)
    finding = (
        f"onnxruntime {version}'s optimiser changes what the graph computes: at optimisation={first} logits are off "
        f"by {moved:.1e} of their size, where {precision} rounds by {limit:g} at most"
    )
    if requested is None:
        return sound, f"{finding}; compiled at optimisation={sound}"
    raise EngineError(finding, f"compile with --option optimisation={sound}, or without this option")


def _differ(logits: NDArray[np.float32], plain: NDArray[np.float32]) -> float:
    before = plain.astype(np.float64)
    return float(np.linalg.norm(logits - before) / (np.linalg.norm(before) or 1))


def _list_devices() -> tuple[str, ...]:
    os.environ.setdefault("ORT_LOGGING_LEVEL", "3")
    import onnxruntime

    there = onnxruntime.get_available_providers()
    kinds = [kind for kind in ("cuda", "tensorrt") if PROVIDERS[kind] in there]
    return ("cpu", *(f"{kind}:{index}" for kind in kinds for index in range(count_gpus())))


def _set_up(device: str) -> dict[str, str]:
    """The provider's own options; by default CUDA's multiplies fp32 in TF32, with 10 bits of mantissa for 23."""
    kind, _, index = device.partition(":")
    return ({"device_id": index} if index else {}) | ({"use_tf32": "0"} if kind == "cuda" else {})


def _make_settings(options: Mapping[str, str], streams: int = 1) -> Any:
    # Its telemetry and its banners belong to nobody's output.
    os.environ.setdefault("ORT_LOGGING_LEVEL", "3")
    import onnxruntime

    spinning = read_switch(options, "spinning", default=True)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = count_threads(options, streams)
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    level, left_out = LEVELS[read_level(options.get("optimisation", "all"))]
    settings.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    if left_out:
        settings.add_session_config_entry("optimization.disable_specified_optimizers", ";".join(left_out))
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return settings


def _choose_level(size: int | None, graph: Path, job: CompileJob) -> tuple[str, str | None]:
    """See `choose_level`; on noise, which reaches what a few photographs may not.

    Raises:
        EngineError: as `choose_level`.
    """
    requested = job.options.get("optimisation")
    # TensorRT takes the graph before any of this is done to it, and would build two more engines.
    if requested == "disabled" or job.device.startswith("tensorrt"):
        return requested or "all", None
    requested = requested and read_level(requested)
    spec, rng = job.manifest.input, np.random.default_rng(0)
    shape = (size or NOISE_IMAGES, *(axis or 1 for axis in spec.shape[1:]))
    noise = rng.standard_normal(shape).astype(np.float32)
    images = rng.integers(0, 256, shape, dtype=np.uint8) if spec.dtype == "uint8" else noise.astype(spec.dtype)

    def run(level: str) -> NDArray[np.float32]:
        settings = _make_settings({**job.options, "optimisation": level})
        with OnnxRuntimeSession(graph, fix_ends(job.manifest, size), settings, job.device) as session:
            return session.run(images).astype(np.float32)

    version = job.capabilities and job.capabilities.version
    return choose_level(requested, job.precision, run, version or "")


def _read_back(graph: Path, job: CompileJob) -> list[LayerPrecision]:
    """Load the graph as it will be run; its computing layers, from the optimised graph that came of it.

    Raises:
        EngineError: another provider took some of them.
    """
    import onnx

    from seatrial.engines.node_types import list_layers

    provider = PROVIDERS[job.device.partition(":")[0]]
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        settings = _make_settings(job.options)
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        # An engine of TensorRT's inside the graph cannot be written out.
        if provider != PROVIDERS["tensorrt"]:
            settings.optimized_model_filepath = str(optimised)
        with OnnxRuntimeSession(graph, (job.manifest.input, job.manifest.output), settings, job.device) as session:
            placed = session.count_placed()
        strays = {name: count for name, count in placed.items() if name != provider}
        if strays:
            others = ", ".join(f"{count} layers on {name}" for name, count in sorted(strays.items()))
            raise EngineError(
                f"onnxruntime was requested on {provider} and runs {others}",
                "see `seatrial doctor`, or take --device cpu",
            )
        # The weights of a large graph lie beside it, and only their types matter.
        return list_layers(onnx.load(optimised, load_external_data=False)) if optimised.exists() else []
