"""The three scopes, each on a clock that moves by what was done."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seatrial.bench import inputs, timed_work
from seatrial.bench.measure import Limits
from seatrial.bench.timed_work import FileWork
from seatrial.bench.worker import Job, run_job
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines.base import EngineFile, StageTimes, read_engine
from seatrial.errors import DataError, UsageError
from seatrial.store.measurement import Point
from seatrial.store.records import TensorSpec

QUICK = Limits(warmup_runs=2, warmup_s=0, warmup_budget_s=0, duration_s=0, min_samples=5)
Batch = NDArray[Any]


class Session:
    """Takes 10 ms for a batch on its host, or tells 3 ms in, 4 ms and more each time, 2 ms out."""

    def __init__(self, fixed: int | None, dtype: str = "uint8") -> None:
        layout = {"uint8": ((fixed, 4, 6, 3), "NHWC"), "float32": ((fixed, 3, 4, 6), "NCHW")}[dtype]
        self.input = TensorSpec.model_validate(
            {"name": "image", "dtype": dtype, "shape": layout[0], "layout": layout[1]}
        )
        self.now, self.given = 0.0, list[Batch]()

    def clock(self) -> float:
        return self.now

    def run(self, batch: Batch) -> NDArray[np.float32]:
        self.given.append(batch.copy())
        self.now += 0.010
        return batch.reshape(len(batch), -1)[:, :3].astype(np.float32)


class TimedSession(Session):
    def run_timed(self, batch: Batch) -> tuple[NDArray[np.float32], StageTimes]:
        return self.run(batch), StageTimes(3.0, 4.0 + len(self.given), 2.0)


class Engine:
    def __init__(self, session: Session) -> None:
        self.session = session

    @contextmanager
    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> Iterator[Session]:
        yield self.session


@pytest.fixture
def bench(write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Point]:
    monkeypatch.setattr(inputs, "ROTATED_BYTES", 1)
    folder = write_engine("fake")

    def run(session: Session, **fields: Any) -> Point:
        job = Job(file=read_engine(folder), device="npu:0", limits=QUICK, **{"batch_size": 2, "check": False, **fields})
        return run_job(job, Engine(session), session.clock)  # type: ignore[arg-type]

    return run


def test_device_times_are_those_of_the_session(bench: Callable[..., Point]) -> None:
    point = bench(TimedSession(4), scope="device")
    assert point.scope == "device"
    # The first inference and one run of warm-up went before.
    assert point.durations_ms == (7.0, 8.0, 9.0, 10.0, 11.0)
    assert (point.copy_in_ms, point.copy_out_ms) == ((3.0,) * 5, (2.0,) * 5)
    assert np.diff(point.starts_s) == pytest.approx([0.010] * 4)


def test_a_device_batch_is_padded_and_its_pairs_are_device_times(bench: Callable[..., Point]) -> None:
    session = TimedSession(4)
    point = bench(session, scope="device", check=True)
    assert {len(batch) for batch in session.given} == {4}
    assert all(ms == round(ms) and ms > 10 for ms in (*point.fresh_ms, *point.repeated_ms))


def test_host_times_include_the_copies(bench: Callable[..., Point]) -> None:
    point = bench(TimedSession(4))
    assert point.durations_ms == (10.0,) * 5
    assert point.copy_in_ms == point.copy_out_ms == ()


def test_a_session_without_device_times_is_refused_by_name(bench: Callable[..., Point]) -> None:
    with pytest.raises(
        UsageError, match=r"fake does not measure device time .* needs tensorrt, ascend, or torch on cuda:N"
    ):
        bench(Session(None), scope="device")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for level in (10, 90, 170, 250):
        Image.new("RGB", (24, 16), (level, level, level)).save(folder / f"{level}.png")
    return folder


def levels(batch: Batch) -> list[int]:
    return [int(image.flat[0]) for image in batch]


def test_files_go_all_the_way_to_the_ranking(
    bench: Callable[..., Point], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked: list[int] = []
    monkeypatch.setattr(timed_work, "rank_top", lambda logits: ranked.append(len(logits)))
    session = Session(None)
    point = bench(session, scope="e2e", files=photos, batch_size=3)
    assert point.scope == "e2e" and point.durations_ms == (10.0,) * 5
    assert ranked == [3] * 7
    shown = [level for batch in session.given[1:5] for level in levels(batch)]
    assert sorted(shown[:4]) == [10, 90, 170, 250], "every file once before any again"


def test_files_of_a_float_engine_are_finished_on_the_host(bench: Callable[..., Point], photos: Path) -> None:
    session = Session(None, "float32")
    bench(session, scope="e2e", files=photos, batch_size=4)
    assert sorted(float(image.max()) for image in session.given[0]) == pytest.approx(
        [v / 255 for v in (10, 90, 170, 250)]
    )


def test_several_streams_have_buffers_of_their_own(photos: Path, write_engine: Callable[..., Path]) -> None:
    both_in = threading.Barrier(2)
    pipeline = read_pipeline(read_engine(write_engine("fake")).manifest.graph)

    def ask(batch: Batch) -> tuple[NDArray[np.float32], None]:
        both_in.wait(timeout=30)
        return np.array([levels(batch)], dtype=np.float32), None

    files = FileWork(ask, sorted(photos.iterdir()), Session(None).input, pipeline, decode_workers=2)
    work = files.rotate(batch_size=2, streams=2)
    assert work.inputs == 4
    with ThreadPoolExecutor(2) as callers:
        answers = [logits for logits, _ in callers.map(work.run, (0, 1))]
    files.close()
    assert sorted(np.concatenate(answers).ravel()) == [10, 90, 170, 250]


def test_an_empty_folder_and_a_broken_file_are_refused(
    bench: Callable[..., Point], photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="has no images; give scope e2e a folder with --images"):
        bench(Session(None), scope="e2e", files=tmp_path / "none")
    (photos / "90.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"90\.png"):
        bench(Session(None), scope="e2e", files=photos, batch_size=4)
