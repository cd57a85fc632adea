"""ONNX Runtime: the graph as it is, on the CPU."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from seatrial.engines.base import (
    Built,
    Capabilities,
    CompileJob,
    EngineFile,
    check_available,
    check_batch,
    check_device,
    check_options,
)
from seatrial.engines.cpu import count_threads
from seatrial.errors import EngineError, RefusedFile
from seatrial.store.files import link_or_copy
from seatrial.store.records import TensorSpec

PROVIDERS = {"cpu": "CPUExecutionProvider"}
OPTIONS = {"threads": "threads of one run; default: all cores over the streams"}


class OnnxRuntimeEngine:
    """Runs ONNX graphs in fp32 with ONNX Runtime."""

    def probe(self) -> Capabilities:
        """What is installed."""
        for name in ("onnxruntime", "onnxruntime-gpu"):
            try:
                found = version(name)
            except PackageNotFoundError:
                continue
            return Capabilities("onnxruntime", found, tuple(PROVIDERS), ("fp32",), free_batch=True)
        hint = "pip install 'seatrial[cpu]'"
        return Capabilities("onnxruntime", None, missing="onnxruntime is not installed", install_hint=hint)

    def compile(self, job: CompileJob) -> Built:
        """Keep the graph and load it once, so that what cannot run fails now.

        Raises:
            EngineError: onnxruntime is missing or refuses the graph.
        """
        check_available(job, self.probe())
        check_options("onnxruntime", job.options, OPTIONS)
        files = []
        for size in job.batch_sizes or (None,):
            target = job.output / f"model-{'free' if size is None else size}.onnx"
            if size == job.manifest.input.shape[0]:
                link_or_copy(job.graph, target)
            else:
                fix_batch(job.graph, target, size)
            OnnxRuntimeSession(target, job.manifest.input, job.manifest.output, count_threads(job.options)).close()
            files.append((size, target))
        return Built(tuple(files), executed={})

    def open(
        self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1
    ) -> "OnnxRuntimeSession":
        """Load the graph."""
        check_device(device, self.probe())
        path, size = file.pick(batch_size)
        threads = count_threads(file.manifest.options, streams)
        spec = file.manifest.input
        fixed = spec.model_copy(update={"shape": (size, *spec.shape[1:])})
        return OnnxRuntimeSession(path, fixed, file.manifest.output, threads, PROVIDERS[device])


def fix_batch(graph: Path, target: Path, size: int | None) -> None:
    """Write the graph with its free batch axis fixed to `size`."""
    import onnx

    model = onnx.load(graph)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size or 0
    # What was inferred for a free batch no longer holds.
    del model.graph.value_info[:]
    onnx.save(model, target)


class OnnxRuntimeSession:
    """A graph loaded in ONNX Runtime; `run` may be called from several threads."""

    def __init__(
        self, path: Path, input: TensorSpec, output: TensorSpec, threads: int, provider: str = PROVIDERS["cpu"]
    ) -> None:
        # Its telemetry and its banners belong to nobody's output.
        os.environ.setdefault("ORT_LOGGING_LEVEL", "3")
        import onnxruntime

        self.input, self.output = input, output
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # onnxruntime's exceptions share no base but this
            reason = str(error).splitlines()[0][:200]
            raise RefusedFile(f"onnxruntime does not load {path} ({reason})", "export and compile it again") from None
        if self._session.get_providers()[0] != provider:
            raise EngineError(f"asked for {provider}, onnxruntime runs on {self._session.get_providers()[0]}")

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        check_batch(batch, self.input)
        logits: NDArray[np.float32] = self._session.run([self.output.name], {self.input.name: batch})[0]
        return logits

    def close(self) -> None:
        """Free the session."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
