"""The command's standard streams: closed, full, without a reader or in an old encoding."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

MAIN = "from seatrial.__main__ import main; import sys; sys.argv[0] = 'seatrial'; main()"
PRINT = "from seatrial.cli.streams import prepare_streams; prepare_streams(); {}"
SHOWN = "−5 × 3… 1–2 ≥ é 漢 \\udce9"


def start(code: str, redirections: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run Python code in a shell's command with redirections; its exit code, stdout and stderr."""
    command = ["bash", "-c", f'"$0" -c "$1" {redirections}', sys.executable, code]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def run_command(words: Sequence[str], redirections: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command of ours."""
    return start(f"import sys; sys.argv[1:] = {list(words)!r}; {MAIN}", redirections, env)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "−5 × 3… 1–2 ≥ é 漢 \\udce9\n"),
        ("ascii", "-5 x 3... 1-2 >= \\xe9 \\u6f22 \\udce9\n"),
        ("latin-1:strict", "-5 \ufffd 3... 1-2 >= \ufffd \\u6f22 \\udce9\n"),
    ],
)
def test_characters_that_an_encoding_lacks_get_look_alikes(encoding: str, shown: str) -> None:
    assert start(PRINT.format(f"print('{SHOWN}')"), "", {"PYTHONIOENCODING": encoding}) == (0, shown, "")


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_closed_streams_and_a_full_stderr_change_nothing_else(redirections: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    work = f"print('a' * 99999); import sys; sys.stderr.write('b'); open('{made}', 'w').write('c')"
    code, _, err = start(PRINT.format(work), redirections)
    assert (code, err.strip("b")) == (0, "")
    assert made.read_text() == "c"


def test_a_reader_that_leaves_ends_nothing(tmp_path: Path) -> None:
    work = "[print('line', number) for number in range(99999)]; sys.exit(3)"
    command = '"$0" -c "$1" | head -1; exit ${PIPESTATUS[0]}'
    code = PRINT.format(f"import sys; {work}")
    done = subprocess.run(["bash", "-c", command, sys.executable, code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "line 0\n", "")


def test_a_full_stdout_is_an_error_of_storage() -> None:
    code, _, err = run_command(["--version"], ">/dev/full")
    assert code == 9
    assert err == "seatrial: standard output cannot be written (No space left on device); make room there\n"


def test_wrong_usage_keeps_its_code_where_nobody_can_read_why() -> None:
    assert run_command(["compare"], "2>/dev/full")[0] == run_command(["compare"], "2>&-")[0] == 2


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_command_in_an_ascii_locale(tmp_path: Path) -> None:
    code, out, err = run_command(["recipes", "show", "resnet50"], "", ASCII)
    assert (code, err) == (0, "")
    assert out.isascii()
    assert "(stride on the 3x3)" in out
    (tmp_path / "tiny.toml").write_text('base = "größe.toml"', encoding="utf-8")
    code, _, err = run_command(["recipes", "show", str(tmp_path / "tiny.toml")], "", ASCII)
    assert code == 2
    assert err.count("\n") == 1
    assert "Traceback" not in err
