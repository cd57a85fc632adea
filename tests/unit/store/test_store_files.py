import errno
import hashlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from full_disk import limited_files
from seatrial.errors import RefusedFile, RunInUse, StorageError
from seatrial.store import files, unfinished
from seatrial.store.command_line import join_words
from seatrial.store.files import (
    check_room,
    describe_os_error,
    hash_file,
    hash_value,
    hash_values,
    link_or_copy,
    lock_file,
    locked,
    make_folder,
    replacing,
    write_text,
)


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def fill(folder: Path, **contents: str) -> None:
    folder.mkdir()
    for name, text in contents.items():
        (folder / name).write_text(text)


def test_a_new_file_stands_there_alone_with_its_folders(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "record.json", "näher")
    assert (tmp_path / "a" / "b" / "record.json").read_bytes() == "näher".encode()
    assert list_names(tmp_path) == ["a", "b", "record.json"]


def test_the_old_file_is_seen_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list_names(tmp_path) == ["record.json"]


def test_a_folder_of_many_files_may_be_left_to_the_operating_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    for flush in (True, False):
        with replacing(tmp_path / f"folder-{flush}", flush) as temporary:
            fill(temporary, a="a", b="b")
        assert list_names(tmp_path / f"folder-{flush}") == ["a", "b"]
        # The folder, its two files and the parent; else the parent alone.
        assert len(flushed) == (4 if flush else 5)


def test_the_old_file_stays_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list_names(tmp_path) == ["record.json"]


def test_a_path_without_a_folder_means_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(Path("record.json"), "new")
    assert list_names(tmp_path) == ["record.json"]


def test_bytes_are_on_disk_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real_fsync, real_rename = os.fsync, Path.rename

    def fsync(descriptor: int) -> None:
        done.append("fsync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real_fsync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        done.append(f"rename {path.name}")
        return real_rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    write_text(tmp_path / "record.json", "new")
    assert done == ["fsync record.json", "rename record.json", f"fsync {tmp_path.name}"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    fill(tmp_path / "engine", old="1", both="1")
    with replacing(tmp_path / "engine") as temporary:
        fill(temporary, new="2", both="2")
    assert {p.name: p.read_text() for p in (tmp_path / "engine").iterdir()} == {"new": "2", "both": "2"}
    assert list_names(tmp_path) == ["both", "engine", "new"]


def test_the_old_folder_stays_when_the_block_raises(tmp_path: Path) -> None:
    fill(tmp_path / "engine", old="1")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "engine") as temporary:
        fill(temporary, new="2")
        raise ZeroDivisionError
    assert list_names(tmp_path) == ["engine", "old"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "engine", old="1")
    real_rename = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name == target.name:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real_rename(path, target)

    with (
        pytest.raises(StorageError, match=r"engine cannot be written \(Input/output error\)"),
        replacing(tmp_path / "engine") as temporary,
    ):
        fill(temporary, new="2")
        monkeypatch.setattr(unfinished, "_exchange", lambda one, other: False)
        monkeypatch.setattr(Path, "rename", rename)
    assert list_names(tmp_path) == ["engine", "old"]


def test_a_file_never_replaces_a_folder(tmp_path: Path) -> None:
    fill(tmp_path / "home", thesis="ten years")
    with pytest.raises(StorageError, match=r"/home cannot be written \(Is a directory\); choose another --output"):
        write_text(tmp_path / "home", "{}")
    assert list_names(tmp_path) == ["home", "thesis"]


def test_a_folder_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("ten years")
    with (
        pytest.raises(StorageError, match=r"/thesis cannot be written \(Not a directory\)"),
        replacing(tmp_path / "thesis") as temporary,
    ):
        fill(temporary, new="2")
    assert (tmp_path / "thesis").read_text() == "ten years"
    assert list_names(tmp_path) == ["thesis"]


def test_a_file_in_place_of_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for ask in (lambda: write_text(tmp_path / "file" / "a.json", ""), lambda: make_folder(tmp_path / "file")):
        with pytest.raises(StorageError, match=r"file cannot be written \(.+\); choose another --output"):
            ask()
    with pytest.raises(StorageError), locked(tmp_path / "file"):
        pass


def grow_too_large(temporary: Path) -> None:
    with limited_files(4096):
        temporary.write_bytes(b"x" * 10_000)


def write_to_a_full_device(temporary: Path) -> None:
    temporary.symlink_to("/dev/full")
    temporary.write_text("x")


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (grow_too_large, r"record.json cannot be written \(File too large\); choose another --output"),
        (write_to_a_full_device, r"no space left to write \S+/record.json \([\d,]+ bytes free\); make room"),
    ],
)
def test_a_disk_that_takes_no_more_is_a_storage_error(write: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    with pytest.raises(StorageError, match=told) as caught, replacing(path) as temporary:
        write(temporary)
    assert f".{path.name}." not in str(caught.value), "the temporary name means nothing to a user"
    assert path.read_text() == "old"
    assert list_names(tmp_path) == ["record.json"]


def test_an_error_about_another_file_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="weights"), replacing(tmp_path / "record.json"):
        (tmp_path / "weights").read_bytes()
    assert list_names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "no space left to write /a/b ("),
        (errno.EDQUOT, "no space left to write /a/b ("),
        (errno.EACCES, "/a/b may not be written (Permission denied); choose another --output"),
        (errno.EROFS, "/a/b may not be written (Read-only file system); choose another --output"),
        (errno.EFBIG, "/a/b cannot be written (File too large); choose another --output"),
    ],
)
def test_what_the_system_refused_is_reported(number: int, told: str) -> None:
    assert str(describe_os_error(OSError(number, os.strerror(number), "/a/b"), Path("/c"))).startswith(told)
    assert str(describe_os_error(OSError(number, os.strerror(number)), Path("/a/b"))).startswith(told)


