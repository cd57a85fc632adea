"""The process that compiles: `python -m seatrial.engines.builder`. How it is called: see `engines.child`."""

import sys
from typing import Any

from pydantic import TypeAdapter

from seatrial.engines import get_engine
from seatrial.engines.base import Built, CompileJob
from seatrial.engines.child import PYTHON, call_child, serve_job

_JOB = TypeAdapter(CompileJob)
_BUILT = TypeAdapter(Built)


def compile_apart(engine: str, job: CompileJob) -> Built:
    """Compile in a process of its own, where a crash of native code is an error and not the end.

    Raises:
        EngineError: as the engine's `compile`, or the process died.
        UsageError: an option that the engine does not have.
    """
    asked = _JOB.dump_json(job, by_alias=True).decode()
    command = (*PYTHON, "seatrial.engines.builder", engine)
    answer = call_child(command, asked, f"the process that compiled for {engine}", on_cpu=job.device == "cpu")
    return _BUILT.validate_json(answer)


def compile_here(engine: str, job: CompileJob) -> Built:
    """Compile in this process."""
    return get_engine(engine).compile(job)


def _compile_job(asked: Any) -> str:
    return _BUILT.dump_json(compile_here(sys.argv[1], _JOB.validate_python(asked)), by_alias=True).decode()


if __name__ == "__main__":
    sys.exit(serve_job(_compile_job))
