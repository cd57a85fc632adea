"""OpenVINO: the graph compiled for Intel's devices, in the requested precision and no other."""

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing, Pool
from seatrial.engines.base import (
    Built,
    Capabilities,
    CompileJob,
    EngineFile,
    check_batch,
    check_executed,
    check_options,
    check_place,
    fix_ends,
)
from seatrial.engines.layers import count_layers
from seatrial.engines.runtime import Runtime
from seatrial.errors import RefusedFile, UsageError, shorten
from seatrial.extras import write_install
from seatrial.machine.cpu import count_threads, has_fast_bf16, read_flags, read_threads
from seatrial.machine.environment import find_version
from seatrial.machine.out_of_memory import pass_on
from seatrial.store.files import hash_value
from seatrial.store.records import LayerPrecision, TensorSpec

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
NAMES = {"f32": "fp32", "f16": "fp16", "f64": "fp64", "i8": "int8", "u8": "int8", "i4": "int4", "u4": "int4"}
"""OpenVINO's names for precisions in ours; another counts under its own."""
COMPILED = ".blob"
OPTIONS = {
    "threads": "threads of all streams together; default: all cores",
    "float": "what an int8 graph's other layers compute in: fp32, bf16 or fp16; default: bf16 where the CPU has it",
}
COMPUTE_LAYERS = ("convolution", "fullyconnected", "fully_connected", "matmul", "gemm", "deconv", "attention", "rnn")
"""Whatever a device calls a layer that multiplies matrices, in lower case one of these is in it."""

RUNTIME_FACTS = ("layerType", "runtimePrecision", "primitiveType", "originalLayersNames")
"""What the runtime model says of a layer, of all that it does."""


class OpenVinoEngine:
    """Compiles ONNX graphs with OpenVINO."""

    def probe(self) -> Capabilities:
        """What is installed, which devices it sees, and what they compute in."""
        found = find_version("openvino")
        if found is None:
            hint = write_install("openvino")
            return Capabilities("openvino", None, missing="openvino is not installed", install_hint=hint)
        devices, precisions = _read_devices()
        return Capabilities("openvino", found, devices, precisions, in_graph=("int8",), free_batch=True)

    def compile(self, job: CompileJob) -> Built:
        """Convert the graph once per batch size and read back the precision that each layer runs in.

        Raises:
            EngineError: openvino is missing, or runs another precision than the requested one.
        """
        check_options("openvino", job.options, OPTIONS)
        import openvino

        core = openvino.Core()
        files, companions = [], []
        layers: list[LayerPrecision] = []
        for size in job.batch_sizes or (None,):
            model = core.read_model(job.graph)
            if job.manifest.left_out:
                model = openvino.Model([model.output(job.manifest.output.name)], model.get_parameters())
            if size is not None:
                model.reshape([size, *job.manifest.input.shape[1:]])
            path = job.output / f"model-{'free' if size is None else size}.xml"
            openvino.save_model(model, path, compress_to_fp16=False)
            ends = (job.manifest.input, job.manifest.output)
            with OpenVinoSession(path, ends, _make_settings(job.precision, job.options), device=job.device) as session:
                layers = session.list_layers()
                check_executed("openvino", job.precision, count_layers(layers))
                if _is_slow_to_compile(job.precision, job.device):
                    companions.append(session.export(path.with_name(_name_compiled(path, job.device))))
            files.append((size, path))
            companions.append(path.with_suffix(".bin"))
        return Built(tuple(files), count_layers(layers), tuple(companions), layers=tuple(layers))

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> "OpenVinoSession":
        """Compile for this machine, or load what this kind of machine compiled, if `engine.json` has its hash."""
        check_place(file, device, file.capabilities or self.probe())
        path, size = file.pick(batch_size)
        manifest = file.manifest
        settings = _make_settings(manifest.precision, manifest.options, streams)
        compiled = _name_compiled(path, device)
        chosen = path.with_name(compiled) if compiled in manifest.companions else path
        return OpenVinoSession(chosen, fix_ends(manifest, size), settings, streams, device)

    def describe_runtime(self, file: EngineFile) -> Runtime:
        """Device, precision and threads; what this kind of machine compiled is compiled anew."""
        manifest = file.manifest
        settings = _make_settings(manifest.precision, manifest.options)
        del settings["INFERENCE_NUM_THREADS"]
        threads = read_threads(manifest.options)
        return Runtime(
            {"target": _name_target(manifest.device), "settings": settings, "threads": threads}, ("openvino",)
        )


