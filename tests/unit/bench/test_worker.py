import errno
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ascend_machine import emulate_ascend
from seatrial.bench import inputs, worker
from seatrial.bench.measure import Limits
from seatrial.bench.spread import doubt_device
from seatrial.bench.worker import Job, read_peak_rss, run_job
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import BatchTooLarge, DataError, EngineError, ExitCode
from seatrial.machine import device_use, energy
from seatrial.store.measurement import DeviceUse
from seatrial.store.records import TensorSpec

QUICK = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=0, min_samples=5)


class FakeSession:
    def __init__(self, fixed: int | None) -> None:
        self.input = TensorSpec(name="image", dtype="uint8", shape=(fixed, 4, 6, 3), layout="NHWC")
        self.batches: list[NDArray[Any]] = []

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        self.batches.append(batch)
        return batch.reshape(len(batch), -1)[:, :3].astype(np.float32)


class FakeEngine:
    """Opens a session fixed to the size that the engine file was built for, and notes how."""

    def __init__(self) -> None:
        self.opened: tuple[str, int | None, int] | None = None
        self.closed = False

    @contextmanager
    def open(
        self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1
    ) -> Iterator[FakeSession]:
        self.opened = (device, batch_size, streams)
        self.session = FakeSession(file.pick(batch_size)[1])
        yield self.session
        self.closed = True


@pytest.fixture(autouse=True)
def small_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "ROTATED_BYTES", 3 * 2 * 4 * 6 * 3)


def test_a_point_is_what_the_clock_measures(write_engine: Callable[..., Path]) -> None:
    folder = write_engine("fake")
    seconds = itertools.count()
    job = Job(file=read_engine(folder), device="npu:1", batch_size=2, limits=QUICK, check=False)
    engine = FakeEngine()
    point = run_job(job, engine, clock=lambda: float(next(seconds)))
    assert engine.opened == ("npu:1", 2, 1)
    assert engine.closed
    assert (point.batch_size, point.streams, point.load_s, point.first_inference_ms) == (2, 1, 1.0, 1000.0)
    assert point.durations_ms == (1000.0,) * 5
    assert point.starts_s == (0.0, 2.0, 4.0, 6.0, 8.0)
    # The first inference, and the one run that spends a budget of no time.
    assert point.warmup == 2
    assert not point.steady


def test_inputs_rotate(write_engine: Callable[..., Path]) -> None:
    folder = write_engine("fake")
    engine = FakeEngine()
    run_job(Job(file=read_engine(folder), device="cpu", batch_size=2, limits=QUICK, check=False), engine)
    first, *ran = engine.session.batches
    assert [batch is ran[i % 3] for i, batch in enumerate(ran)] == [True] * 6
    assert len({batch.tobytes() for batch in ran}) == 3
    assert first is ran[2]


def test_a_smaller_batch_is_padded_to_the_files(write_engine: Callable[..., Path]) -> None:
    folder = write_engine("fake", sizes=(1, 4))
    engine = FakeEngine()
    run_job(Job(file=read_engine(folder), device="cpu", batch_size=3, limits=QUICK), engine)
    assert {len(batch) for batch in engine.session.batches} == {4}


def test_untimed_runs_and_pairs_stand_around_the_timed_ones(write_engine: Callable[..., Path]) -> None:
    folder = write_engine("fake")
    engine = FakeEngine()
    point = run_job(Job(file=read_engine(folder), device="cpu", batch_size=2, limits=QUICK), engine)
    # First, two references run twice, one of warm-up, five timed, two and then three pairs with the repeated batch.
    assert len(engine.session.batches) == 1 + 4 + 1 + 5 + 2 + 6
    rotated = {batch.tobytes() for batch in engine.session.batches[:11]}
    pairs = [batch.tobytes() for batch in engine.session.batches[11:]]
    repeated = pairs[0]
    assert len(rotated) == 3 and not rotated & set(pairs)
    assert sorted(pairs.count(batch) for batch in set(pairs)) == [1, 1, 1, 5] and pairs.count(repeated) == 5
    assert (len(point.fresh_ms), len(point.repeated_ms)) == (3, 3)
    assert point.outputs_checked in (3, 4), "of five timed runs over three inputs, two of them known"
    assert (point.outputs_error, point.others_busy) == (0.0, None)


def test_every_stream_gives_samples(write_engine: Callable[..., Path]) -> None:
    folder = write_engine("fake")
    engine = FakeEngine()
    job = Job(file=read_engine(folder), device="cpu", batch_size=1, streams=3, limits=QUICK)
    point = run_job(job, engine)
    assert engine.opened == ("cpu", 1, 3)
    assert point.streams == 3
    assert len(point.durations_ms) == len(point.starts_s) >= 5


