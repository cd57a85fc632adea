"""What `pip install` brings: the wheel is built, installed without dependencies in a place of its own, and read."""

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import seatrial

ROOT = Path(seatrial.__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
LOOK = """
import importlib.metadata, importlib.resources, json, seatrial
from seatrial import api, errors, extras
files = [str(file) for file in importlib.metadata.files("seatrial")]
root = importlib.resources.files("seatrial")
read = [len((root / name).read_text("utf-8")) for name in json.loads(input())]
wheel = importlib.metadata.metadata("seatrial")
extras = wheel.get_all("Provides-Extra")
print(json.dumps([files, read, seatrial.__version__, wheel["Version"], extras, seatrial.__file__]))
"""

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path | None = None, given: str | None = None) -> str:
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, input=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution; needs what builds them in uv's cache, or a network."""
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def python(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("venv") / "venv"
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    run(UV, "pip", "install", "--quiet", "--no-deps", "--python", folder, next(built.glob("*.whl")))
    return folder / "bin" / "python"


def list_files(under: str = "") -> set[str]:
    """The files of the tree that git has or would take."""
    words = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    return {name for name in run(*words, cwd=ROOT).splitlines() if name.startswith(under)}


def list_data() -> Iterator[str]:
    """The files of the package that are no code."""
    for name in list_files("src/"):
        if Path(name).suffix != ".py":
            yield name.removeprefix("src/")


def test_the_wheel_has_the_package_with_its_data_and_nothing_else(python: Path, tmp_path: Path) -> None:
    data = sorted(list_data())
    for kind in (
        "recipes/cards/.*toml",
        "report/.*j2",
        "report/phrases.zh.json",
        "ui/.*css",
        "py.typed",
        "models/.*csv",
    ):
        assert any(re.fullmatch(f"seatrial/{kind}", name) for name in data), kind
    names = json.dumps([name.removeprefix("seatrial/") for name in data])
    found = json.loads(run(python, "-I", "-c", LOOK, cwd=tmp_path, given=names))
    files, read, version, stated, extras, place = found
    assert "site-packages" in place
    assert [name for name, size in zip(data, read, strict=True) if not size] == ["seatrial/py.typed"]
    kept = {name for name in files if not name.startswith("seatrial-") and "__pycache__" not in name}
    tracked = {name.removeprefix("src/") for name in list_files("src/")}
    # The command itself lies outside, as ../../../bin/seatrial.
    assert {name for name in kept if not name.startswith("..")} == tracked
    assert version == stated == seatrial.__version__
    assert {"trial", "report", "cpu", "torch", "demo", "all"} <= {*extras}


def test_the_source_distribution_has_what_its_tests_need(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = list_files()
    assert tracked <= names and {"tests/conftest.py", "constraints.txt", "Makefile"} <= names
    assert names - tracked <= {"PKG-INFO"} | {str(parent) for name in tracked for parent in Path(name).parents}
