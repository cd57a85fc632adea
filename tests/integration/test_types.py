"""Types reach who installs seatrial: a program outside the tree is held to them by mypy."""

import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel, and the libraries of this one behind it."""
    folder = tmp_path_factory.mktemp("venv")
    built = run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    installed = run(
        UV, "pip", "install", "--quiet", "--no-deps", "--python", folder / "venv", *folder.glob("*.whl"), cwd=folder
    )
    assert installed.returncode == 0, installed.stderr
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "behind.pth").write_text(site.getsitepackages()[0])
    return folder / "venv" / "bin" / "python"


def check(program: Path, python: Path) -> subprocess.CompletedProcess[str]:
    words = ("-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", program.parent / "cache")
    return run(sys.executable, *words, program.name, cwd=program.parent)


def test_a_program_outside_the_tree_is_checked(python: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    shutil.copyfile(ROOT / "tests" / "typed_user.py", program)
    done = check(program, python)
    assert (done.stdout, done.returncode) == ("Success: no issues found in 1 source file\n", 0)

    program.write_text(
        program.read_text().replace("assert_type(found.record.images, int)", "assert_type(found.record.images, str)")
    )
    done = check(program, python)
    assert done.returncode == 1 and 'Expression is of type "int", not "str"' in done.stdout
