import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.store import unfinished
from seatrial.store.files import manifest_path, replacing, write_text
from seatrial.store.unfinished import SUFFIX, make_unfinished, sweep

HOLD = """
import sys
from collections.abc import Callable
from pathlib import Path
from seatrial.store.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("there", flush=True)
    sys.stdin.read()
"""


def start(path: Path) -> subprocess.Popen[str]:
    """A process that writes `path`, and waits before the end of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def find_unfinished(folder: Path) -> list[Path]:
    return sorted(folder.glob(f".*{SUFFIX}"))


def test_what_a_killed_command_left_is_removed_by_the_next_that_writes_there(tmp_path: Path) -> None:
    process = start(tmp_path / "model.onnx")
    write_text(tmp_path / "other.json", "{}")
    (living,) = find_unfinished(tmp_path)
    assert (living / "model.onnx").read_text() == "half"
    kill(process)
    write_text(tmp_path / "other.json", "{}")
    assert os.listdir(tmp_path) == ["other.json"]


def test_a_folder_of_somebody_else_stays(tmp_path: Path) -> None:
    theirs = tmp_path / f".mine{SUFFIX}"
    theirs.mkdir()
    (theirs / "thesis").write_text("ten years")
    sweep(tmp_path)
    assert (theirs / "thesis").read_text() == "ten years"


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'é' * 125}.json"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_folder_that_is_replaced_is_there_whenever_the_command_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    path = tmp_path / "engine"
    if not at_once:
        monkeypatch.setattr(unfinished, "_exchange", lambda one, other: False)
    for step in range(40):
        path.mkdir(exist_ok=True)
        (path / "old").write_text("1")
        done = run_until(step, lambda: replace_folder(path))
        if at_once:
            assert path.is_dir()
        write_text(tmp_path / "other.json", "{}")  # The next command that writes beside it.
        assert os.listdir(path) in (["old"], ["new"])
        assert sorted(os.listdir(tmp_path)) == ["engine", "other.json"]
        if done:
            assert os.listdir(path) == ["new"]
            return
        (path / "new").unlink(missing_ok=True)
    raise AssertionError("it never came to its end")


def replace_folder(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("2")


def run_until(step: int, work: Callable[[], None]) -> bool:
    """Do it in a process that dies before the system call of this number that changes names or flushes bytes."""
    child = os.fork()
    if child == 0:
        count = 0

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "open", "ctypes.call_function"):
                count += 1
                if count > step:
                    os._exit(9)

        sys.addaudithook(watch)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 0


def test_there_is_never_a_file_without_its_manifest(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"

    def write_pair() -> None:
        with replacing(path, companions=("weights.data",)) as temporary:
            temporary.write_text("new graph")
            manifest_path(temporary).write_text("new manifest")
            (temporary.parent / "weights.data").write_text("new weights")

    seen = set()
    for step in range(60):
        for old in (path, manifest_path(path), tmp_path / "weights.data"):
            old.unlink(missing_ok=True)
        done = run_until(step, write_pair)
        seen.add(tuple(sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith("."))))
        if done:
            break
    pair = "model.onnx", "model.onnx.json", "weights.data"
    assert seen == {(), ("model.onnx.json",), ("model.onnx.json", "weights.data"), pair}
    assert [path.read_text() for path in (path, manifest_path(path))] == ["new graph", "new manifest"]


def test_a_manifest_stays_where_the_file_cannot_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.mkdir()
    manifest_path(path).write_text("old")
    with pytest.raises(Exception, match="Is a directory"), replacing(path) as temporary:
        temporary.write_text("new graph")
        manifest_path(temporary).write_text("new")
    assert manifest_path(path).read_text() == "old"


def test_an_unfinished_folder_is_made_again_where_a_sweep_took_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = os.open, []

    def open_after_sweep(path: object, *arguments: object, **options: object) -> int:
        if not taken and str(path).endswith("in-use.lock"):
            taken.append(path)
            sweep(tmp_path)
        return real(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", open_after_sweep)
    with make_unfinished(tmp_path / "model.onnx") as folder:
        assert folder != Path(str(taken[0])).parent
        assert folder.is_dir()
    assert os.listdir(tmp_path) == []
