import threading
from typing import Any

from seatrial.bench.loadgen.batcher import Batcher


def test_what_waits_goes_out_in_full_batches() -> None:
    answered: list[list[Any]] = []
    batcher = Batcher(answered.append, batch_size=4, streams=1, wait_s=0)
    batcher.put(range(10))
    batcher.close()
    assert answered == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_batch_waits_until_it_is_full() -> None:
    answered: list[list[Any]] = []
    full = threading.Event()

    def answer(samples: list[Any]) -> None:
        answered.append(samples)
        full.set()

    batcher = Batcher(answer, batch_size=4, streams=2, wait_s=3600)
    for sample in range(4):
        batcher.put([sample])
    assert full.wait(30)
    assert answered == [[0, 1, 2, 3]]
    batcher.put([4])
    batcher.close()
    assert answered[1:] == [[4]]


def test_a_batch_that_does_not_fill_goes_out() -> None:
    answered: list[list[Any]] = []
    out = threading.Event()

    def answer(samples: list[Any]) -> None:
        answered.append(samples)
        out.set()

    batcher = Batcher(answer, batch_size=4, streams=1, wait_s=0.001)
    batcher.put("a")
    assert out.wait(30)
    batcher.close()
    assert answered == [["a"]]


def test_streams_run_side_by_side() -> None:
    meeting = threading.Barrier(3)
    batcher = Batcher(lambda samples: meeting.wait(30), batch_size=1, streams=3, wait_s=0)
    batcher.put(range(3))
    batcher.close()
    assert not meeting.broken
