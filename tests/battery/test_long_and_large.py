"""Promise 14: what is long or large takes no more memory than what is short, and a list of many runs is there at once.

The engine is a fake: what is watched is everything around it.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from battery_figures import record_figures
from battery_server import run_cases
from fake_engine import FakeSession, make_recipe
from page_client import open_client
from run_folder import ORT, TORCH, Trial, build_run
from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.evaluation.ledger import PredictionLedger, Tally
from seatrial.evaluation.pipeline import predict_all
from seatrial.evaluation.stream import PredictionBatch, StreamPlan, stream_predictions
from seatrial.progress import silent
from seatrial.results.run_folder import read_records
from seatrial.results.summarise import summarise
from seatrial.store.summary import SUMMARY

QUICK_IMAGES, ALL_IMAGES, BATCH = 30_000, 1_000_000, 500
ROWS = 1000
"""Different images: each is there many times, in one file."""
SIZE = (4, 6)
SETTLED = 0.1
"""Share of the images after which memory must be flat."""
MOST_GROWTH = 0.05
QUICK_RUNS, ALL_RUNS, SECONDS = 500, 10_000, 1.0
MEMORY_BYTES = 8 << 30


class ForgetfulSession(FakeSession):
    """A fake engine that does not keep what it was given."""

    def run(self, batch: np.ndarray) -> np.ndarray:
        return self.answer(batch)


def read_memory() -> int:
    """Bytes of this process that are no file's, as the ledger is one."""
    with open("/proc/self/status", encoding="ascii") as file:
        return int(next(line for line in file if line.startswith("RssAnon")).split()[1]) * 1024


def measure_row(tally: Tally) -> int:
    """Bytes of an image's row in the predictions, whose arrays have their size from the start and are filled."""
    arrays = [getattr(tally, field.name, None) for field in fields(tally)]
    return sum(array.nbytes // len(array) for array in arrays if isinstance(array, np.ndarray))


def evaluate_fake(case: tuple[int, Path]) -> list[tuple[int, int]]:
    """Memory, and how much of it is predictions, after each hundredth of so many images."""
    count, folder = case
    rows = np.random.default_rng(1).integers(0, 256, (ROWS, *SIZE, 3), dtype=np.uint8)
    path = folder / "images.bin"
    path.write_bytes(rows.tobytes())
    prepared, length = PreparedInput.pixels(SIZE), rows[0].nbytes
    images = [LabelledImage(f"{n:07d}", path, n % 4, ((n % ROWS) * length, length), prepared) for n in range(count)]
    pipeline, session = make_pipeline(make_recipe()), ForgetfulSession()
    samples: list[tuple[int, int]] = []

    def watch(batches: Iterator[PredictionBatch]) -> Iterator[PredictionBatch]:
        done = 0
        for batch in batches:
            yield batch
            done += len(batch.indices)
            if done * 100 // count > len(samples):
                samples.append((read_memory(), done * measure_row(ledger.tally)))

    def stream(todo: Any) -> Iterator[PredictionBatch]:
        return watch(stream_predictions(session, images, pipeline, todo, StreamPlan(batch_size=BATCH)))

    with PredictionLedger(folder / "ledger", "key", count) as ledger:
        predict_all(ledger, ledger.todo, stream, count, silent)
        assert not len(ledger.todo)
    return samples


def check_memory(count: int, folder: Path) -> None:
    (outcome,) = run_cases(evaluate_fake, [(count, folder)], 900, MEMORY_BYTES)
    assert not outcome.problem, outcome.problem
    settled = [memory - rows for memory, rows in outcome.value[int(SETTLED * len(outcome.value)) :]]
    growth = max(settled) / settled[0] - 1
    memory, rows = outcome.value[-1]
    notes = (
        f"{growth:+.1%} from {SETTLED:.0%} of the images on beside the predictions, which are {rows // count} bytes an "
        f"image; {memory / 1e6:.0f} MB, {outcome.seconds:.0f} s"
    )
    failures = [notes] if growth > MOST_GROWTH else []
    record_figures(14, "images through a fake engine", count, failures, notes=notes)


def test_memory_does_not_grow_with_images(tmp_path: Path) -> None:
    check_memory(QUICK_IMAGES, tmp_path)


@pytest.mark.battery
def test_memory_does_not_grow_with_a_million_images(tmp_path: Path) -> None:
    check_memory(ALL_IMAGES, tmp_path)


def link_runs(folder: Path, count: int) -> Path:
    """So many runs, all of them links to the records of one."""
    first = build_run(folder / "first", Trial(ships=(TORCH, ORT)))
    summarise(read_records(first)).save(first / SUMMARY)
    files = [path.relative_to(first) for path in first.rglob("*") if path.suffix in (".json", ".toml")]
    folders = sorted({path.parent for path in files})
    for number in range(1, count):
        run = folder / f"group-{number // 100:03d}" / f"run-{number:05d}"
        for place in folders:
            (run / place).mkdir(parents=True, exist_ok=True)
        for path in files:
            os.link(first / path, run / path)
    return folder


def check_list(count: int, folder: Path) -> None:
    """The first request of a server that knows nothing yet; in the processor's time, as others use it too."""
    (folder / "none").mkdir()
    open_client(folder / "none").get("/")  # What the libraries load at the first request is no part of the list.
    root = link_runs(folder / "runs", count)
    began_s = time.process_time()
    answer = open_client(root).get("/")
    seconds = time.process_time() - began_s
    assert f"{count:,} runs" in answer.text
    notes = f"{seconds:.2f} s"
    record_figures(14, "runs in the page's list", count, [notes] if seconds > SECONDS else [], notes=notes)


def test_a_list_of_many_runs_is_there_at_once(tmp_path: Path) -> None:
    check_list(QUICK_RUNS, tmp_path)


@pytest.mark.battery
def test_a_list_of_ten_thousand_runs_is_there_within_a_second(tmp_path: Path) -> None:
    check_list(ALL_RUNS, tmp_path)
