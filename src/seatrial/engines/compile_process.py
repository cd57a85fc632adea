"""The process that compiles: `python -m seatrial.engines.compile_process`. Who calls it: `machine.isolated_process`."""

import contextlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from seatrial.engines import get_engine
from seatrial.engines.base import Built, Capabilities, CompileJob, check_device, check_precision, trust_built
from seatrial.engines.layers import choose_others
from seatrial.engines.self_test import keep_logits
from seatrial.errors import EngineError, SeatrialError, UsageError, shorten
from seatrial.machine.isolated_process import PYTHON, call_child, serve_job
from seatrial.store.files import check_room, hash_file
from seatrial.store.json_text import write_adapted, write_json
from seatrial.store.records import EngineManifest, EngineModel

ENGINE_SIZE = 2
"""An engine's files, and what its SDK writes meanwhile, seldom take more than this many times the graph's bytes."""
_JOB = TypeAdapter(CompileJob)


def compile_apart(engine: str, job: CompileJob) -> EngineManifest:
    """Compile in a process of its own, where a crash of native code is an error and not the end.

    Raises:
        EngineError: as the engine's `compile`, or the process died.
        UsageError: an option that the engine does not have.
    """
    request = write_adapted(_JOB, job)
    command = (*PYTHON, "seatrial.engines.compile_process", engine)
    what = f"the process that compiled for {engine}"
    return call_child(command, request, EngineManifest, what, on_cpu=job.device == "cpu")


def compile_here(engine: str, job: CompileJob) -> EngineManifest:
    """Compile in this process, and open what came of it as everybody will, for its self-test.

    Raises:
        EngineError: SDK, device or precision is not there; lists what there is; or the SDK does not take the graph.
        UsageError: it takes no images of that size.
        StorageError: it failed, and the disk has no room for an engine.
        SeatrialError: as the engine's `compile` and `open`.
    """
    runtime = get_engine(engine)
    capabilities = job.capabilities or runtime.probe()
    check_device(job.device, capabilities)
    check_precision(job.precision, capabilities)
    try:
        built = runtime.compile(replace(job, capabilities=capabilities))
        file = trust_built(job.output, _describe(capabilities, job, built), capabilities)
        return keep_logits(runtime, file, job.batch_sizes[0] if job.batch_sizes else None)
    except UsageError:
        raise
    except Exception as error:  # What SDKs raise shares no base.
        # Most of them hide a full disk behind an error about the graph, or leave a file that is cut off.
        _check_room(job)
        _explain(capabilities, job, error)
        raise


def _check_room(job: CompileJob) -> None:
    paths = (job.graph, *(job.graph.parent / name for name in job.manifest.data))
    check_room(job.output, ENGINE_SIZE * sum(path.stat().st_size for path in paths))


def _explain(has: Capabilities, job: CompileJob, error: Exception) -> None:
    """Say of an SDK's own error what of the job it is about; a fault of ours stays as it is.

    Raises:
        UsageError: the graph takes no images of the size that the card gives.
        EngineError: the SDK does not take the graph.
    """
    from seatrial.models.onnx_file import read_nodes
    from seatrial.models.onnx_shapes import explain_size

    image, reason = job.manifest.input, None
    with contextlib.suppress(SeatrialError):
        reason = explain_size(read_nodes(job.graph), (image.shape[0] or 1, *image.shape[1:]))
    if reason is not None:
        size = " × ".join(str(side) for side in (image.shape[1:3] if image.layout == "NHWC" else image.shape[2:]))
        raise UsageError(
            f"{has.engine} does not run {job.graph.name} on images of {size}: {reason}",
            "give larger ones: another card or --image-size",
        ) from None
    kind = type(error)
    if not isinstance(error, SeatrialError) and (kind is RuntimeError or kind.__module__ != "builtins"):
        raise EngineError(
            f"{has.engine} {has.version} does not take {job.graph.name} ({shorten(str(error))})",
            "another --opset or --precision, or `seatrial simplify`, may help",
        ) from None


def _describe(has: Capabilities, job: CompileJob, built: Built) -> EngineManifest:
    graph = built.graph or job.manifest

    def name(path: Path) -> str:
        return str(path.relative_to(job.output))

    return EngineManifest(
        key="",
        engine=has.engine,
        sdk_version=has.version or "",
        device=job.device,
        precision=job.precision,
        executed=dict(built.executed),
        other_layers=choose_others(built.layers, job.precision),
        options={**job.options, **built.options},
        chosen=tuple(sorted(built.options)),
        notes=built.notes,
        files=tuple(
            EngineModel(path=name(path), sha256=hash_file(path), batch_size=size) for size, path in built.files
        ),
        companions={name(path): hash_file(path) for path in built.companions},
        input=graph.input,
        output=graph.output,
        graph=graph,
    )


def _compile_job(request: Any) -> str:
    return write_json(compile_here(sys.argv[1], _JOB.validate_python(request)))


if __name__ == "__main__":
    sys.exit(serve_job(_compile_job))
