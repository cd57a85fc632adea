"""Which engines no other certainly beats, and which cannot be told apart."""

from pathlib import Path

import pytest

from run_folder import BF16, INT8, MACHINE, TORCH, Trial, build_run
from seatrial.report.tradeoff import Figure, Rival, find_front, find_ties, list_rivals
from seatrial.results.run_folder import read_run
from seatrial.store.measurement import Measurement
from seatrial.store.records import AccuracyRecord


def make(name: str, accuracy: float, speed: float, half: float = 1.0, first_classes: str = "") -> Rival:
    """An engine whose intervals reach so far to both sides."""
    figures = (Figure(value, value - half, value + half) for value in (accuracy, speed))
    return Rival(name, *figures, first_classes or name)


@pytest.mark.parametrize(
    ("rivals", "front"),
    [
        # Better for certain in both.
        ([make("worse", 80, 10), make("better", 90, 20)], ["better"]),
        # Faster for certain, and as accurate as far as is known.
        ([make("slow", 90, 10), make("fast", 90, 20)], ["slow", "fast"]),
        # Faster for certain, with the same first classes.
        ([make("slow", 90, 10, first_classes="c"), make("fast", 90, 20, first_classes="c")], ["fast"]),
        # One faster, the other more accurate.
        ([make("exact", 90, 10), make("fast", 80, 20)], ["exact", "fast"]),
        # Faster, but not for certain, with the same first classes.
        ([make("a", 90, 10, first_classes="c"), make("b", 90, 11, first_classes="c")], ["a", "b"]),
        # No interval of the speed is known.
        ([Rival("a", Figure(80, 79, 81), Figure(10, 0, float("inf")), "a"), make("b", 90, 20)], ["a", "b"]),
        ([], []),
    ],
)
def test_the_front_is_what_no_other_certainly_beats(rivals: list[Rival], front: list[str]) -> None:
    assert find_front(rivals) == front


def test_ties_are_apart_in_neither_direction() -> None:
    rivals = [make("a", 90, 10), make("b", 91, 11), make("c", 92.5, 11)]
    assert find_ties(rivals) == [("a", "b"), ("b", "c")]


def test_accuracies_carry_the_paired_interval_and_speeds_their_own(tmp_path: Path) -> None:
    torch, bf16, int8 = list_rivals(read_run(build_run(tmp_path, Trial(ships=(TORCH, BF16, INT8)))))
    assert torch.accuracy == Figure(516 / 540, 516 / 540, 516 / 540)
    # 40 lost, 20 gained: 3.70 (1.36 to 6.05) points below the reference.
    assert int8.accuracy.value == pytest.approx(496 / 540)
    assert (int8.accuracy.low, int8.accuracy.high) == (
        pytest.approx(516 / 540 - 0.0605, abs=1e-4),
        pytest.approx(516 / 540 - 0.0136, abs=1e-4),
    )
    assert bf16.speed.value == pytest.approx(160) and bf16.speed.low < 160 < bf16.speed.high


def test_no_accuracy_lies_above_all_images(tmp_path: Path) -> None:
    folder = build_run(tmp_path, Trial(ships=(TORCH, BF16)))
    path = folder / "evaluation" / "openvino-bf16.json"
    record = AccuracyRecord.load(path)
    assert record.versus is not None
    wide = record.versus.model_copy(update={"low_pp": -45.0, "high_pp": 99.0})
    record.model_copy(update={"versus": wide}).save(path)
    found = list_rivals(read_run(folder))[1].accuracy
    assert (found.low, found.high) == (0.0, 1.0)


def test_another_machine_is_no_rival(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH, BF16, INT8)))
    path = tmp_path / "bench" / "openvino-int8.json"
    other = MACHINE.model_copy(update={"cpu": "another"})
    Measurement.load(path).model_copy(update={"environment": other}).save(path)
    assert [rival.name for rival in list_rivals(read_run(tmp_path))] == ["torch", "openvino-bf16"]
