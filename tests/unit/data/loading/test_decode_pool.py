import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from row_filling import fill_group, fill_number
from seatrial.data.loading import decode_pool
from seatrial.data.loading.decode_pool import DecodePool, count_decoders, fill_rows
from seatrial.errors import UsageError


@pytest.mark.parametrize("workers", [1, 4, 5])
def test_rows_are_filled_from_the_first_that_is_said(workers: int) -> None:
    with DecodePool(fill_number, (5, 2), np.int16, 2, workers) as pool:
        pool.buffers[:] = -1
        filled = [pool.fill(1, [7, 1], first=2), pool.fill(1, [8]), pool.fill(0, [1, 9])]
        assert [found.result().bad for found in filled] == [{3: "one is broken"}, {}, {0: "one is broken"}]
        assert pool.buffers[:, :, 0].tolist() == [[0, 9, -1, -1, -1], [8, -1, 7, 0, -1]]
        np.testing.assert_array_equal(pool.buffers[:, :, 0], pool.buffers[:, :, 1])


@pytest.mark.parametrize(("cores", "decoders"), [(1, 2), (2, 4), (3, 4), (4, 4), (5, 5), (96, 96)])
def test_up_to_two_threads_a_core_decode(cores: int, decoders: int) -> None:
    assert count_decoders(cores) == decoders


def test_a_signal_to_the_group_does_not_reach_decoding_processes() -> None:
    """The parent may have to use them before it leaves."""
    with DecodePool(fill_group, (1, 1), np.int64, 1, 5) as pool:
        pool.fill(0, [None]).result()
        assert pool.buffers[0, 0, 0] not in (0, os.getpgrp())


def test_rows_are_filled_without_a_pool_too() -> None:
    rows = np.full((3, 1), -1)
    assert fill_rows(rows, [1, 5], fill_number, first=1).bad == {1: "one is broken"}
    assert rows[:, 0].tolist() == [-1, 0, 5]


def test_buffers_without_room_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(UsageError, match=r"2 batches of 5 images take 0\.0 GiB, and there is no room for them; take a"):
        DecodePool(fill_number, (5, 101), np.uint8, 2, 1)


def test_a_container_without_shared_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_pool.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(64, 0, 1000))  # type: ignore[attr-defined]
    told = r"no room for them in /dev/shm; a container gets more by --shm-size; up to 4 --workers need none"
    with pytest.raises(UsageError, match=told):
        DecodePool(fill_number, (5, 101), np.uint8, 2, 5)
    DecodePool(fill_number, (5, 101), np.uint8, 2, 4).close()


@pytest.mark.parametrize(("workers", "kept"), [(1, [True]), (5, [])])
def test_memory_is_kept_from_one_image_for_the_next(
    workers: int, kept: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the processes `worker_process.start_process` sees to it."""
    states: list[bool] = []

    @contextmanager
    def record() -> Iterator[None]:
        states.append(True)
        yield
        states.append(False)

    monkeypatch.setattr(decode_pool, "kept_heap", record)
    with DecodePool(fill_number, (1, 1), np.int16, 1, workers):
        assert states == kept
    assert states == [*kept, *(not state for state in kept)]
