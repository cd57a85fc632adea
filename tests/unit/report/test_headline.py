"""The sentences at the top of a report."""

from dataclasses import replace
from pathlib import Path

import pytest

from run_folder import BF16, INT8, ORT, TORCH, Trial, build_run, make_point, write_verdict
from seatrial.report.headline import outcome_of, write_meaning, write_speed
from seatrial.report.headline import write_verdict as say_verdict
from seatrial.results.run_folder import read_run
from seatrial.store.measurement import Measurement
from seatrial.store.records import GateResult


def _gate(engine: str, outcome: str, kind: str = "accuracy") -> GateResult:
    return GateResult.model_validate(
        {"gate": "g", "engine": engine, "outcome": outcome, "kind": kind, "reason": "because"}
    )


def test_pass_names_engines_reference_and_images(tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path))
    assert say_verdict(run) == "PASS: onnxruntime and openvino-bf16 keep the accuracy of torch on 540 images."
    assert write_speed(run) == "The fastest engine is openvino-bf16: 160 images/s at batch size 4, 8.00 × torch."


def test_pass_says_by_how_much_at_the_top(tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path))
    highest = max(record.versus.high_pp for record in run.accuracy.values() if record.versus)
    assert write_meaning(run) == (
        f"Against torch, top-1 falls by at most {highest:.2f} points, with 95 % confidence; the gate is 1 points. "
        "Every gate is met. A gate is a limit that the recipe sets."
    )
    write_verdict(tmp_path, [_gate("torch", "PASS")])
    assert write_meaning(read_run(tmp_path)) == "Every gate is met. A gate is a limit that the recipe sets."
    (tmp_path / "verdict.json").unlink()
    assert write_meaning(read_run(tmp_path)) == "A run is judged when all its stages are done."


def test_fail_names_who_failed_and_who_did_not(tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path, Trial(ships=(TORCH, BF16, INT8))))
    assert say_verdict(run) == (
        "FAIL: openvino-int8 falls short of the required accuracy; openvino-bf16 passes every gate."
    )
    assert outcome_of(run, "openvino-int8") == "FAIL"
    assert write_speed(run).startswith("The fastest engine that does not fail is openvino-bf16: 160 images/s")


def test_inconclusive_says_what_cannot_be_settled(tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path, Trial(ships=(TORCH, ORT, INT8), gate_pp=3.0)))
    assert say_verdict(run) == (
        "INCONCLUSIVE: 540 images cannot settle whether openvino-int8 keeps the accuracy of torch; "
        "onnxruntime passes every gate."
    )


@pytest.mark.parametrize(
    ("gates", "sentence"),
    [
        ([], "INCONCLUSIVE: no gate was judged, which proves nothing."),
        ([("", "PASS", "speed")], "PASS: the required speed is reached."),
        ([("", "FAIL", "speed")], "FAIL: the required speed is not reached."),
        ([("", "INCONCLUSIVE", "speed")], "INCONCLUSIVE: a speed gate could not be judged."),
        ([("torch", "PASS", "accuracy")], "PASS: torch reaches the required accuracy on 540 images."),
        (
            [("torch", "INCONCLUSIVE", "accuracy")],
            "INCONCLUSIVE: 540 images cannot settle whether torch keeps the required accuracy.",
        ),
        (
            [("onnxruntime", "PASS", "accuracy"), ("", "FAIL", "speed"), ("torch", "INCONCLUSIVE", "accuracy")],
            "FAIL: the required speed is not reached; torch is undecided; onnxruntime passes every gate.",
        ),
    ],
)
def test_other_verdicts(tmp_path: Path, gates: list[tuple[str, str, str]], sentence: str) -> None:
    build_run(tmp_path)
    write_verdict(tmp_path, [_gate(*gate) for gate in gates])
    assert say_verdict(read_run(tmp_path)) == sentence


def test_predictions_that_cannot_be_believed_are_not_told_as_too_few_images(tmp_path: Path) -> None:
    build_run(tmp_path)
    doubted = [
        _gate(name, "INCONCLUSIVE").model_copy(update={"gate": "plausible"}) for name in ("torch", "onnxruntime")
    ]
    write_verdict(tmp_path, [*doubted, _gate("onnxruntime", "PASS"), _gate("openvino-bf16", "INCONCLUSIVE")])
    assert say_verdict(read_run(tmp_path)) == (
        "INCONCLUSIVE: the predictions of torch and onnxruntime are not plausible; "
        "540 images cannot settle whether openvino-bf16 keeps the accuracy of torch."
    )


def test_a_fastest_engine_that_chance_may_have_made_is_named_with_its_rivals(tmp_path: Path) -> None:
    build_run(tmp_path)
    path = tmp_path / "bench" / "onnxruntime.json"
    close = (make_point(4, (26.0,)), make_point(4, (28.0,)))
    Measurement.load(path).model_copy(update={"points": close}).save(path)
    said = "Measured as the fastest is openvino-bf16: 160 images/s at batch size 4, 8.00 × torch; "
    assert write_speed(read_run(tmp_path)) == (f"{said}it cannot be told from onnxruntime, as their intervals overlap.")
    write_verdict(tmp_path, [_gate("torch", "FAIL")])
    assert write_speed(read_run(tmp_path)).startswith("Measured as the fastest that does not fail is openvino-bf16: ")


def test_an_int8_engine_that_is_slower_than_its_float_one_is_named(tmp_path: Path) -> None:
    slow = replace(INT8, batch_ms={1: (16.0, 16.2, 15.8, 16.0), 4: (60.0, 61.0)})
    vain = "openvino-int8 is slower than openvino-bf16: int8 gains nothing there."
    assert write_speed(read_run(build_run(tmp_path / "slow", Trial(ships=(TORCH, ORT, BF16, slow))))).endswith(
        f" {vain}"
    )
    assert vain not in write_speed(read_run(build_run(tmp_path / "fast", Trial(ships=(TORCH, ORT, BF16, INT8)))))
    other = replace(slow, engine="onnxruntime", name="onnxruntime-int8")
    said = write_speed(read_run(build_run(tmp_path / "other", Trial(ships=(TORCH, BF16, other)))))
    assert "int8 gains nothing" not in said


def test_a_rate_without_an_interval_is_certain_of_nothing(tmp_path: Path) -> None:
    build_run(tmp_path)
    path = tmp_path / "bench" / "torch.json"
    Measurement.load(path).model_copy(update={"points": (make_point(1, (50.0,)),)}).save(path)
    assert "it cannot be told from torch, as their intervals overlap or are not known." in write_speed(
        read_run(tmp_path)
    )


def test_a_run_without_verdict_is_not_judged(tmp_path: Path) -> None:
    build_run(tmp_path)
    (tmp_path / "verdict.json").unlink()
    run = read_run(tmp_path)
    assert say_verdict(run) == "NOT JUDGED: this run has no verdict."
    assert outcome_of(run, "torch") is None


def test_speed_when_all_fail_or_nothing_was_measured(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH,)))
    write_verdict(tmp_path, [_gate("torch", "FAIL")])
    assert write_speed(read_run(tmp_path)) == "Every engine whose speed was measured fails a gate."
    (tmp_path / "bench" / "torch.json").unlink()
    assert write_speed(read_run(tmp_path)) == "Speed was not measured."