def test_an_error_without_a_number_keeps_its_words(tmp_path: Path) -> None:
    # As numpy tells of an array that did not fit onto the disk.
    cut = OSError("10 requested and 3 written")
    assert "/a cannot be written (10 requested and 3 written)" in str(describe_os_error(cut, Path("/a")))
    told = r"a\.npy cannot be written \(10 requested and 3 written\)"
    with pytest.raises(StorageError, match=told), replacing(tmp_path / "a.npy"):
        raise cut


def test_a_held_folder_is_in_use_until_its_holder_dies(tmp_path: Path) -> None:
    hold = (
        "import sys\nfrom pathlib import Path\nfrom seatrial.store.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(RunInUse, match=rf"/run: process {holder.pid} on .*; wait for it"), locked(tmp_path / "run"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=30)
        with locked(tmp_path / "run"):
            pass


def test_a_locked_file_is_busy_until_it_is_closed(tmp_path: Path) -> None:
    with lock_file(tmp_path / "file", "busy") as first:
        first.write(b"kept")
        with pytest.raises(RunInUse, match="somebody writes; wait for it"):
            lock_file(tmp_path / "file", "somebody writes")
        waiter = ThreadPoolExecutor(1)
        waiting = waiter.submit(lock_file, tmp_path / "file", "", wait=True)
        assert not waiting.done()
    with waiting.result(timeout=60) as second:
        second.seek(0)
        assert second.read() == b"kept"
    waiter.shutdown()


def test_a_lock_that_cannot_be_had_at_all_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", flock)
    with pytest.raises(StorageError, match="No locks available"), locked(tmp_path):
        pass


def test_a_block_that_raises_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


def test_a_files_hash_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1_000_000)
    assert hash_file(tmp_path / "a") == hashlib.sha256(b"x" * 1_000_000).hexdigest()


def test_a_values_hash_is_that_of_its_canonical_json() -> None:
    canonical = rb'{"a":[1,2.5,null],"b":{"c":"\u00e9","d":true}}'
    expected = hashlib.sha256(canonical).hexdigest()
    assert hash_value({"b": {"d": True, "c": "é"}, "a": (1, 2.5, None)}) == expected
    assert hash_value({"a": [1, 2.5, None], "b": {"c": "é", "d": True}}) == expected
    assert hash_value({"a": [1, 2.5, None], "b": {"c": "e", "d": True}}) != expected


def test_what_json_cannot_say_has_no_hash() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        hash_value({"loss": float("nan")})


@pytest.mark.parametrize("values", [[], [1], [["é", 2.5], {"b": 1, "a": None}, "x"]])
def test_a_list_hashes_the_same_in_parts(values: list[object]) -> None:
    assert hash_values(iter(values)) == hash_value(values)


def test_a_link_shares_the_bytes_and_a_copy_stands_in_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "weights"
    source.write_text("weights")
    (tmp_path / "alias").symlink_to(source)
    link_or_copy(tmp_path / "alias", tmp_path / "linked")
    assert (tmp_path / "linked").samefile(source) and not (tmp_path / "linked").is_symlink()

    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    link_or_copy(source, tmp_path / "copied")
    assert (tmp_path / "copied").read_text() == "weights" and not (tmp_path / "copied").samefile(source)


def test_an_error_names_the_place_that_the_user_chose(tmp_path: Path) -> None:
    with (
        pytest.raises(RefusedFile, match="does not load") as caught,
        replacing(tmp_path / "e") as temporary,
    ):
        raise RefusedFile(f"the engine does not load {temporary / 'model.xml'}", f"remove {temporary}")
    assert caught.value.problem == f"the engine does not load {tmp_path / 'e' / 'model.xml'}"
    assert caught.value.fix == f"remove {tmp_path / 'e'}"


def test_a_folder_in_use_names_who_works_in_it(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunInUse) as raised, locked(tmp_path):
        pass
    said = str(raised.value)
    assert f"another process works in {tmp_path}: process {os.getpid()} on {platform.node()} since 2" in said
    assert join_words(sys.argv)[:40] in said
    with locked(tmp_path):
        pass


def test_room_for_a_file_is_taken_to_know_it(tmp_path: Path) -> None:
    with limited_files(10_000):
        check_room(tmp_path, 10_000)
        with pytest.raises(StorageError, match=r"^10,001 bytes cannot be written to .* \(File too large; [\d,]+ b"):
            check_room(tmp_path, 10_001)
    assert list(tmp_path.iterdir()) == []


def test_a_user_without_a_home_has_no_cache_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", refuse)
    assert files.cache_folder() == files.NO_HOME / ".cache" / "seatrial"
    assert files.expand_home("~someone/nets.py") == files.NO_HOME / "someone" / "nets.py"
