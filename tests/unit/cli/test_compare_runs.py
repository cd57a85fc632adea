"""`seatrial compare` of two runs, and of two records of one engine."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from run_folder import BF16, INT8, MACHINE, ORT, TORCH, Ship, Trial, build_run
from sealed import replace_in_record
from seatrial.cli import run_cli
from seatrial.store.measurement import Environment, Measurement
from seatrial.store.records import RunManifest


def steady(ship: Ship, *rates: float) -> Ship:
    """The same engine with so many images/s at batch 1 and 4, in two processes that agree."""
    return replace(ship, batch_ms={size: (1000 * size / rate,) * 4 for size, rate in zip((1, 4), rates, strict=True)})


BEFORE = (steady(TORCH, 20, 20), steady(ORT, 40, 50), BF16)


def make_pair(folder: Path, *after: Ship, **trial: object) -> None:
    build_run(folder / "monday", Trial(ships=BEFORE))
    build_run(folder / "tuesday", Trial(ships=after, **trial))  # type: ignore[arg-type]


def change_environment(run: Path, change: Callable[[Environment], Environment]) -> None:
    manifest = RunManifest.load(run / "run.json")
    manifest.model_copy(update={"environment": change(manifest.environment)}).save(run / "run.json")
    for path in (run / "bench").glob("*.json"):
        record = Measurement.load(path)
        record.model_copy(update={"environment": change(record.environment)}).save(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_line(line: str) -> int:
    return run_cli(line.split())


def test_the_same_again_passes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, *BEFORE[:2])
    assert run_line("compare monday tuesday") == 0
    told = capsys.readouterr().out
    assert told.startswith("tuesday against monday\n\nengine       images  top-1 before")
    assert told.splitlines()[3].split() == [
        "torch",
        "540",
        "95.56%",
        "95.56%",
        "0.00",
        "(−0.55",
        "to",
        "0.55)",
        "0",
        "0",
    ]
    assert "only in monday: openvino-bf16\n" in told
    assert "what else changed" not in told
    assert told.endswith("PASS: tuesday against monday\n")


@pytest.mark.parametrize(
    ("after", "options", "code"),
    [
        (steady(ORT, 36, 50), "", 4),
        (steady(ORT, 39, 50), "", 0),
        (steady(ORT, 36, 50), "--max-slower-pct 15", 0),
        (steady(ORT, 39, 50), "--max-slower-pct 2", 4),
        (replace(steady(ORT, 40, 50), wrong=INT8.wrong), "", 3),
        (replace(steady(ORT, 20, 50), wrong=INT8.wrong), "", 3),
        (replace(steady(ORT, 40, 50), wrong=INT8.wrong), "--gate-pp 9", 0),
        (replace(steady(ORT, 40, 50), wrong=INT8.wrong), "--gate-pp 3.5", 7),
        (replace(ORT, batch_ms={}), "", 7),
    ],
)
def test_what_became_worse_decides_the_exit_code(after: Ship, options: str, code: int, here: Path) -> None:
    make_pair(here, BEFORE[0], after)
    assert run_line(f"compare monday tuesday {options}") == code
    assert run_line(f"compare monday tuesday --json {options}") == code


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("clock: 3000 MHz (monday), 2700 MHz (tuesday)", {"clock_mhz": 2700}),
        ("machine: Intel(R) Xeon(R) Platinum 8488C, 2 cores, 16 GiB", {"cores": 4}),
    ],
)
def test_a_changed_clock_or_machine_is_not_comparable_instead_of_slower(
    what: str, change: dict[str, int], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pair(here, BEFORE[0], steady(ORT, 36, 45))
    for run in (here / "monday", here / "tuesday"):
        change_environment(run, lambda e: e.model_copy(update={"clock_mhz": 3000}))
    change_environment(here / "tuesday", lambda e: e.model_copy(update=change))
    assert run_line("compare monday tuesday") == 7
    told = capsys.readouterr().out
    assert f"INCONCLUSIVE onnxruntime max_slower_pct: not comparable: {what}" in told
    assert "FAIL" not in told
    kind = what.partition(":")[0]
    assert kind in told.partition("what else changed")[2].splitlines()[1]
    for layout in ("table", "markdown"):
        assert run_line(f"compare monday tuesday --allow {kind} --format {layout}") == 4
        assert f"onnxruntime: not alike, but allowed: {kind}: " in capsys.readouterr().out


def test_what_else_changed_is_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, *BEFORE[:2])
    update = {"versions": MACHINE.versions | {"onnxruntime": "1.32.0"}}
    change_environment(here / "tuesday", lambda e: e.model_copy(update=update))
    for path in (here / "tuesday").rglob("*.json"):
        replace_in_record(path, "c" * 64, "0" * 64)
        replace_in_record(path, "e" * 64, "8" * 64)
    assert run_line("compare monday tuesday --format markdown") == 0
    told = capsys.readouterr().out
    assert told.startswith("**PASS**: tuesday against monday\n\n| engine | images |")
    assert f"| weights | {'c' * 12} | {'0' * 12} |\n| graph | {'e' * 12} | {'8' * 12} |" in told
    assert "| onnxruntime | 1.31.0 | 1.32.0 |" in told


def test_another_preprocessing_is_doubted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, *BEFORE[:2])
    for path in (here / "tuesday").rglob("*.json"):
        replace_in_record(path, "f" * 64, "7" * 64)
    assert run_line("compare monday tuesday") == 7
    told = capsys.readouterr().out
    assert "note: onnxruntime: against onnxruntime: its preprocessing differs\n" in told
    assert f"not comparable: preprocess: {'f' * 12} (monday), {'7' * 12} (tuesday)" in told


def test_json_holds_everything(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, BEFORE[0], steady(ORT, 36, 50), INT8)
    assert run_line("compare monday tuesday --json") == 4
    told = json.loads(capsys.readouterr().out)
    assert told["engines"]["onnxruntime"]["speed"]["ratios"]["1"]["value"] == pytest.approx(0.9)
    assert told["engines"]["onnxruntime"]["accuracy"]["versus"]["lost"] == 0
    assert told["only"] == {"monday": ["openvino-bf16"], "tuesday": ["openvino-int8"]}
    assert (told["outcome"], told["exit_code"]) == ("FAIL", 4)


def test_a_batch_size_of_one_run_only_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, BEFORE[0], replace(ORT, batch_ms={4: (20.0,) * 4, 8: (40.0,) * 4, 16: (80.0,) * 4}))
    assert run_line("compare monday tuesday") == 0
    told = capsys.readouterr().out
    assert "note: onnxruntime: batch 1 was measured in monday only\n" in told
    assert "note: onnxruntime: batch 8, 16 were measured in tuesday only\n" in told
    assert run_line("compare monday tuesday --json") == 0
    engines = json.loads(capsys.readouterr().out)["engines"]
    assert engines["onnxruntime"]["speed"]["only"] == {"monday": [1], "tuesday": [8, 16]}
    assert engines["torch"]["speed"]["only"] == {}


@pytest.mark.parametrize(
    "what", ["monday tuesday", "monday/bench/onnxruntime.json tuesday/bench/onnxruntime.json --allow machine"]
)
def test_a_gate_on_a_batch_that_nobody_measured_is_usage(
    what: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pair(here, *BEFORE[:2])
    assert run_cli(["compare", *what.split(), "--gate", "p50_ms(*, 7) <= 5"]) == 2
    assert "batch 7 is not measured; " in capsys.readouterr().err
    assert run_cli(["compare", *what.split(), "--gate", "p50_ms(*, 4) <= 5000"]) == 0


def test_other_images_leave_the_accuracy_open(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, *BEFORE[:2], images=530)
    assert run_line("compare monday tuesday") == 7
    assert "not comparable: monday and tuesday were evaluated on different images" in capsys.readouterr().out


def test_what_one_run_lacks_is_open_and_what_both_lack_is_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pair(here, *BEFORE[:2])
    (here / "tuesday" / "bench" / "torch.json").unlink()
    assert run_line("compare monday tuesday") == 7
    assert "INCONCLUSIVE torch max_slower_pct: tuesday has no speed of it" in capsys.readouterr().out
    (here / "monday" / "bench" / "torch.json").unlink()
    assert run_line("compare monday tuesday") == 0


def test_runs_that_have_nothing_in_common_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, INT8)
    assert run_line("compare monday tuesday") == 7
    told = "monday and tuesday have no engine in common (torch, onnxruntime, openvino-bf16 and openvino-int8)"
    assert told in capsys.readouterr().err
    path = here / "tuesday" / "run.json"
    replace_in_record(path, '"name": "resnet50"', '"name": "resnet18"')
    assert run_line("compare monday tuesday") == 7
    assert "monday is a run of resnet50 and tuesday of resnet18" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("monday", "compare takes two runs, not 1"),
        ("monday monday", "monday and monday are the same run"),
        ("monday tuesday monday", "compare takes two runs, not 3"),
    ],
)
def test_runs_come_in_twos(line: str, told: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, *BEFORE[:2])
    assert run_line(f"compare {line}") == 2
    assert f"{told}; give the earlier first" in capsys.readouterr().err


def test_changed_predictions_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, *BEFORE[:2])
    shutil.copy(here / "monday/evaluation/openvino-bf16.parquet", here / "tuesday/evaluation/onnxruntime.parquet")
    assert run_line("compare monday tuesday") == 8


def test_two_records_of_an_engine_are_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pair(here, BEFORE[0], steady(ORT, 36, 50))
    line = "compare monday/bench/onnxruntime.json tuesday/bench/onnxruntime.json"
    assert run_line(f"{line} --max-slower-pct 5") == 4
    told = capsys.readouterr().out
    assert "FAIL onnxruntime max_slower_pct: images/s against monday/bench/onnxruntime: −10.0 %" in told
    assert run_line(f"{line} --max-slower-pct 20") == 0
    change_environment(here / "tuesday", lambda e: e.model_copy(update={"system": "Linux 6.13"}))
    assert run_line(f"{line} --max-slower-pct 5") == 7
    assert run_line(line) == 7
