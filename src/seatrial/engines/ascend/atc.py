"""Running `atc`, once for each batch size or once for all of them as gears.

Its output goes to a log, its error codes become our errors, and what it built is read back.
"""

import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.engines.ascend.machine import source_hint
from seatrial.engines.ascend.options import MODES, list_files, uses_gears
from seatrial.engines.base import CompileJob
from seatrial.errors import EngineError, SeatrialError, UsageError

LOG = "atc.log"
DRIVER = "/usr/local/Ascend/driver/lib64"
DRIVER_PATH = f"export LD_LIBRARY_PATH={DRIVER}/driver:{DRIVER}/common:{DRIVER}:$LD_LIBRARY_PATH"
DTYPES = {"DT_FLOAT16": "fp16", "DT_FLOAT": "fp32", "DT_BF16": "bf16", "DT_INT8": "int8"}
COMPUTE_OPS = ("Conv2D", "DepthwiseConv2D", "Conv2DCompress", "FullyConnection", "Gemm", "MatMul", "MatMulV2")
"""Operators that decide a classifier's precision: what multiplies matrices."""
LEFTOVERS = ("kernel_meta*", "fusion_result*.json", "check_result.json", "atc_data")
"""What `atc` writes beside its result."""
HINTS = {
    "E19010": "export with a lower --opset",
    "EZ3003": "this CANN has no such operator for the chip: export with another --opset or --exporter",
    "EC0010": "pip install the Python package that it names",
    "E40000": "pip install the Python package that it names",
}
"""What helps, where `atc` itself gives no solution."""
ARGUMENT_CODES = re.compile(r"E100\d\d")
"""GE's codes for arguments."""
_CODE = re.compile(r"\b(?P<code>E[0-9A-Z]\d{4})\)?:\s*(?:\[PID: \d+\] \S+ )?(?P<text>.*\S)")
_SOLUTION = re.compile(r"^\s*Solution:\s*(?:1\.\s*)?(?P<text>.*\S)", re.MULTILINE)
_LIBRARY = re.compile(r"error while loading shared libraries: (?P<name>\S+?):")
_FLAG = re.compile(r"unknown command line flag '(?P<name>[^']+)'")


@dataclass(frozen=True, slots=True)
class AtcCall:
    """One run of `atc`, in the engine folder."""

    words: tuple[str, ...]
    name: str
    """Of the file that comes out, without `.om`."""
    batch_sizes: tuple[int, ...]
    """That the file serves."""

    @property
    def line(self) -> str:
        """As it is typed into a shell."""
        return shlex.join(self.words)


def plan_calls(job: CompileJob, soc_version: str) -> tuple[AtcCall, ...]:
    """What to run for a checked job.

    Paths are relative to the engine folder but for the graph's, so that the lines still run when it has been moved.
    """
    sizes = job.batch_sizes
    if uses_gears(job.options):
        return (_plan(job, "model-gears", sizes, soc_version),)
    return tuple(_plan(job, f"model-{size}", (size,), soc_version) for size in sizes)


def _plan(job: CompileJob, name: str, sizes: tuple[int, ...], soc_version: str) -> AtcCall:
    spec = job.manifest.input
    batch = sizes[0] if len(sizes) == 1 else -1
    shape = ",".join(str(size) for size in (batch, *spec.shape[1:]))
    flags = {
        "framework": "5",
        "model": str(job.graph.absolute()),
        "output": name,
        "input_format": "NCHW" if spec.layout == "NCHW" else "ND",
        "input_shape": f"{spec.name}:{shape}",
    }
    if batch == -1:
        flags["dynamic_batch_size"] = ",".join(str(size) for size in sorted(sizes))
    flags["soc_version"] = soc_version
    # Written out because what `atc` takes without it differs from chip to chip.
    if "precision_mode_v2" not in job.options:
        flags["precision_mode"] = MODES[job.precision][0]
    # A file is named as it is kept in the engine folder.
    kept = {name: path.name for name, path in list_files(job.options).items()}
    flags |= {name: value for name, value in {**job.options, **kept}.items() if name != "gears"}
    return AtcCall(("atc", *(f"--{flag}={value}" for flag, value in flags.items())), name, sizes)


