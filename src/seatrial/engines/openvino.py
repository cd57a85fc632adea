"""OpenVINO: the graph compiled for Intel CPUs, in the precision that was asked and no other."""

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
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
from seatrial.engines.cpu import count_threads, has_fast_bf16
from seatrial.errors import EngineError, RefusedFile
from seatrial.store.files import make_folder
from seatrial.store.records import TensorSpec

HINTS = {"fp32": "f32", "bf16": "bf16"}
NAMES = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "int8"}
"""OpenVINO's names for precisions in ours."""
OPTIONS = {"threads": "threads of all streams together; default: all cores"}
COMPUTE_LAYERS = ("Convolution", "GroupConvolution", "FullyConnected", "MatMul", "Subgraph")


class OpenVinoEngine:
    """Compiles ONNX graphs with OpenVINO for the CPU."""

    def probe(self) -> Capabilities:
        """What is installed, and whether this CPU computes bf16."""
        try:
            found = version("openvino")
        except PackageNotFoundError:
            hint = "pip install 'seatrial[openvino]'"
            return Capabilities("openvino", None, missing="openvino is not installed", install_hint=hint)
        precisions = ("fp32", "bf16") if has_fast_bf16() else ("fp32",)
        return Capabilities("openvino", found, ("cpu",), precisions, free_batch=True)

    def compile(self, job: CompileJob) -> Built:
        """Convert the graph once per batch size and read back the precision that each layer runs in.

        Raises:
            EngineError: openvino is missing, or runs another precision than was asked.
        """
        check_available(job, self.probe())
        check_options("openvino", job.options, OPTIONS)
        import openvino

        core = openvino.Core()
        files, weights = [], []
        executed: dict[str, int] = {}
        for size in job.batch_sizes or (None,):
            model = core.read_model(job.graph)
            if size is not None:
                model.reshape([size, *job.manifest.input.shape[1:]])
            path = job.output / f"model-{'free' if size is None else size}.xml"
            openvino.save_model(model, path, compress_to_fp16=False)
            ends = (job.manifest.input, job.manifest.output)
            session = OpenVinoSession(path, ends, _settings(job.precision, job.options))
            executed = session.executed()
            session.close()
            check_executed(job.precision, executed)
            files.append((size, path))
            weights.append(path.with_suffix(".bin"))
        return Built(tuple(files), executed, tuple(weights))

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> "OpenVinoSession":
        """Compile for this machine, or take it from the cache in the engine's folder."""
        check_device(device, self.probe())
        path, size = file.pick(batch_size)
        manifest = file.manifest
        fixed = manifest.input.model_copy(update={"shape": (size, *manifest.input.shape[1:])})
        settings = _settings(manifest.precision, manifest.options, streams)
        settings["CACHE_DIR"] = str(make_folder(file.folder / ".cache"))
        return OpenVinoSession(path, (fixed, manifest.output), settings, streams)


def check_executed(precision: str, executed: dict[str, int]) -> None:
    """Refuse a model that computes in something else than was asked.

    Raises:
        EngineError: says in which precisions how many layers run.
    """
    if executed and precision not in executed:
        ran = ", ".join(f"{count} layers in {name}" for name, count in sorted(executed.items()))
        raise EngineError(f"openvino was asked for {precision} and computes {ran}", "this CPU may lack it")


def _settings(precision: str, options: Mapping[str, str], streams: int = 1) -> dict[str, Any]:
    return {
        # OpenVINO takes bf16 by default where the CPU has it; here fp32 means fp32.
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": count_threads(options),
    }


class OpenVinoSession:
    """A compiled model with one infer request per stream; `run` may be called from as many threads."""

    def __init__(
        self, path: Path, ends: tuple[TensorSpec, TensorSpec], settings: dict[str, Any], streams: int = 1
    ) -> None:
        import openvino

        self.input, self.output = ends
        try:
            self._model: Any = openvino.Core().compile_model(path, "CPU", settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise RefusedFile(f"openvino does not load {path} ({reason})", "export and compile it again") from None
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._requests.put(self._model.create_infer_request())

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        check_batch(batch, self.input)
        request = self._requests.get()
        try:
            request.infer([batch], share_inputs=True)
            # The request's output buffer is overwritten by the next run.
            return np.array(request.get_output_tensor().data, dtype=np.float32)
        finally:
            self._requests.put(request)

    def executed(self) -> dict[str, int]:
        """Computing layers by the precision that the runtime model reports for each."""
        counted: Counter[str] = Counter()
        for node in self._model.get_runtime_model().get_ops():
            info = node.get_rt_info()
            if info["layerType"].astype(str) in COMPUTE_LAYERS:
                name = info["runtimePrecision"].astype(str)
                counted[NAMES.get(name, name)] += 1
        return dict(counted)

    def close(self) -> None:
        """Free the model."""
        self._model, self._requests = None, SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
