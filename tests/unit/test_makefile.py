"""`make demo` installs what the demo needs, `make test` the rest, in either order; nothing is run here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import seatrial

ROOT = Path(seatrial.__file__).parents[2]
FILES = ("pyproject.toml", "constraints.txt", "Makefile")
CLONED_S = 1_700_000_000
"""When the files of the clone were written."""


def list_commands(folder: Path, target: str) -> str:
    """What `make` would do."""
    command = ["make", "--dry-run", target]
    # Not as part of the `make test` that runs this.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=folder, env=outside, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clone as far as the Makefile looks at it."""
    for name in FILES:
        shutil.copyfile(ROOT / name, tmp_path / name)
        os.utime(tmp_path / name, (CLONED_S,) * 2)
    (tmp_path / ".venv").mkdir()
    return tmp_path


def stamp(tree: Path, *names: str) -> None:
    for age, name in enumerate(names, start=1):
        (tree / ".venv" / name).touch()
        os.utime(tree / ".venv" / name, (CLONED_S + age,) * 2)


def test_in_a_clone_the_demo_installs_its_own_extra_and_the_tests_the_rest(tree: Path) -> None:
    demo, test = list_commands(tree, "demo"), list_commands(tree, "test")
    assert "--editable '.[demo]'" in demo and "--group dev" not in demo
    assert "-m venv .venv" in demo and "--constraint constraints.txt" in demo
    assert "--group dev --editable '.[demo," in test and "'.[demo]'" not in test


def test_after_the_demo_the_tests_install_the_rest(tree: Path) -> None:
    stamp(tree, "made", "demo-installed")
    demo, test = list_commands(tree, "demo"), list_commands(tree, "test")
    assert demo.splitlines() == [".venv/bin/seatrial demo --output demo-run"]
    assert "--group dev" in test and "-m venv" not in test


def test_after_the_tests_the_demo_installs_nothing(tree: Path) -> None:
    assert "touch .venv/installed .venv/demo-installed" in list_commands(tree, "test")
    stamp(tree, "made", "installed", "demo-installed")
    assert list_commands(tree, "demo").splitlines() == [".venv/bin/seatrial demo --output demo-run"]
    assert "install" not in list_commands(tree, "test").replace("installed", "")


def test_other_versions_are_installed_again(tree: Path) -> None:
    stamp(tree, "made", "installed", "demo-installed")
    os.utime(tree / "constraints.txt", (CLONED_S + 60,) * 2)
    for target in ("demo", "test"):
        assert "uv pip install" in list_commands(tree, target)
