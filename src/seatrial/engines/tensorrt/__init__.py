"""TensorRT: plans for NVIDIA GPUs, built by `trtexec` or in Python, and checked for the requested precision."""

from collections.abc import Mapping
from pathlib import Path

from seatrial.engines.base import (
    UNKNOWN,
    Built,
    Capabilities,
    CompileJob,
    EngineFile,
    check_device,
    check_executed,
    check_one_output,
    fix_ends,
)
from seatrial.engines.rebuild import write_rebuild
from seatrial.engines.tensorrt.build import FIRST_TYPED, PlanJob, build_plan, read_numbers
from seatrial.engines.tensorrt.cuda import CudaDevice, list_cuda_devices
from seatrial.engines.tensorrt.layers import count_layers
from seatrial.engines.tensorrt.options import Settings, read_settings
from seatrial.engines.tensorrt.session import TensorRtSession, sizes
from seatrial.errors import EngineError
from seatrial.extras import write_install
from seatrial.machine.environment import find_version
from seatrial.store.files import write_text
from seatrial.store.record import read_json
from seatrial.strict import Strict

DISTRIBUTIONS = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11")
OLDEST = (8, 6, 0)
"""The first version with named tensors and profiles that execution contexts share."""
INSTALL = write_install("tensorrt")
DEVICE = "device.json"


class PlanDevice(Strict):
    """What a plan was built on, and runs on: `device.json` in its folder."""

    tensorrt: str
    gpu: str
    compute_capability: str


class TensorRtEngine:
    """Compiles ONNX graphs into TensorRT plans and runs them."""

    def probe(self) -> Capabilities:
        """What is installed, and the GPUs that CUDA lists; touches neither their memory nor TensorRT."""
        found = next((v for name in DISTRIBUTIONS if (v := find_version(name))), None)
        if found is None:
            return Capabilities("tensorrt", None, missing="tensorrt is not installed", install_hint=INSTALL)
        missing, hint = None, INSTALL
        gpus: tuple[CudaDevice, ...] = ()
        if read_numbers(found) < OLDEST:
            missing = f"TensorRT {found} is older than {OLDEST[0]}.{OLDEST[1]}"
        elif find_version("cuda-bindings") is None:
            missing = "cuda-bindings is not installed"
        else:
            try:
                gpus = list_cuda_devices()
            except EngineError as error:
                missing, hint = f"there is no GPU to use ({error.problem})", "`nvidia-smi` must list one"
        tf32 = ("tf32",) if any(float(gpu.compute_capability) >= 8 for gpu in gpus) else ()
        return Capabilities(
            "tensorrt",
            found,
            devices=tuple(f"cuda:{index}" for index in range(len(gpus))),
            hardware=tuple(f"{gpu.name} ({gpu.compute_capability})" for gpu in gpus),
            precisions=("fp32", *tf32, "fp16", "int8") if gpus else (),
            signed_int8=True,
            one_output=True,
            in_graph=("fp16", "int8") if read_numbers(found)[0] >= FIRST_TYPED else ("int8",),
            free_batch=True,
            missing=missing,
            install_hint=hint if missing else "",
        )

    def compile(self, job: CompileJob) -> Built:
        """Build one plan per batch size, load each and read back the precision of its layers.

        Raises:
            EngineError: TensorRT or the GPU is missing, the builder fails, or the plan computes in another precision
                than the requested one.
        """
        has = job.capabilities or self.probe()
        check_one_output(job)
        assert has.version is not None
        settings = read_settings(job.options, job.batch_sizes)
        files = []
        executed: dict[str, int] = {}
        for size in job.batch_sizes or (None,):
            target = job.output / f"model-{'free' if size is None else size}.plan"
            build_plan(_plan(job, size, target, has.version, settings))
            executed = _read_back(job, size, target)
            check_layers(job.precision, executed)
            files.append((size, target))
        device = job.output / DEVICE
        write_text(device, _here(has.version, job.device).model_dump_json(indent=1) + "\n")
        return Built(tuple(files), executed, (device,))

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> TensorRtSession:
        """Load the plan on the GPU it was built for.

        Raises:
            EngineError: it was built with another TensorRT or on another GPU; gives the command to build it again.
        """
        has = file.capabilities or self.probe()
        check_device(device, has)
        assert has.version is not None
        check_home(file, _here(has.version, device), device)
        path, size = file.pick(batch_size)
        return TensorRtSession(path, fix_ends(file.manifest, size), _index(device), streams)


def check_layers(precision: str, executed: Mapping[str, int]) -> None:
    """Refuse a plan that computes mostly in another precision than requested, and an fp32 one that does so at all.

    Args:
        executed: computing layers by precision.

    Raises:
        EngineError: counts the layers by precision.
    """
    if precision == "fp32":
        # The network is all fp32 then, and what is not was lowered to TF32 against a flag.
        known = {name: count for name, count in executed.items() if name != UNKNOWN}
        check_executed("tensorrt", precision, known, 1)
    check_executed("tensorrt", precision, executed)


def check_home(file: EngineFile, here: PlanDevice, device: str) -> None:
    """Refuse a plan where it was not built: TensorRT promises nothing across versions and GPU models.

    Raises:
        EngineError: names both builds and the command that builds it again.
    """
    home = PlanDevice.read(read_json(file.folder / DEVICE), str(file.folder / DEVICE))
    if home == here:
        return
    built, found = (f"TensorRT {place.tensorrt} on {place.gpu} ({place.compute_capability})" for place in (home, here))
    raise EngineError(
        f"{file.folder} was built with {built}, and {device} is {found}",
        f"build it again: `{write_rebuild(file.manifest, file.folder, device)}`",
    )


def _plan(job: CompileJob, size: int | None, target: Path, version: str, settings: Settings) -> PlanJob:
    spec = job.manifest.input
    batches = (size, size, size) if size else (1, settings.opt_batch_size, settings.max_batch_size)
    least, tuned, most = ((batch, *sizes(spec)) for batch in batches)
    return PlanJob(
        graph=job.graph,
        graph_precision=job.manifest.precision,
        target=target,
        precision=job.precision,
        gpu=_index(job.device),
        input=spec.name,
        shapes=(least, tuned, most) if spec.shape[0] is None else None,
        version=version,
        settings=settings,
    )


def _read_back(job: CompileJob, size: int | None, plan: Path) -> dict[str, int]:
    """Load the plan once, so that what cannot run fails now, and keep the inspector's description."""
    with TensorRtSession(plan, fix_ends(job.manifest, size), _index(job.device)) as session:
        information = session.inspect()
    write_text(plan.with_suffix(".layers.json"), information)
    return count_layers(information)


def _here(tensorrt: str, device: str) -> PlanDevice:
    gpu = list_cuda_devices()[_index(device)]
    return PlanDevice(tensorrt=tensorrt, gpu=gpu.name, compute_capability=gpu.compute_capability)


def _index(device: str) -> int:
    return int(device.removeprefix("cuda:"))