def run_atc(call: AtcCall, folder: Path) -> Path:
    """Run `atc` in `folder`, its output appended to the log there; the `.om` file that it wrote.

    Raises:
        UsageError: `atc` refuses an argument.
        EngineError: it failed, died, or wrote nothing.
    """
    returncode, output = _run_logged(call.line, call.words, folder)
    # With host libraries of another system in the file, newer CANN adds the system to its name.
    found = [*folder.glob(f"{call.name}.om"), *folder.glob(f"{call.name}_linux_*.om")]
    if returncode == 0 and found:
        return found[0]
    error = explain_failure(returncode, output)
    # Outside the engine folder, which a failed build takes with it.
    kept = Path(tempfile.mkdtemp(prefix="seatrial-atc-")) / LOG
    shutil.copyfile(folder / LOG, kept)
    output_is = f"its whole output is in {kept}"
    raise type(error)(error.problem, f"{error.fix}; {output_is}" if error.fix else output_is) from None


def read_back(om: Path, folder: Path) -> dict[str, int]:
    """Matrix operators by the precision of their input, as `atc --mode=1` reports it; empty where it does not."""
    description = f"{om.stem}.json"
    words = ("atc", "--mode=1", f"--om={om.name}", f"--json={description}")
    returncode, _ = _run_logged(" ".join(words), words, folder)
    path = folder / description
    try:
        return count_precisions(json.loads(path.read_text("utf-8"))) if returncode == 0 and path.is_file() else {}
    except (ValueError, TypeError, AttributeError):
        # This form is not documented: one that cannot be read is no error.
        return {}
    finally:
        path.unlink(missing_ok=True)


def count_precisions(model: Any) -> dict[str, int]:
    """Matrix operators by the precision of their first input, in the JSON form of an `.om`."""
    counted: Counter[str] = Counter()
    for graph in model.get("graph", []):
        for op in graph.get("op", []):
            inputs = op.get("input_desc", [])
            if op.get("type") in COMPUTE_OPS and inputs:
                dtype = str(inputs[0].get("dtype"))
                counted[DTYPES.get(dtype, dtype)] += 1
    return dict(counted)


def explain_failure(returncode: int, output: str) -> SeatrialError:
    """The error that the output of a failed `atc` amounts to."""
    library, flag, coded = _LIBRARY.search(output), _FLAG.search(output), _CODE.search(output)
    if library is not None:
        is_driver = library["name"].startswith(("libascend_hal", "libdrv"))
        return EngineError(f"atc does not find {library['name']}", DRIVER_PATH if is_driver else source_hint())
    if flag is not None:
        return UsageError(f"this CANN's atc has no flag '{flag['name']}'", "leave the option out, or update CANN")
    if coded is not None:
        problem = f"atc fails with {coded['code']}: {coded['text'].rstrip(' .')}"
        if ARGUMENT_CODES.fullmatch(coded["code"]):
            return UsageError(problem)
        solution = _SOLUTION.search(output, coded.end())
        return EngineError(problem, HINTS.get(coded["code"]) or (solution["text"].rstrip(".") if solution else None))
    if returncode < 0:
        return EngineError(f"atc was killed by signal {-returncode}", "is there enough memory?")
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("ATC ")]
    last = f": {lines[-1]}" if lines else ""
    ended = "wrote no file" if returncode == 0 else f"fails with exit code {returncode}"
    return EngineError(f"atc {ended}{last}")


def clear_leftovers(folder: Path) -> None:
    """Remove what `atc` left in `folder` beside its result."""
    for pattern in LEFTOVERS:
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _run_logged(line: str, words: tuple[str, ...], folder: Path) -> tuple[int, str]:
    """Exit code and output, which is written to the log while it comes."""
    with (folder / LOG).open("a+", encoding="utf-8", errors="replace") as log:
        log.write(f"$ {line}\n")
        log.flush()
        start = log.tell()
        ran = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        log.seek(start)
        return ran.returncode, log.read()
