"""Doubts that say the same of several batch sizes are said once, and no number is lost from its range."""

from run_folder import MACHINE, make_point
from seatrial.bench.spread import find_doubts
from seatrial.machine.conditions import Conditions
from seatrial.report.doubts import merge_doubts
from seatrial.store.measurement import Point


def test_the_same_doubt_about_several_batches_is_said_once() -> None:
    doubts = [
        "something else used 50% of the processors",
        "batch 1: samples scatter by 7% of their mean (over 5% is noisy)",
        "batch 4: 10 samples are too few to state a 99th percentile, which takes 459",
        "batch 8: samples scatter by 46.5% of their mean (over 5% is noisy)",
        "batch 16: samples scatter by 12% of their mean (over 5% is noisy)",
    ]
    assert merge_doubts(doubts) == [
        "something else used 50% of the processors",
        "batch 1, 8, 16: samples scatter by 7 to 46.5% of their mean (over 5% is noisy)",
        "batch 4: 10 samples are too few to state a 99th percentile, which takes 459",
    ]


def test_without_doubts_there_is_nothing_to_say() -> None:
    assert merge_doubts([]) == []


def test_a_hash_sign_is_no_gap() -> None:
    assert merge_doubts(["batch 1: run 3 of #7", "batch 2: run 4 of #7"]) == ["batch 1, 2: run 3 to 4 of #7"]


def test_streams_and_scopes_stay_apart() -> None:
    doubts = ["batch 1 on 2 streams: noisy", "batch 4 on 2 streams: noisy", "batch 4, scope e2e: noisy", "noisy"]
    assert merge_doubts(doubts) == ["batch 1, 4 on 2 streams: noisy", "batch 4, scope e2e: noisy", "noisy"]


def test_ranges_of_what_processes_and_padding_say_can_be_read() -> None:
    def measure(batch_size: int, *ms: float) -> list[Point]:
        return [make_point(batch_size, (each,) * 500) for each in ms]

    environment, conditions = MACHINE, Conditions(busy=0.0, swap_bytes=0)
    doubts = find_doubts([*measure(1, 10, 11), *measure(8, 30, 36)], environment, conditions)
    assert merge_doubts(doubts) == [
        "batch 1, 8: its 2 processes disagree by 10 to 20% (fastest median 10 to 30 ms, slowest 11 to 36 ms): "
        "a single one of them proves little"
    ]
