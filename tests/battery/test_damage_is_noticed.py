"""Promise 2: one bit that flips in a stored file is noticed, or changes nothing that is read from it."""

import contextlib
import io
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from battery_figures import SEED, record_figures
from battery_server import run_cases
from seatrial.cli import run_cli
from seatrial.data.sources import read_images
from seatrial.engines.base import read_engine
from seatrial.engines.engine_folder import read_graph
from seatrial.errors import SeatrialError
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.evaluation.stream import PredictionBatch
from seatrial.models.checkpoint import load_checkpoint, read_stored
from seatrial.recipes import load_recipe
from seatrial.store.files import hash_bytes, hash_value
from seatrial.train.checkpoint.snapshot import Snapshot, read_snapshot, save_snapshot
from seatrial.train.checkpoint.train_state import TrainState
from tiny_trial import TinyTrial

QUICK, ALL, AT_A_TIME = 10, 1000, 50
MEMORY = 8 << 30
MENTIONED = ("damaged", "checksum", "altered", "is not whole", "cut off", "left out; run it again", "unknown key")
"""Where a report goes on it has one of these, as has its error: also of a key that flips and a verdict left out."""


@dataclass(frozen=True)
class Kind:
    """A kind of stored file."""

    names: tuple[str, ...]
    """Patterns of what is damaged, below the folder that the reader is given."""
    read: Callable[[Path], object]
    """What is read: equal values are the same to everybody."""


def hash_state(state: Mapping[str, torch.Tensor]) -> str:
    return hash_value({key: hash_bytes(value.numpy().tobytes()) for key, value in state.items()})


def read_state(folder: Path) -> object:
    return hash_state(load_checkpoint(folder / "tiny.pth", load_recipe(str(folder / "tiny.toml"))).state)


def read_weights(folder: Path) -> object:
    return hash_value(
        {key: hash_bytes(v.numpy().tobytes()) for key, v in read_stored(folder / "w.safetensors").items()}
    )


def read_pack(folder: Path) -> object:
    listing = read_images(folder / "val.pack", None, 4)
    return hash_value([[image.id, image.label, hash_bytes(image.read())] for image in listing.images])


def make_rows(indices: Sequence[int]) -> PredictionBatch:
    """Predictions that follow from the index alone."""
    rows = np.array(indices, dtype=np.int64)
    logits = (rows[:, None] * 10 + np.arange(6)).astype(np.float32)
    return PredictionBatch(
        indices=rows,
        classes=np.tile(np.arange(6)[::-1][:5], (len(rows), 1)).astype(np.int32),
        scores=logits[:, ::-1][:, :5],
        log_denominators=rows.astype(np.float32),
        distributions=rows % 2 == 0,
        digests=rows.astype(np.uint64) + 1000,
        contents=rows.astype(np.uint64) + 2**63,
        logits=logits,
        width=6,
    )


def read_ledger(folder: Path) -> object:
    """Whether the rows that it still has are right; those that it lost are predicted again."""
    with PredictionLedger(folder / "ledger", "key", 40) as ledger:
        tally, rows = ledger.tally, np.flatnonzero(ledger.tally.predicted)
        if not len(rows):
            return True
        expected, columns = make_rows(rows.tolist()), ("classes", "scores", "log_denominators", "digests", "contents")
        same = all(np.array_equal(getattr(tally, name)[rows], getattr(expected, name)) for name in columns)
        return same and np.array_equal(ledger.read_logits(rows), expected.logits) and not tally.bad


