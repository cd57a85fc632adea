"""An evaluation that is killed and taken up again ends as one that never was, and hardly repeats anything."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.evaluation.pipeline import CHUNK
from tiny_trial import TinyTrial

SCRIPT = Path(__file__).parent / "evaluate_noise.py"
COUNT = 12_000


def start(folder: Path) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), str(COUNT)], stdout=subprocess.PIPE, text=True)


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    assert whole.communicate()[0] == "1\n" and whole.returncode == 0
    folder, kills, chance = tmp_path / "killed", 0, random.Random(7)
    while True:
        process = start(folder)
        before = size_of(folder / "ledger")
        while process.poll() is None and size_of(folder / "ledger") <= before:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.2))
        if kills < 5:
            process.kill()
        told, _ = process.communicate()
        if process.returncode == 0:
            break
        kills += 1
    assert kills >= 3, "the evaluation was over before it could be killed"
    assert 1 < int(told) <= kills + 1  # one that was killed before its first entry left no trace
    assert (folder / "noise.parquet").read_bytes() == (tmp_path / "whole" / "noise.parquet").read_bytes()
    given = size_of(folder / "given")
    assert COUNT <= given <= COUNT + kills * CHUNK


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_evaluation_goes_on_where_it_was(
    number: signal.Signals, tiny_trial: TinyTrial, tiny_engines: Path, tmp_path: Path
) -> None:
    engine = shutil.copytree(tiny_engines / "engines" / "onnxruntime", tmp_path / "ort")
    words = ["evaluate", str(engine), "--images", str(tiny_trial.images), "--labels", str(tiny_trial.labels)]
    words += ["--fake-images", "4000", "--batch-size", "4"]
    stopped = [sys.executable, "-m", "seatrial", *words, "--output", str(tmp_path / "stopped")]
    process = subprocess.Popen(stopped, stderr=subprocess.PIPE, text=True)
    ledger = tmp_path / "stopped" / ".ort.ledger"
    while process.poll() is None and size_of(ledger) < 10_000:
        time.sleep(0.005)
    os.kill(process.pid, number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert told.splitlines()[-1] == "seatrial: stopped; the same command resumes"
    again = subprocess.run(stopped, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and "of 4000 images are done already" in again.stderr
    assert run_cli([*words, "--output", str(tmp_path / "whole")]) == 0
    for name in ("ort.parquet", "ort.json"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not ledger.exists()
