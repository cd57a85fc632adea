"""`seatrial run-many`: a list of models, each through `seatrial run` in a process of its own."""

import contextlib
import fnmatch
import glob
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import ExitCode, UsageError
from seatrial.machine.isolated_process import PYTHON
from seatrial.models.sources.resolve import list_references
from seatrial.progress import Progress, Update, silent
from seatrial.recipes.load import read_card
from seatrial.store.command_line import write_words
from seatrial.store.files import locked, make_folder
from seatrial.store.records import Verdict
from seatrial.store.run_many import CellOptions, CellResult, ModelEntry, RunList, RunManyRecord

RECORD, LOGS = "run-many.json", "logs"
ERROR = "seatrial: "
"""What the last line of a command that failed begins with."""
TIME_LIMIT_MIN = 120.0
"""Of a cell whose list sets none."""
GRACE_S = 3.0
"""Seconds that a cell has to clean up when it is stopped."""
WILD = re.compile(r"[*?\[]")
WORST_FIRST = (
    ExitCode.STOPPED,
    ExitCode.BUG,
    ExitCode.STORAGE,
    ExitCode.USAGE,
    ExitCode.FILE,
    ExitCode.DATA,
    ExitCode.ENGINE,
    ExitCode.DIVERGED,
    ExitCode.ACCURACY,
    ExitCode.SPEED,
    ExitCode.INCONCLUSIVE,
    ExitCode.PASS,
)
"""What the whole list ends with is the first of these that a cell ended with."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One model of the list."""

    name: str
    """Of its run folder."""
    reference: str
    words: tuple[str, ...]
    """Of the command that gives it alone."""
    time_limit_s: float
    skipped: str = ""
    """Why it is not run, and since when."""

    @property
    def command(self) -> str:
        """The command, to be copied."""
        return shlex.join(self.words)


def read_cells(path: Path, output: Path, progress: Progress = silent) -> tuple[Cell, ...]:
    """The cells of a list, wildcards resolved, in its order.

    Raises:
        UsageError: it is no such list, a wildcard matches nothing, or two cells would have one folder.
    """
    spec = RunList.read(read_card(path)[1], str(path))
    if not spec.models:
        raise UsageError(f"{path} names no models", "write [[models]] with reference = 'timm:resnet18*'")
    cells = [cell for entry in spec.models for cell in _make_cells(spec, entry, output, path)]
    # Where file names have no case, the second of two runs in one folder would delete the results of the first.
    names = [cell.name.casefold() for cell in cells]
    taken = (LOGS, RECORD)
    twice = next((c for c, name in zip(cells, names, strict=True) if names.count(name) > 1 or name in taken), None)
    if twice is not None:
        raise UsageError(
            f"{path}: {twice.reference} would have the folder {twice.name}, as something else has",
            "name it once, or give one of them a name = '…'",
        )
    for skip in spec.skip:
        if not any(fnmatch.fnmatchcase(cell.reference, skip.reference) for cell in cells):
            progress(Update("run-many", note=f"skip {skip.reference}: no model of the list is called so"))
    return tuple(cells)


def _make_cells(spec: RunList, entry: ModelEntry, output: Path, path: Path) -> Iterator[Cell]:
    references = _find_references(entry.reference)
    if not references:
        raise UsageError(
            f"{path}: no model matches {entry.reference}", "`seatrial recipes list PATTERN` shows what there is"
        )
    if entry.name is not None and len(references) > 1:
        raise UsageError(
            f"{path}: name = '{entry.name}' is for one model, and {entry.reference} matches {len(references)}",
            "leave the name out",
        )
    options = _merge(spec.defaults, entry)
    limit_min = options.pop("time_limit_min", TIME_LIMIT_MIN)
    if "gate" in options:
        options["gate"] = list(options["gate"])  # An option for each, not one with commas.
    if "images" not in options:
        raise UsageError(f"{path}: {entry.reference} has no images", "set images = '…' in [defaults] or beside it")
    for reference in references:
        name = entry.name or re.sub(r"[^\w.\-]+", "-", reference).strip("-.") or "model"
        words = write_words("run", reference, **options, output=output / name)
        skip = next((skip for skip in spec.skip if fnmatch.fnmatchcase(reference, skip.reference)), None)
        skipped = "" if skip is None else f"{skip.reason} (since {skip.date})"
        yield Cell(name, reference, tuple(words), 60 * limit_min, skipped)


def _merge(defaults: CellOptions, entry: ModelEntry) -> dict[str, Any]:
    """The options of a model: its own before the list's; its own labels, or that it has none, settle both."""
    own = entry.model_dump(exclude_unset=True, exclude={"reference", "name"})
    settled = {"labels", "no_labels"} if own.keys() & {"labels", "no_labels"} else set()
    return defaults.model_dump(exclude_unset=True, exclude=settled) | own


