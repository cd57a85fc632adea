"""A doubt counts where it could change a conclusion, and only there."""

import dataclasses
from pathlib import Path

import pytest

from run_folder import BF16, MACHINE, ORT, TORCH, Ship, Trial, build_run, write_verdict
from seatrial.report.doubt_tables import make_doubts, write_doubts
from seatrial.report.stakes import list_conclusions, weigh_doubts
from seatrial.results.run_folder import read_run
from seatrial.store.measurement import Measurement
from seatrial.store.records import AccuracyRecord, CheckpointManifest, GateResult

ONE = "batch 1: measured in one process, so the interval leaves out how much processes differ"
NOISY = "batch 1: samples scatter by 7% of their mean (standard deviation; over 5% is noisy)"


def make_ship(ship: Ship, ms: float, *doubts: str) -> Ship:
    """A ship that takes exactly so long, in two processes: its interval is a point."""
    return dataclasses.replace(ship, batch_ms={1: (ms,) * 4}, doubts=doubts)


def find_changes(folder: Path, *ships: Ship) -> list[str]:
    return list_conclusions(weigh_doubts(read_run(build_run(folder, Trial(ships=ships)))))


def test_a_doubt_far_from_any_other_rate_changes_nothing(tmp_path: Path) -> None:
    # 14 % either way of both, as sides of a right angle: 21 % in the logarithm, 24 % in the ratio.
    assert find_changes(tmp_path, make_ship(TORCH, 12.5, ONE), make_ship(ORT, 10.0, ONE)) == []
    run = read_run(tmp_path)
    assert write_doubts(run) == "None of the doubts about these figures could change the verdict or a ranking."
    grave, mild = make_doubts(run)
    assert grave.rows == () and mild.fold == "1 doubt that changes no conclusion"
    assert mild.rows[0][2] == "torch and onnxruntime at batch 1"


def test_a_doubt_about_two_near_rates_could_swap_them(tmp_path: Path) -> None:
    changes = find_changes(tmp_path, make_ship(TORCH, 12.3, ONE), make_ship(ORT, 10.0, ONE))
    assert changes == ["which engine is the fastest", "the ranking of torch and onnxruntime at batch 1"]
    assert write_doubts(read_run(tmp_path)) == (
        "1 doubt could change which engine is the fastest and the ranking of torch and onnxruntime at batch 1: "
        "see Doubts."
    )


def test_the_reach_of_one_doubted_rate_alone(tmp_path: Path) -> None:
    # −log(1 − 0.14) is 15.1 %, so 10.0 ms and 11.7 ms (15.7 %) stay apart and 11.6 ms (14.8 %) does not.
    assert find_changes(tmp_path / "apart", make_ship(TORCH, 11.7, ONE), make_ship(ORT, 10.0)) == []
    assert find_changes(tmp_path / "near", make_ship(TORCH, 11.6, ONE), make_ship(ORT, 10.0)) != []


def test_scatter_is_in_the_interval_already(tmp_path: Path) -> None:
    assert find_changes(tmp_path / "a", make_ship(TORCH, 10.2, NOISY), make_ship(ORT, 10.0)) == []
    wide = dataclasses.replace(ORT, batch_ms={1: (9.0, 11.0, 9.0, 11.0)}, doubts=(NOISY,))
    assert find_changes(tmp_path / "b", make_ship(TORCH, 10.2), wide) != []


def test_other_work_only_hides_speed(tmp_path: Path) -> None:
    busy = "batch 1: other processes used 40% of the processors while it was measured"
    # The slower one may be 1.67 times as fast; the faster one can only be faster still.
    assert find_changes(tmp_path / "a", make_ship(TORCH, 15.0, busy), make_ship(ORT, 10.0)) != []
    assert find_changes(tmp_path / "b", make_ship(TORCH, 15.0), make_ship(ORT, 10.0, busy)) == []


def test_too_few_samples_for_a_percentile_never_count(tmp_path: Path) -> None:
    few = "batch 1: 10 samples are too few to state a 99th percentile, which takes 459"
    assert find_changes(tmp_path, make_ship(TORCH, 10.0, few), make_ship(ORT, 10.0, few)) == []


def test_many_rankings_are_counted(tmp_path: Path) -> None:
    ships = [make_ship(dataclasses.replace(ORT, name=f"engine-{n}"), 10.0 + n / 100, ONE) for n in range(4)]
    assert find_changes(tmp_path, *ships) == [
        "which engine is the fastest",
        "6 rankings, such as the ranking of engine-0 and engine-1 at batch 1",
    ]


def test_what_no_kind_knows_counts(tmp_path: Path) -> None:
    assert find_changes(tmp_path, make_ship(TORCH, 100.0, "it is a mystery"), make_ship(ORT, 1.0)) != []


@pytest.mark.parametrize(("left", "touched"), [("120", True), ("190", False)])
def test_a_speed_gate_that_the_doubt_could_turn(tmp_path: Path, left: str, touched: bool) -> None:
    build_run(tmp_path, Trial(ships=(make_ship(TORCH, 100.0), make_ship(BF16, 8.0, ONE))))
    text = "best(openvino-bf16) >= 11 * best(torch)"
    gate = GateResult(gate="speed", engine="", outcome="PASS", kind="speed", reason=f"{text}: {left} against 110")
    write_verdict(tmp_path, [gate])
    changes = list_conclusions(weigh_doubts(read_run(tmp_path)))
    assert changes == ([f"the speed gate {text}"] if touched else [])


def test_accuracies_that_do_not_compare_touch_the_verdict(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH, ORT)))
    path = tmp_path / "evaluation" / "onnxruntime.json"
    AccuracyRecord.load(path).model_copy(update={"preprocess_hash": "0" * 64}).save(path)
    assert list_conclusions(weigh_doubts(read_run(tmp_path))) == ["the verdict on onnxruntime"]


def test_other_weights_touch_only_a_gate_on_the_published_accuracy(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH, ORT)))
    path = tmp_path / "checkpoint.safetensors.json"
    CheckpointManifest.load(path).model_copy(update={"published": False}).save(path)
    assert list_conclusions(weigh_doubts(read_run(tmp_path))) == []
    gate = GateResult(gate="at_least_published", engine="torch", outcome="PASS", kind="accuracy", reason="above")
    write_verdict(tmp_path, [gate])
    assert list_conclusions(weigh_doubts(read_run(tmp_path))) == ["the gate on the published accuracy"]


def test_speeds_of_two_machines_are_never_ranked(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(make_ship(TORCH, 100.0), make_ship(ORT, 1.0))))
    path = tmp_path / "bench" / "onnxruntime.json"
    other = MACHINE.model_copy(update={"cpu": "another"})
    Measurement.load(path).model_copy(update={"environment": other}).save(path)
    assert "which engine is the fastest" in list_conclusions(weigh_doubts(read_run(tmp_path)))
