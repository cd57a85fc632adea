"""What a bare install and each extra weigh: each goes into a new environment, which is removed once it is measured.

python benchmarks/install_sizes.py bare cpu report > benchmarks/results/install_sizes.txt

Without words: bare, and every extra, which takes 12 GB of downloads. It needs `uv` beside the Python that runs it. The
seconds are those with a full cache of uv's, which an install before fills; MB are 10^6 bytes of files.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")
BARE = "bare"
MOST_NAMED = 4
"""Distributions that a line names, the largest first."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One environment."""

    extra: str
    packages: int
    megabytes: float
    seconds: float
    largest: str
    usable: str
    """The engines that `doctor` finds."""


def list_extras() -> list[str]:
    """The extras of pyproject.toml; `gpu` takes the place of `cpu`, so it is measured too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["optional-dependencies"])


def run(*words: str | Path) -> str:
    """What a command prints; its own words where it fails."""
    # Not the environment that runs this, nor the source tree.
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, env=clean, cwd="/")
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


def measure(extra: str, wheel: Path, folder: Path) -> Installed:
    """Install the wheel with an extra twice, the second time with a clock, and look at what is there."""
    wanted = f"seatrial{'' if extra == BARE else f'[{extra}]'} @ {wheel.as_uri()}"
    for name in ("first", "second"):
        python = folder / name / "bin" / "python"
        run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder / name)
        began = time.perf_counter()
        run(UV, "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt", wanted)
        seconds = time.perf_counter() - began
        if name == "first":
            run("rm", "-rf", folder / name)
    run(python, "-c", "import seatrial, seatrial.api")
    sizes = weigh(next((folder / "second" / "lib").glob("python*/site-packages")))
    largest = sorted(sizes, key=lambda name: -sizes[name])[:MOST_NAMED]
    found = run(python.with_name("seatrial"), "doctor").splitlines()
    engines = [line.split()[0] for line in found[1:] if len(line.split()) > 2 and line.split()[1][0].isdigit()]
    return Installed(
        extra,
        len(run(UV, "pip", "list", "--quiet", "--python", python, "--format", "freeze").splitlines()),
        sum(sizes.values()),
        seconds,
        ", ".join(f"{name} {sizes[name]:.0f}" for name in largest),
        ", ".join(engines) or "none",
    )


def weigh(packages: Path) -> dict[str, float]:
    """Megabytes by top folder or file; the libraries that wheels keep beside a package are counted with it."""
    sizes: dict[str, float] = {}
    for path in packages.iterdir():
        files = path.rglob("*") if path.is_dir() else [path]
        name = path.name.removesuffix(".libs").partition("-")[0]
        sizes[name] = sizes.get(name, 0) + sum(f.stat().st_size for f in files if f.is_file()) / 1e6
    return sizes


def main() -> int:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="`bare`, or an extra; several with commas between")
    wanted = parser.parse_args().extras or [BARE, *list_extras()]
    with tempfile.TemporaryDirectory(prefix="seatrial-sizes-") as temporary:
        folder = Path(temporary)
        run(UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
        (wheel,) = folder.glob("*.whl")
        print(f"Python {sys.version.split()[0]}, {sys.platform}, {wheel.name} of {wheel.stat().st_size / 1e3:.0f} kB")
        print(f"{'extra':<14} {'packages':>8} {'MB':>6} {'s':>5}  {'engines of doctor':<28} largest, MB")
        for extra in wanted:
            seen = measure(extra, wheel, folder)
            sized = f"{seen.extra:<14} {seen.packages:>8} {seen.megabytes:>6.0f} {seen.seconds:>5.1f}"
            print(f"{sized}  {seen.usable:<28} {seen.largest}", flush=True)
            run("rm", "-rf", folder / "second")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