class OpenVinoSession(Closing):
    """A compiled model with one infer request per caller; `run` may be called from as many threads."""

    def __init__(
        self,
        path: Path,
        ends: tuple[TensorSpec, TensorSpec],
        settings: Mapping[str, Any],
        streams: int = 1,
        device: str = "cpu",
    ) -> None:
        import openvino

        self.input, self.output = ends
        target = _name_target(device)
        # Threads are the CPU's own matter.
        kept = {k: v for k, v in settings.items() if target == "CPU" or k != "INFERENCE_NUM_THREADS"}
        core = openvino.Core()
        try:
            if path.suffix == COMPILED:
                self._model: Any = core.import_model(io.BytesIO(path.read_bytes()), target, kept)
            else:
                self._model = core.compile_model(path, target, kept)
        except RuntimeError as error:
            pass_on(error)
            reason = shorten(str(error).strip().splitlines()[-1], str(error))
            raise RefusedFile(
                f"openvino does not load {path} ({reason})", "compile it again with `seatrial compile`"
            ) from None
        self._tensor = openvino.Tensor
        self._requests: Pool[Any] = Pool()
        for _ in range(streams):
            self._requests.put(self._model.create_infer_request())

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes)."""
        check_batch(batch, self.input)
        # The engine reads it where it lies, so it must live until the run ends; read-only arrays are not taken.
        readable = np.require(batch, requirements=("C", "W"))
        with self._requests.borrow() as request:
            # Asynchronous, so that a stream's own thread runs it and finds the next request waiting: 5 % at batch 1.
            # The tensor is a view; handing arrays to `start_async` goes through dictionaries and costs 40 µs more.
            request.set_input_tensor(self._tensor(readable, shared_memory=True))
            request.start_async()
            request.wait()
            # The request's output buffer is overwritten by the next run.
            return np.array(request.get_output_tensor().data, dtype=np.float32)

    def list_layers(self) -> list[LayerPrecision]:
        """Computing layers with the precision and the kernel that the runtime model reports for each."""
        layers = []
        for node in self._model.get_runtime_model().get_ops():
            info = {key: value.astype(str) for key, value in node.get_rt_info().items() if key in RUNTIME_FACTS}
            if any(part in info["layerType"].lower() for part in COMPUTE_LAYERS):
                layers.append(
                    LayerPrecision(
                        name=_name_layer(info.get("originalLayersNames", ""), node.get_friendly_name()),
                        operator=info["layerType"],
                        precision=NAMES.get(info["runtimePrecision"], info["runtimePrecision"]),
                        reason=f"its kernel is {info['primitiveType']}" if info.get("primitiveType") else "",
                    )
                )
        return layers

    def export(self, target: Path) -> Path:
        """Write the model as it was compiled; for any number of streams and threads it is the same."""
        written = io.BytesIO()
        self._model.export_model(written)
        target.write_bytes(written.getvalue())
        return target

    def close(self) -> None:
        """Free the model."""
        self._model, self._requests = None, Pool()


def _name_layer(originals: str, own: str) -> str:
    """A layer as the graph calls it, of several that were fused the first; a bias is split off under the same name."""
    return originals.partition(",")[0].removesuffix("/WithoutBiases") or own


@cache
def _read_devices() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The devices that OpenVINO sees, `cpu`, `gpu`, `gpu:1`, `npu`, and what any of them computes in."""
    import openvino

    core = openvino.Core()
    found = list(core.available_devices)
    capabilities = {name for device in found for name in core.get_property(device, "OPTIMIZATION_CAPABILITIES")}
    # It lists bf16 also for CPUs that only emulate it.
    bf16 = "BF16" in capabilities and has_fast_bf16()
    supported = {"fp32": True, "bf16": bf16, "fp16": "FP16" in capabilities, "int8": "INT8" in capabilities}
    names = tuple(device.lower().replace(".", ":") for device in found)
    return names, tuple(precision for precision, there in supported.items() if there)


def _is_slow_to_compile(precision: str, device: str) -> bool:
    """Whether what was compiled is worth keeping: float graphs compile on a CPU as fast as they load."""
    import openvino

    capabilities = openvino.Core().get_property(_name_target(device), "OPTIMIZATION_CAPABILITIES")
    return "EXPORT_IMPORT" in capabilities and (precision == "int8" or device != "cpu")


def _name_compiled(path: Path, device: str) -> str:
    """The file for what a model was compiled to on this kind of machine; another kind compiles for itself."""
    import openvino

    kind = [*read_flags(), openvino.Core().get_property(_name_target(device), "FULL_DEVICE_NAME")]
    return f"{path.stem}-{hash_value(kind)[:8]}{COMPILED}"


def _name_target(device: str) -> str:
    """Our name of a device as OpenVINO writes it."""
    return device.upper().replace(":", ".")


def _make_settings(precision: str, options: Mapping[str, str], streams: int = 1) -> dict[str, Any]:
    rest = options.get("float", "bf16" if has_fast_bf16() else "fp32")
    threads = count_threads(options)
    if rest not in HINTS:
        raise UsageError(f"there is no precision float={rest}", f"give one of {', '.join(HINTS)}")
    return {
        # OpenVINO takes bf16 by default where the CPU has it; here fp32 means fp32.
        "INFERENCE_PRECISION_HINT": HINTS[rest if precision == "int8" else precision],
        # More callers than threads only keep requests waiting, which is what keeps the streams busy.
        "NUM_STREAMS": str(min(streams, threads)),
        "INFERENCE_NUM_THREADS": threads,
    }
