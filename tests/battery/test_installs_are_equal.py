"""Promise 15: two installs are equal: `constraints.txt` pins every distribution, and a wheel has the same bytes again.

Installing takes what is in uv's cache, or the network.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import seatrial
from battery_figures import record_figures
from seatrial.store.files import hash_file

ROOT = Path(seatrial.__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
EXTRAS = ("demo", "hf", "ray", "ui", "track", "mlperf")


def read_pins() -> dict[str, str]:
    """Versions by name, as constraints.txt has them."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version.partition(";")[0].strip() for name, _, version in pairs}


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    try:
        return any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    except UndefinedEnvironmentName:
        return False


def list_needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> Iterator[str]:
    """The distributions here that one needs with these extras, and all that they need."""
    if (name, extras) in seen:
        return
    seen.add((name, extras))
    try:
        needs = distribution(name).requires or []
    except PackageNotFoundError:
        return
    yield name
    for requirement in map(Requirement, needs):
        if applies(requirement, extras):
            yield from list_needed(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)


@pytest.mark.whole
def test_whatever_the_extras_bring_is_pinned() -> None:
    pins = read_pins()
    needed = sorted({*list_needed("seatrial", frozenset(EXTRAS), set())} - {"seatrial"})
    failures = [f"{name} has no pin" for name in needed if name not in pins]
    record_figures(15, "distributions with a pin", len(needed), failures)


def run_uv(*words: str | Path) -> str:
    ran = subprocess.run([UV, *words], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def install(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a new environment with a wheel of ours and the engine of `cpu`, by relative path."""
    run_uv("build", "--quiet", "--wheel", "--out-dir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    run_uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    limits = ("--constraint", ROOT / "constraints.txt")
    run_uv("pip", "install", "--quiet", "--python", folder / "venv", *limits, f"seatrial[cpu] @ {wheel.as_uri()}")
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    files = {"wheel": hash_file(wheel)}
    for path in packages.rglob("*"):
        # What says where it came from and when: the path of the wheel, and the time of the install.
        if path.is_file() and not re.search(r"RECORD|direct_url\.json|uv_cache\.json|\.pyc$", path.name):
            files[str(path.relative_to(packages))] = hash_file(path)
    return files


@pytest.mark.battery
def test_two_installs_are_equal(tmp_path: Path) -> None:
    first, second = install(tmp_path / "first"), install(tmp_path / "second")
    failures = [path for path in sorted({*first, *second}) if first.get(path) != second.get(path)]
    record_figures(15, "files of two installs", len(first), failures)
