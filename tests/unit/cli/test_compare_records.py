"""`seatrial compare` of records of speed."""

import json
import re
from pathlib import Path

import pytest

from imported_logs import make_imported
from run_folder import BF16, MACHINE, ORT, TORCH, Trial, build_run
from seatrial.cli import run_cli
from seatrial.store.measurement import Measurement


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of torch at 20 images/s, onnxruntime at 33 and openvino-bf16 at 125 and 160."""
    folder = tmp_path_factory.mktemp("records") / "run"
    return build_run(folder, Trial(ships=(TORCH, ORT, BF16))) / "bench"


@pytest.fixture
def guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SPNASNet-100 guide's figures at three batch sizes, the 310's those of one chip of four."""
    monkeypatch.chdir(tmp_path)
    chip = {("device", 1): 678.142, ("device", 16): 1418.95, ("device", 64): 1262.87}
    card = {("device", 1): 1743.58, ("device", 8): 7196.11, ("device", 64): 4873.73}
    gpu = {("host", 1): 1766.07, ("host", 16): 4347.904, ("host", 64): 2299.0784}
    make_imported("310", chip, tool="benchmark", chips_per_card=4).save(tmp_path / "310.json")
    make_imported("310P", card, tool="ais_bench", chips_per_card=1).save(tmp_path / "310P.json")
    make_imported("T4", gpu).save(tmp_path / "T4.json")
    return tmp_path


def run_line(line: str, *words: str) -> int:
    return run_cli([*line.split(), *words])


