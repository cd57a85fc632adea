import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.machine import file_locks
from seatrial.machine.file_locks import is_locked, read_locks
from seatrial.store.files import lock_file

LINES = """\
1: FLOCK  ADVISORY  WRITE 10675 fe:00:2147582 0 EOF
2: POSIX  ADVISORY  READ 10675 fe:00:16171975 128 128
3: FLOCK  ADVISORY  WRITE 11300 fe:00:2147582 0 EOF
3: -> FLOCK  ADVISORY  WRITE 11301 fe:00:2147582 0 EOF
4: FLOCK  ADVISORY  READ 7 00:31:9 0 EOF
"""


def test_lines_of_flocks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locks").write_text(LINES)
    monkeypatch.setattr(file_locks, "LOCKS", tmp_path / "locks")
    assert read_locks() == {2147582: (10675, 11300), 9: (7,)}
    monkeypatch.setattr(file_locks, "LOCKS", tmp_path / "none")
    assert read_locks() == {}


@pytest.mark.skipif(not file_locks.LOCKS.exists(), reason="only Linux lists locks")
def test_a_lock_is_seen_without_taking_it(tmp_path: Path) -> None:
    path, other = tmp_path / "locked", tmp_path / "other"
    other.touch()
    assert not is_locked(path, read_locks())
    with lock_file(path, "busy"):
        assert is_locked(path, read_locks()) and not is_locked(other, read_locks())
        # An inode of another file system, or of a process that has not opened the file, is another file's.
        inode = path.stat().st_ino
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            assert not is_locked(path, {inode: (process.pid,)})
    assert not is_locked(path, read_locks())
