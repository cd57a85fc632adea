"""An evaluation that is killed and taken up again ends as one that never was, and hardly repeats anything."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from evaluate_noise import evaluate_noise
from forked_processes import start_fork
from seatrial.cli import run_cli
from seatrial.evaluation.pipeline import CHUNK
from tiny_trial import TinyTrial

COUNT = 8_000


def start(folder: Path) -> BaseProcess:
    folder.mkdir(exist_ok=True)
    return start_fork(evaluate_noise, folder, COUNT)


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole")
    whole.join()
    assert whole.exitcode == 0 and (tmp_path / "whole" / "attempts").read_text() == "1"
    folder, kills, chance = tmp_path / "killed", 0, random.Random(7)
    while True:
        process = start(folder)
        before = size_of(folder / "ledger")
        while process.is_alive() and size_of(folder / "ledger") <= before:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.2))
        if kills < 5:
            process.kill()
        process.join()
        if process.exitcode == 0:
            break
        kills += 1
    assert kills >= 3, "the evaluation was over before it could be killed"
    # One that was killed before its first entry left no trace.
    assert 1 < int((folder / "attempts").read_text()) <= kills + 1
    assert (folder / "noise.parquet").read_bytes() == (tmp_path / "whole" / "noise.parquet").read_bytes()
    given = size_of(folder / "given")
    assert COUNT <= given <= COUNT + kills * CHUNK


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_evaluation_goes_on_where_it_was(
    number: signal.Signals, tiny_trial: TinyTrial, tiny_engines: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    engine = shutil.copytree(tiny_engines / "engines" / "onnxruntime", tmp_path / "ort")
    words = ["evaluate", str(engine), "--images", str(tiny_trial.images), "--labels", str(tiny_trial.labels)]
    words += ["--fake-images", "2000", "--batch-size", "4"]
    stopped = [sys.executable, "-m", "seatrial", *words, "--output", str(tmp_path / "stopped")]
    process = subprocess.Popen(stopped, stderr=subprocess.PIPE, text=True)
    ledger = tmp_path / "stopped" / ".ort.ledger"
    while process.poll() is None and size_of(ledger) < 10_000:
        time.sleep(0.005)
    os.kill(process.pid, number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert told.splitlines()[-1].startswith("seatrial: stopped; the same command resumes: seatrial evaluate ")
    assert run_cli([*words, "--output", str(tmp_path / "stopped")]) == 0
    assert "of 2000 images are done already" in capsys.readouterr().err
    assert run_cli([*words, "--output", str(tmp_path / "whole")]) == 0
    for name in ("ort.parquet", "ort.json"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not ledger.exists()