def read_report(folder: Path) -> object:
    """The run as JSON, its verdict again."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run_cli(["report", str(folder / "run"), "--format", "json"])
    return code, said.getvalue()


def read_snapshot_again(folder: Path) -> object:
    snapshot = read_snapshot(folder / "snapshot.pt")
    return snapshot.key, snapshot.seed, hash_state(snapshot.network)


KINDS: Mapping[str, Kind] = {
    "checkpoint (.pth)": Kind(("tiny.pth",), read_state),
    "stored weights": Kind(("w.safetensors",), read_weights),
    "manifest of weights": Kind(("w.safetensors.json",), read_weights),
    "graph": Kind(("model.onnx",), lambda folder: read_graph(folder / "model.onnx").manifest),
    "manifest of a graph": Kind(("model.onnx.json",), lambda folder: read_graph(folder / "model.onnx").manifest),
    "engine": Kind(("engine/*",), lambda folder: read_engine(folder / "engine").manifest),
    "pack": Kind(("val.pack",), read_pack),
    "ledger": Kind(("ledger",), read_ledger),
    "Parquet": Kind(("run/evaluation/*.parquet",), read_report),
    "records": Kind(("run/*.json", "run/evaluation/*.json", "run/bench/*.json", "run/engines/*/*.json"), read_report),
    "snapshot": Kind(("snapshot.pt",), read_snapshot_again),
}


@dataclass(frozen=True)
class Batch:
    """Some flips of one kind."""

    kind: str
    inputs: Path
    folder: Path
    numbers: range


def flip_all(batch: Batch) -> list[str]:
    """What went wrong with the flips of a batch."""
    shutil.copytree(batch.inputs, batch.folder)
    kind = KINDS[batch.kind]
    sound = kind.read(batch.folder)
    paths = sorted(path for name in kind.names for path in batch.folder.glob(name) if path.is_file())
    assert paths and kind.read(batch.folder) == sound
    found = [flip_one(batch, number, paths, sound) for number in batch.numbers]
    return [wrong for wrong in found if wrong]


def flip_one(batch: Batch, number: int, paths: Sequence[Path], sound: object) -> str:
    rng = random.Random(f"{SEED}/{batch.kind}/{number}")
    path = rng.choice(paths)
    data = path.read_bytes()
    at, bit = rng.randrange(len(data)), rng.randrange(8)
    path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
    where = f"{path.relative_to(batch.folder)}, bit {bit} of byte {at} of {len(data)} ({number})"
    try:
        found = KINDS[batch.kind].read(batch.folder)
    except SeatrialError as error:
        return "" if "\n" not in str(error) else f"{where}: several lines: {error}"
    except Exception as error:
        return f"{where}: {type(error).__name__}: {error}"
    finally:
        path.write_bytes(data)
    if found == sound or (KINDS[batch.kind].read is read_report and is_told(found)):
        return ""
    return f"{where}: is read as {str(found)[:300]}"


def is_told(found: Any) -> bool:
    """Whether a command that met damage says so."""
    code, said = found
    return code != 1 and any(word in said for word in MENTIONED)


@pytest.fixture(scope="module")
def simple_inputs(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    for path in (tiny_trial.card, tiny_trial.checkpoint):
        shutil.copy(path, folder)
    return folder


def run_flips(kinds: Sequence[str], count: int, inputs: Path, folder: Path, name: str = "") -> None:
    for kind in kinds:
        batches = [
            Batch(
                kind, inputs, folder / f"{list(KINDS).index(kind)}-{start}", range(start, min(start + AT_A_TIME, count))
            )
            for start in range(0, count, AT_A_TIME)
        ]
        outcomes = run_cases(flip_all, batches, 600, MEMORY)
        failures = [wrong for outcome in outcomes for wrong in (outcome.value or [outcome.problem]) if wrong]
        record_figures(2, name or kind, count, failures, seed=SEED)


@pytest.fixture(scope="module")
def inputs(
    tiny_trial: TinyTrial, tiny_engines: Path, tiny_run: Path, simple_inputs: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    folder = tmp_path_factory.mktemp("all") / "inputs"
    shutil.copytree(simple_inputs, folder)
    shutil.copytree(tiny_run, folder / "run", symlinks=True)
    for path in tiny_engines.glob("model.onnx*"):
        shutil.copy(path, folder)
    shutil.copytree(tiny_engines / "engines" / "openvino", folder / "engine")
    for suffix in ("", ".json"):
        shutil.copy(tiny_run / f"checkpoint.safetensors{suffix}", folder / f"w.safetensors{suffix}")
    labels = ["--labels", str(tiny_trial.labels), "--output", str(folder / "val.pack"), "-q"]
    assert run_cli(["data", "pack", str(tiny_trial.card), str(tiny_trial.images), *labels]) == 0
    with PredictionLedger(folder / "ledger", "key", 40) as ledger:
        for start in range(0, 40, 8):
            ledger.add([make_rows(range(start, start + 8))], 1.0)
    network = {"w": torch.arange(2000.0), "n": torch.tensor(3)}
    state = TrainState(epoch=1, step=5)
    save_snapshot(folder, Snapshot("key", 7, network, None, {"state": {}}, {"scale": 2.0}, state))
    return folder


def test_a_flipped_bit_of_a_sample_is_noticed(simple_inputs: Path, tmp_path: Path) -> None:
    run_flips(["checkpoint (.pth)"], QUICK, simple_inputs, tmp_path, "sample")


@pytest.mark.battery
@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_is_noticed_or_harmless(kind: str, inputs: Path, tmp_path: Path) -> None:
    run_flips([kind], ALL, inputs, tmp_path)
