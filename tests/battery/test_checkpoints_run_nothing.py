"""Promise 1: no checkpoint runs code. Gadgets and archives that lie are refused in one line."""

import contextlib
import importlib
import io
import itertools
import pickle
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from battery_figures import SEED, record_figures
from battery_gadgets import CONTAINERS, FORMS, GADGETS, MALFORMED, MARK, write_gadget, write_pickle
from battery_server import Outcome, run_cases
from seatrial.cli import run_cli
from seatrial.errors import ExitCode, RefusedFile
from seatrial.train.checkpoint.snapshot import find_snapshot
from tiny_trial import TinyTrial

QUICK = 24
MEMORY = 8 << 30
READERS = ("export", "snapshot")


@dataclass(frozen=True)
class Case:
    """A file and who reads it."""

    folder: str
    card: str
    reader: str
    gadget: tuple[str, str] | None = None
    form: str = ""
    container: str = ""
    malformed: str = ""

    def __str__(self) -> str:
        what = self.malformed or f"{'.'.join(self.gadget or ())} ({self.form}) in {self.container}"
        return f"{self.reader} of {what}"


class Watch:
    """Notes every call with the mark, and every event of Python's own audit that has it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._on = True
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._on and any(
            isinstance(argument, str | bytes | tuple) and MARK in str(argument) for argument in arguments
        ):
            self.seen.append(event)

    def stop(self) -> list[str]:
        self._on = False
        return self.seen

    def spy_on(self, module: str, name: str) -> None:
        """Replace a function where it is found by name; with the mark it is noted and not called."""
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # Some have something to say.
                owner: Any = importlib.import_module(module)
            *path, last = name.split(".")
            for part in path:
                owner = getattr(owner, part)
            original = getattr(owner, last)
        except (ImportError, AttributeError):
            return
        if isinstance(original, type):
            return

        def spy(*arguments: Any, **named: Any) -> Any:
            if MARK in str(arguments[:2]):
                self.seen.append(f"{module}.{name}")
                return None
            return original(*arguments, **named)

        setattr(owner, last, spy)


def read_case(case: Case) -> tuple[int, list[str]]:
    """The exit code, and what was called."""
    path = Path(case.folder) / "snapshot.pt"
    path.parent.mkdir(parents=True)
    if case.gadget is None:
        path.write_bytes(MALFORMED[case.malformed]())
    else:
        write_gadget(path, case.gadget, case.form, case.container)
    watch = Watch()
    if case.gadget is not None:
        watch.spy_on(*case.gadget)
    if case.reader == "export":
        words = ["export", case.card, "--checkpoint", str(path), "--output", f"{case.folder}/model.onnx", "-q"]
        code = run_cli(words)
    else:
        try:
            find_snapshot(path.parent, "key")
            code = 0
        except RefusedFile as error:
            code = error.exit_code
            sys.stderr.write(f"{error}\n")
    return code, watch.stop()


def trust_case(gadget: tuple[str, str]) -> list[str]:
    """What is called when pickle reads a gadget with trust."""
    watch = Watch()
    watch.spy_on(*gadget)
    payload = write_pickle(FORMS["reduce"](*gadget))
    with contextlib.suppress(Exception):  # It may fail after the call.
        pickle._Unpickler(io.BytesIO(payload)).load()  # type: ignore[attr-defined]
    return watch.stop()


def list_cases(folder: Path, trial: TinyTrial) -> list[Case]:
    """Each gadget in each form, containers and readers in turn; each lying archive by each reader."""
    card, containers = str(trial.card), list(CONTAINERS)
    cases = [
        Case("", card, READERS[place // len(FORMS) % 2], (module, name), form, containers[place % len(containers)])
        for place, ((module, name), form) in enumerate(itertools.product(GADGETS, FORMS))
    ]
    cases += [Case("", card, reader, malformed=name) for reader in READERS for name in MALFORMED]
    return [Case(**{**vars(case), "folder": str(folder / str(number))}) for number, case in enumerate(cases)]


def judge(case: Case, outcome: Outcome) -> str:
    """What is wrong with the outcome; empty if nothing is."""
    if outcome.problem:
        return f"{case}: {outcome.problem}"
    code, called = outcome.value
    lines = outcome.said.splitlines()
    if called:
        return f"{case}: called {called}"
    if code != ExitCode.FILE or len(lines) != 1 or len(lines[0]) > 700:
        return f"{case}: exit code {code}, {len(lines)} lines: {outcome.said[-300:]}"
    return ""


def attack(name: str, cases: Sequence[Case], seed: int | None) -> None:
    outcomes = run_cases(read_case, cases, 30, MEMORY)
    failures = [wrong for case, outcome in zip(cases, outcomes, strict=True) if (wrong := judge(case, outcome))]
    record_figures(1, name, len(cases), failures, seed=seed)


def test_a_sample_is_refused(tmp_path: Path, tiny_trial: TinyTrial) -> None:
    cases = random.Random(SEED).sample(list_cases(tmp_path, tiny_trial), QUICK)
    attack("sample", cases, SEED)


@pytest.mark.battery
def test_every_gadget_would_be_called_by_a_reader_that_trusts() -> None:
    outcomes = run_cases(trust_case, [tuple(gadget) for gadget in GADGETS], 30, MEMORY)
    called = sum(bool(outcome.value) for outcome in outcomes)
    assert called >= 60, [gadget for gadget, outcome in zip(GADGETS, outcomes, strict=True) if not outcome.value]


@pytest.mark.battery
def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, tiny_trial: TinyTrial) -> None:
    attack("gadgets", [case for case in list_cases(tmp_path, tiny_trial) if case.gadget], None)


@pytest.mark.battery
def test_checkpoints_that_lie_are_refused(tmp_path: Path, tiny_trial: TinyTrial) -> None:
    attack("malformed archives", [case for case in list_cases(tmp_path, tiny_trial) if case.malformed], None)