def _find_references(reference: str) -> list[str]:
    """What a reference with wildcards stands for: references of a library, else files."""
    if not WILD.search(reference):
        return [reference]
    if ":" in reference:
        return [listed.reference for listed in list_references(reference)]
    return sorted(glob.glob(reference))


def run_many(path: Path, output: Path, progress: Progress = silent) -> RunManyRecord:
    """Run every cell of a list, one after the other; what a cell has done before, its own run finds done.

    A cell that fails, crashes or takes too long leaves the others alone. The record is stored after each, so that one
    that is stopped keeps those that are done.

    Raises:
        UsageError: as `read_cells`; or another process works in `output`.
    """
    cells = read_cells(path, output, progress)
    make_folder(output / LOGS)
    done: list[CellResult] = []
    with locked(output):
        record = _describe(path, done, cells)
        record.save(output / RECORD)
        for number, cell in enumerate(cells, start=1):
            progress(Update("run-many", number - 1, len(cells), "models", {"now": cell.name}))
            done.append(_run_cell(cell, output))
            record = _describe(path, done, cells[number:])
            record.save(output / RECORD)
            shown = f"{cell.name}: {done[-1].outcome}{f': {done[-1].reason}' if done[-1].reason else ''}"
            progress(Update("run-many", number, len(cells), "models", note=shown))
    return record


def _describe(path: Path, done: Sequence[CellResult], left: Sequence[Cell]) -> RunManyRecord:
    """The record of a list, some of whose cells may be left."""
    not_run = (CellResult(name=cell.name, reference=cell.reference, command=cell.command) for cell in left)
    codes = [cell.exit_code for cell in done if cell.exit_code is not None]
    worst = min(codes, key=WORST_FIRST.index, default=ExitCode.PASS)
    return RunManyRecord(list_file=str(path), cells=(*done, *not_run), exit_code=worst)


def _run_cell(cell: Cell, output: Path) -> CellResult:
    """Run a cell in a process of its own, its words in a log file."""
    known = CellResult(name=cell.name, reference=cell.reference, command=cell.command)
    if cell.skipped:
        return known.model_copy(update={"outcome": "skipped", "reason": cell.skipped})
    log, begun = output / LOGS / f"{cell.name}.log", time.perf_counter()
    with log.open("wb") as file:
        code = _wait_for([*PYTHON, *cell.words], file.fileno(), cell.time_limit_s)
    facts = {"seconds": time.perf_counter() - begun, "log": str(log)}
    if code is None:
        reason = f"stopped after {cell.time_limit_s / 60:g} min, its time limit; the command resumes it"
        facts |= {"outcome": "timed out", "exit_code": ExitCode.INCONCLUSIVE, "reason": reason}
    else:
        facts |= _judge(code, log, output / cell.name / "verdict.json")
    return known.model_copy(update=facts)


def _wait_for(command: Sequence[str], log: int, limit_s: float) -> int | None:
    """The exit code of a command, negative for a signal; None where it took too long. Its processes never outlive this.

    In a group of its own, so that Ctrl-C is passed on once, and what the command started ends with it.
    """
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True) as child:
        try:
            return child.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if child.poll() is None:
                _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a command to stop and clean up, then end it and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        os.killpg(child.pid, signal.SIGKILL)


def _judge(code: int, log: Path, verdict: Path) -> dict[str, object]:
    """What a cell that ended came to: its verdict, or the error that it ended with."""
    if code < 0:
        name = signal.Signals(-code).name
        fix = ": memory may have run out" if -code == signal.SIGKILL else ""
        return {"outcome": "error", "exit_code": ExitCode.BUG, "reason": f"it was killed by {name}{fix}"}
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else "it wrote nothing"
    known = next((each for each in ExitCode if each == code), ExitCode.BUG)
    if last.startswith(ERROR) or known == ExitCode.BUG or not verdict.is_file():
        return {"outcome": "error", "exit_code": known, "reason": last.removeprefix(ERROR)}
    found = Verdict.load(verdict)
    if found.exit_code != known:
        # It is an earlier run's; whatever the process wrote last may hide what this one ended with.
        errors = [line for line in lines if line.startswith(ERROR)]
        return {"outcome": "error", "exit_code": known, "reason": (errors or [last])[-1].removeprefix(ERROR)}
    reasons = (f"{gate.engine}: {gate.reason}" for gate in found.gates if gate.outcome == found.outcome != "PASS")
    none = "" if found.gates else "no gate was judged"
    return {"outcome": found.outcome, "exit_code": known, "reason": next(reasons, none)}