def test_given_images_are_fed(write_engine: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_engine("fake")
    np.save(tmp_path / "images.npy", np.full((5, 4, 6, 3), 77, dtype=np.uint8))
    engine = FakeEngine()
    job = Job(
        file=read_engine(folder), device="cpu", batch_size=2, images=tmp_path / "images.npy", limits=QUICK, check=False
    )
    run_job(job, engine)
    assert all((batch == 77).all() for batch in engine.session.batches)
    with pytest.raises(DataError, match="cannot be read"):
        run_job(job.model_copy(update={"images": tmp_path / "none.npy"}), FakeEngine())


def test_peak_memory_includes_what_is_used_now() -> None:
    held = bytearray(b"x") * (64 * 2**20)
    assert read_peak_rss() >= len(held)


class OutOfMemoryError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
        # onnxruntime's exceptions are no RuntimeErrors.
        Exception("Failed to allocate memory for requested buffer of size 4096"),
        RuntimeError("CUDA error: out of memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_a_batch_that_does_not_fit_is_named(error: Exception) -> None:
    words = "batch 4096 does not fit into memory on cpu; take a smaller --batch-size"
    with pytest.raises(BatchTooLarge, match=words) as raised, worker.explain_memory(4096, "cpu"):
        raise error
    assert raised.value.exit_code == ExitCode.STORAGE


def test_a_worker_names_the_batch(write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker, "run_job", run)
    monkeypatch.setattr(worker, "get_engine", lambda name: None)
    job = Job(file=read_engine(write_engine("fake")), device="cpu", batch_size=7)
    with pytest.raises(EngineError, match="batch 7 does not fit into memory on cpu"):
        worker.measure_job(job.model_dump(by_alias=True))


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: an illegal memory access was encountered; CUDA out of memory",
        "unsupported memory format option ChannelsLast",
        "the allocator is closed",
        "memory is shared with another tensor",
        "shapes differ",
    ],
)
def test_another_runtime_error_stays_what_it_is(words: str) -> None:
    with pytest.raises(RuntimeError, match="^" + words[:20]), worker.explain_memory(4, "cuda:0"):
        raise RuntimeError(words)


def test_the_device_is_looked_at_before_loading_and_after_closing(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, looks = FakeEngine(), []

    def look(device: str) -> DeviceUse:
        looks.append((device, engine.opened, engine.closed))
        return DeviceUse(hidden=len(looks))

    monkeypatch.setattr(worker, "read_device_use", look)
    job = Job(file=read_engine(write_engine("fake")), device="npu:1", batch_size=2, limits=QUICK, check=False)
    point = run_job(job, engine)
    assert looks == [("npu:1", None, False), ("npu:1", ("npu:1", 2, 1), True)]
    assert (point.device_before, point.device_after) == (DeviceUse(hidden=1), DeviceUse(hidden=2))


def test_a_point_on_an_npu_has_what_npu_smi_says_of_it(
    write_engine: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an emulated NPU that something else keeps busy, with a fake engine."""
    monkeypatch.setattr(device_use, "SETTLE_S", 0.0)
    monkeypatch.setattr(energy, "LEAST_S", 0.0)
    job = Job(file=read_engine(write_engine("fake")), device="npu:0", batch_size=2, limits=QUICK, check=False)
    with emulate_ascend(tmp_path, "310P3") as patch:
        patch.setenv("EMULATED_NPU_BUSY", "37")
        point = run_job(job, FakeEngine())
    assert point.device_before is not None and point.device_before.busy == 0.37
    assert any("kept the device 37% busy" in doubt for doubt in doubt_device((point.device_before, point.device_after)))
    (card,) = [read for read in point.energy if read.scope == "NPU card"]
    assert card.joules == pytest.approx(15.8 * card.seconds) and card.images == 2 * len(point.durations_ms)


def test_device_memory_is_read_before_the_self_test_takes_more(
    write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that is not here: its memory grows with loading, and with a run in another batch."""
    used = {"bytes": 100}
    monkeypatch.setattr(worker, "find_gpu", lambda device: SimpleNamespace(used_bytes=lambda: used["bytes"]))
    monkeypatch.setattr(worker, "check_self_test", lambda *_: used.update(bytes=used["bytes"] + 5000))

    class Loading(FakeEngine):
        @contextmanager
        def open(self, *args: Any, **kwargs: Any) -> Iterator[FakeSession]:
            with super().open(*args, **kwargs) as session:
                used["bytes"] += 40
                yield session

    job = Job(file=read_engine(write_engine("fake")), device="cpu", batch_size=2, limits=QUICK, check=False)
    assert run_job(job, Loading()).device_memory_bytes == 40
    assert used["bytes"] == 5140
