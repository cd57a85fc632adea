"""A list of models: what it may say, what becomes of each, and what is left when it is stopped."""

import contextlib
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path

import pytest

from pages import read_page
from seatrial.cli import run_cli
from seatrial.cli.run import run as run_verb
from seatrial.cli.run_config import NOT_OF_A_RUN
from seatrial.errors import ExitCode, UsageError
from seatrial.store.records import Verdict
from seatrial.store.run_many import CellOptions, RunManyRecord
from seatrial.workflow import run_many
from seatrial.workflow.run_many import WORST_FIRST, read_cells

Waiter = Callable[[Sequence[str], int, float], int | None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_list(folder: Path, text: str) -> Path:
    (folder / "list.toml").write_text(text)
    return folder / "list.toml"


def write_models(*models: str, more: str = "") -> str:
    blocks = [f'[[models]]\nreference = "{model}"\n' for model in models]
    return '[defaults]\nimages = "val"\n' + "".join(blocks) + more


def wait_with(results: dict[str, tuple[int | None, str]]) -> Waiter:
    """What takes the place of processes: by reference the exit code and the last line."""

    def wait(command: Sequence[str], log: int, limit_s: float) -> int | None:
        code, line = results[command[command.index("run") + 1]]
        os.write(log, f"    export  going on\n{line}\n".encode())
        return code

    return wait


def test_every_option_of_run_is_a_key() -> None:
    options = set(signature(run_verb).parameters) - {"context", "recipe", "output", *NOT_OF_A_RUN}
    assert set(CellOptions.model_fields) == options | {"time_limit_min"}


def test_gates_are_an_option_each(here: Path) -> None:
    text = write_models("a.onnx").replace("[[models]]", 'gate = ["top1 > 0.5", "best > 3"]\n[[models]]')
    (cell,) = read_cells(write_list(here, text), here / "out")
    place = cell.words.index("--gate")
    assert cell.words[place : place + 4] == ("--gate", "top1 > 0.5", "--gate", "best > 3")


def test_the_order_of_exit_codes_has_all_of_them_and_is_the_pages() -> None:
    assert set(WORST_FIRST) == set(ExitCode) and len(WORST_FIRST) == len(ExitCode)
    assert f"in this order: {', '.join(str(int(code)) for code in WORST_FIRST)}." in read_page("docs/board.md")


def test_wildcards_names_and_options_make_the_commands(here: Path) -> None:
    for name in ("b.onnx", "a.onnx", "huge.onnx"):
        (here / name).touch()
    text = """
        [defaults]
        images = "my val"
        labels = "l.txt"
        engines = ["onnxruntime", "openvino:bf16"]
        batch_size = [1, 8]
        time_limit_min = 2
        [[models]]
        reference = "*.onnx"
        no_labels = true
        [[models]]
        reference = "nets.py:make"
        name = "mine"
        fetch = true
        bench_duration = 0.5
        [[skip]]
        reference = "huge*"
        reason = "too large"
        date = 2026-11-30
        [[skip]]
        reference = "gone*"
        reason = "was there once"
        date = 2026-11-30
    """
    notes: list[str] = []
    cells = read_cells(write_list(here, text), Path("out"), lambda update: notes.append(update.note))
    assert [cell.name for cell in cells] == ["a.onnx", "b.onnx", "huge.onnx", "mine"]
    assert [cell.skipped for cell in cells] == ["", "", "too large (since 2026-11-30)", ""]
    assert {cell.time_limit_s for cell in cells} == {120}
    common = "--engines onnxruntime,openvino:bf16 --batch-size 1,8"
    assert cells[0].command == f"seatrial run a.onnx --images 'my val' {common} --no-labels --output out/a.onnx"
    mine = f"--images 'my val' --labels l.txt {common} --bench-duration 0.5 --fetch --output out/mine"
    assert cells[3].command == f"seatrial run nets.py:make {mine}"
    assert notes == ["skip gone*: no model of the list is called so"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'models' is missing"),
        ("models = []", "names no models"),
        (write_models("a", more="image = 3"), "unknown key 'models.0.image'; did you mean 'images'?"),
        ("[default]\n" + write_models("a"), "unknown key 'default'; did you mean 'defaults'?"),
        ('[[models]]\nreference = "a"', "a has no images; set images"),
        (write_models("a", "a"), "would have the folder a, as something else has"),
        (write_models("Net", "net"), "would have the folder Net, as something else has"),
        (write_models("logs"), "would have the folder logs"),
        (write_models("Run-many.json"), "would have the folder Run-many.json"),
        (write_models("x/*.onnx"), "no model matches x/*.onnx"),
        (write_models("a", more="batch_size = [0]"), "greater than 0"),
        (write_models("a", more='name = "../up"'), "match pattern"),
        (write_models("a", more='[[skip]]\nreference = "a"\nreason = "why"'), "'skip.0.date' is missing"),
        (write_models("hf:*"), "hub"),
        ("models = ", "is not TOML"),
    ],
)
def test_a_list_that_is_none_is_refused(text: str, told: str, here: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        read_cells(write_list(here, text), Path("out"))


def test_a_cell_that_fails_leaves_the_others_alone(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results: dict[str, tuple[int | None, str]] = {
        "a": (6, "seatrial: images val are not there; check its path"),
        "b": (None, ""),
        "c": (-9, ""),
        "d": (1, "ValueError: a bug"),
        "e": (77, "what is this"),
        "f": (7, "no verdict was written"),
    }
    monkeypatch.setattr(run_many, "_wait_for", wait_with(results))
    more = '[[skip]]\nreference = "g"\nreason = "no time"\ndate = 2026-01-01'
    write_list(here, write_models(*results, "g", more=more))
    assert run_cli(["run-many", "list.toml", "--output", "out"]) == 1
    said = capsys.readouterr().out
    assert "a: error: images val are not there; check its path" in said
    assert "seatrial run a --images val --output out/a" in said
    assert "no board: out has no run folder in it" in said
    record = RunManyRecord.load(here / "out" / "run-many.json")
    found = {cell.name: (cell.outcome, cell.exit_code) for cell in record.cells}
    assert found == {
        "a": ("error", 6),
        "b": ("timed out", 7),
        "c": ("error", 1),
        "d": ("error", 1),
        "e": ("error", 1),
        "f": ("error", 7),
        "g": ("skipped", None),
    }
    reasons = {cell.name: cell.reason for cell in record.cells}
    assert "SIGKILL" in reasons["c"] and "its time limit" in reasons["b"] and reasons["d"] == "ValueError: a bug"
    assert reasons["g"] == "no time (since 2026-01-01)" and "going on" in (here / "out/logs/a.log").read_text()


def test_a_verdict_of_an_earlier_run_is_not_that_of_a_cell_that_fails(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = Verdict(recipe="a", outcome="PASS", exit_code=ExitCode.PASS, gates=())
    for name in ("a", "b"):
        (here / "out" / name).mkdir(parents=True)
        passed.save(here / "out" / name / "verdict.json")
    # A library may write a last line of its own after the error.
    results: dict[str, tuple[int | None, str]] = {
        "a": (5, "seatrial: a.onnx cannot be built; see above\nresource_tracker: leaked objects"),
        "b": (0, "PASS"),
    }
    monkeypatch.setattr(run_many, "_wait_for", wait_with(results))
    run_cli(["run-many", str(write_list(here, write_models(*results))), "--output", "out"])
    cells = RunManyRecord.load(here / "out" / "run-many.json").cells
    assert [(cell.outcome, cell.exit_code) for cell in cells] == [("error", 5), ("PASS", 0)]
    assert cells[0].reason == "a.onnx cannot be built; see above"


def test_when_it_is_stopped_what_is_done_stays(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def wait(command: Sequence[str], log: int, limit_s: float) -> int | None:
        if "b" in command:
            raise KeyboardInterrupt
        return wait_with({"a": (5, "seatrial: no engine")})(command, log, limit_s)

    monkeypatch.setattr(run_many, "_wait_for", wait)
    write_list(here, write_models("a", "b", "c"))
    assert run_cli(["run-many", "list.toml", "--output", "out"]) == 130
    cells = RunManyRecord.load(here / "out" / "run-many.json").cells
    assert [cell.outcome for cell in cells] == ["error", "not run", "not run"]


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("sh", 60), KeyboardInterrupt()])
def test_nothing_that_a_cell_started_outlives_it(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started(subprocess.Popen[bytes]):
        """Its time is up as soon as it has started a process of its own."""

        def wait(self, timeout: float | None = None) -> int:
            while timeout == 60 and not (tmp_path / "log").read_text():
                os.sched_yield()
            if timeout == 60:
                raise error
            return super().wait(timeout)

    monkeypatch.setattr(run_many, "GRACE_S", 0)
    monkeypatch.setattr(run_many.subprocess, "Popen", Started)
    command = ["sh", "-c", "trap '' TERM; sleep 600 & echo $!; wait"]
    with (tmp_path / "log").open("wb") as log, contextlib.suppress(KeyboardInterrupt):
        assert run_many._wait_for(command, log.fileno(), 60) is None
    started = Path(f"/proc/{int((tmp_path / 'log').read_text())}/stat")
    # It is gone, or dead and waits for whoever takes its exit code.
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while started.read_text().rpartition(")")[2].split()[0] not in "ZX":
            os.sched_yield()