def test_records_stand_side_by_side(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(f"compare {bench}/torch.json {bench}/onnxruntime.json") == 0
    table, told = capsys.readouterr().out.split("\n\n")
    header, first, _, best = table.splitlines()
    assert header.split() == ["batch", "torch", "onnxruntime", "onnxruntime/torch"]
    assert re.fullmatch(r"1 +20\.00 \([\d.]+ to [\d.]+\) +33\.33 \(.+\) +1\.667 \(.+\)", first)
    assert best.split()[0] == "best"
    assert "onnxruntime is 1.667 × torch, each at its best batch size\n" in told
    assert "torch: torch on cpu, fp32\n" in told
    assert "note: images/s with 95 % intervals, scope host: array in to logits out, with the copies" in told


def test_precisions_are_not_mixed_unasked(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = f"{bench}/torch.json {bench}/openvino-bf16.json"
    assert run_line(f"compare {records}") == 7
    error = capsys.readouterr().err
    assert "not comparable: precision: fp32 (torch), bf16 (openvino-bf16); --allow precision compares them" in error
    for layout in ("table", "guide", "markdown"):
        assert run_line(f"compare {records} --allow precision --format {layout}") == 0
        told = capsys.readouterr().out
        assert "not alike, but allowed: precision: fp32 (torch), bf16 (openvino-bf16)" in told
        assert "doubt: openvino-bf16: the first half of the samples is 6 % faster than the second" in told
    assert run_line(f"compare {records} --allow sharpness") == 2


def test_another_machine_is_refused(bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = Measurement.load(bench / "torch.json")
    slow = MACHINE.model_copy(update={"clock_mhz": 2000})
    record.model_copy(update={"environment": slow.model_copy(update={"cores": 4})}).save(tmp_path / "torch.json")
    assert run_line(f"compare {bench}/torch.json {tmp_path}/torch.json") == 7
    error = capsys.readouterr().err
    assert "machine: Intel(R) Xeon(R) Platinum 8488C, 2 cores" in error and "4 cores" in error
    assert "(test_another_machine_is_refuse0/torch)" in error, "two of one name are called by where they lie"


def test_a_guides_table_is_written(guide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("compare 310.json 310P.json T4.json --baseline 310,T4 --format guide") == 7
    assert "scope: device (310, 310P), host (T4); --allow scope" in capsys.readouterr().err
    assert run_line("compare 310.json 310P.json T4.json --baseline 310,T4 --format guide --allow scope") == 0
    table, told = capsys.readouterr().out.split("\n\n")
    assert table.splitlines() == [
        "|           | 310      | 310P    | T4        | 310P/310    | 310P/T4     |",
        "| --------- | -------- | ------- | --------- | ----------- | ----------- |",
        "| bs1       | 2712.568 | 1743.58 | 1766.07   | 0.642778356 | 0.98726551  |",
        "| bs8       |          | 7196.11 |           |             |             |",
        "| bs16      | 5675.8   |         | 4347.904  |             |             |",
        "| bs64      | 5051.48  | 4873.73 | 2299.0784 | 0.964812293 | 2.119862463 |",
        "| 最优batch | 5675.8   | 7196.11 | 4347.904  | 1.267858275 | 1.655075641 |",
    ]
    assert "- 310P is 1.268 × 310, each at its best batch size; but slower at batch 1 (0.643), 64 (0.965)" in told
    assert "- note: not alike, but allowed: scope: device (310, 310P), host (T4)" in told


@pytest.mark.parametrize(
    ("gate", "code", "told"),
    [
        ("best(310P) >= 1.2 * best(310)", 0, "PASS: best(310P) >= 1.2 * best(310): 7196.1 against 6811; it would fail"),
        ("best(310P) >= 1.3 * best(310)", 4, "FAIL: best(310P) >= 1.3 * best(310): 7196.1 against 7378.5"),
        ("at(310P, 16) > 1", 7, "INCONCLUSIVE: at(310P, 16) > 1: '310P' was not measured at batch 16"),
    ],
)
def test_gates_decide_the_exit_code(
    gate: str, code: int, told: str, guide: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line("compare 310.json 310P.json --gate", gate) == code
    assert told in capsys.readouterr().out
    assert run_line("compare 310.json 310P.json --json --gate", gate) == code
    assert json.loads(capsys.readouterr().out)["exit_code"] == code


def test_the_worst_of_several_gates_counts(guide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gates = ("--gate", "best(310) > 1", "--gate", "best(310P) < best(310)")
    assert run_line("compare 310.json 310P.json", *gates) == 4
    assert run_line("compare 310.json 310P.json --gate", "best(310P)") == 2


def test_json_has_full_precision(guide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("compare 310.json 310P.json --json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ratios"][0]["best"]["value"] == 7196.11 / (4 * 1418.95)
    assert told["ratios"][0]["exceptions"] == [1, 64]
    assert [column["images_per_s_of"] for column in told["columns"]] == ["card", "card"]
    assert "outcome" not in told


def test_a_chip_is_shown_on_request(guide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("compare 310.json 310P.json --per chip --baseline 310") == 0
    assert "310P is 5.071 × 310" in capsys.readouterr().out
    record = make_imported("310", {("device", 1): 678.142}, tool="benchmark")
    record.save(guide / "untold.json")
    assert run_line("compare untold.json 310P.json") == 7
    assert "chips: one chip (310), a card (310P); import the log again with --chips-per-card" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("310.json 310.json", "a record is given twice"),
        ("310.json 310P.json --scope e2e", "310 was not measured in scope e2e; take --scope device"),
        ("310.json 310P.json --baseline T5", "--baseline T5 is none of the records"),
        ("310.json --gate-pp 1", "--gate-pp does not apply to speed records; these do: --baseline"),
        ("310.json 310P.json --max-slower-pct 1 --per chip", "--per does not apply to speed records under"),
        ("310.json --max-slower-pct 1", "--max-slower-pct judges two records, not 1"),
        ("310.json 310P.json --max-slower-pct 1 --format guide", "--format guide is for tables of records"),
    ],
)
def test_what_makes_no_sense_is_reported(line: str, told: str, guide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(f"compare {line}") == 2
    assert told in capsys.readouterr().err
