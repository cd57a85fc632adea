"""What libraries raise where memory, or the addresses that a limit leaves, ran out."""

import errno
import resource

import pytest

from seatrial.cli import run_cli
from seatrial.errors import LostProcess, StorageError, UsageError
from seatrial.machine import out_of_memory
from seatrial.machine.isolated_process import read_error
from seatrial.machine.out_of_memory import describe_limit, is_out_of_memory
from seatrial.models.forward import refuse_images

MAPPING = "libtorch_cpu.so: failed to map segment from shared object"
SHORT = [
    MemoryError(),
    ImportError(MAPPING),
    RuntimeError("can't start new thread"),
    RuntimeError("std::bad_alloc"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]


@pytest.mark.parametrize("error", SHORT, ids=repr)
def test_a_command_that_does_not_fit_says_so(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    assert is_out_of_memory(error)
    monkeypatch.setattr("seatrial.workflow.board.read_board", fail)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2**31, 2**31))
    assert run_cli(["board", "."]) == 9
    shown = capsys.readouterr().err
    assert shown.startswith("seatrial: this does not fit into memory (") and shown.count("\n") == 1
    assert "`ulimit -v` leaves it 2.0 GiB of addresses" in shown


def test_other_errors_stay_bugs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ImportError("no module")

    monkeypatch.setattr("seatrial.workflow.board.read_board", fail)
    with pytest.raises(ImportError, match="no module"):
        run_cli(["board", "."])


@pytest.mark.parametrize(("code", "words"), [(1, f"Traceback\nImportError: {MAPPING}"), (-6, "what(): std::bad_alloc")])
def test_a_process_that_died_of_it_does_not_fit(code: int, words: str) -> None:
    error = read_error("the process that compiled", code, b"", words)
    assert isinstance(error, StorageError)
    assert error.problem.startswith("the process that compiled does not fit into memory")
    assert isinstance(read_error("it", code, b"", "another end"), LostProcess)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("could not create a primitive"),
        SystemError("error return without exception set"),
        ValueError("Failed to serialize proto"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("limit", [2**31, resource.RLIM_INFINITY])
def test_some_errors_mean_it_only_under_a_limit(error: Exception, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_memory.resource, "getrlimit", lambda kind: (limit, limit))
    assert is_out_of_memory(error) is (limit == 2**31)


def test_a_limit_is_described_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_memory.resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, 0))
    assert describe_limit() == ""


def test_a_network_that_finds_no_memory_is_not_blamed() -> None:
    lacking = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 663552 bytes")
    with pytest.raises(RuntimeError, match="can't allocate memory"), refuse_images("net", (1, 3, 8, 8), "give another"):
        raise lacking
    with pytest.raises(UsageError, match="does not run"), refuse_images("net", (1, 3, 8, 8), "give another"):
        raise RuntimeError("wrong shape")
