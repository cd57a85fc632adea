import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from run_folder import INT8, TORCH, Trial, build_run
from seatrial.cli import run_cli
from seatrial.store.files import hash_file
from seatrial.store.predictions import Predictions, write_parts
from seatrial.store.records import AccuracyRecord

IMAGES = 400


def save(path: Path, wrong: int, scale: float = 1.0, images: int = IMAGES) -> None:
    """Predictions whose first answers are wrong, the rest right."""
    labels = np.arange(images, dtype=np.int32) % 10
    first = np.where(np.arange(images) < wrong, labels + 10, labels)
    scores = np.full((images, 2), scale, dtype=np.float32) - np.array([0, 1], dtype=np.float32)
    ids = tuple(f"image_{row:03d}.png" for row in range(images))
    second = np.where(first == labels, labels + 10, labels)
    Predictions(ids, labels, np.stack([first, second], axis=1).astype(np.int32), scores).save(path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reference that is always right and an engine that loses 12 of 400, in the current folder."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "torch.parquet", 0)
    save(tmp_path / "int8.parquet", 12, scale=1.25)
    return tmp_path


def run_line(line: str) -> int:
    return run_cli(line.split())


def test_it_tells_what_flipped_and_where(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("compare torch.parquet int8.parquet --limit 3") == 0
    accuracy, difference, classes, images = capsys.readouterr().out.split("\n\n")
    assert accuracy.splitlines()[0].split() == ["400", "images", "torch", "int8"]
    assert accuracy.splitlines()[1] == "top-1            100.00% (99.05 to 100.00)    97.00% (94.83 to 98.28)"
    assert "int8 against torch: drop 3.00 points (1.74 to 4.82)" in difference
    assert "12 lost, 0 gained, 12 predictions changed (3.0%); McNemar's p 0.00049" in difference
    assert "400 of 400 best scores differ, most that of image_000.png: 1.25 against 1 (by 0.25)" in difference
    assert classes.splitlines()[2].split() == ["0", "40", "100.0%", "95.0%", "2", "0"]
    assert classes.splitlines()[-1] == "… and 7 more classes: see --limit and --json"
    assert images.splitlines()[2].split() == ["image_000.png", "0", "0", "10", "lost"]
    assert images.splitlines()[-1] == "… and 9 more images: see --limit and --json"


HOSTILE = ("a\nb", "\x1b[31mred", "\u202eevil", "猫, 'tabby' \"cat\"", "x" * 500)


def test_it_names_the_classes_that_changed_and_no_name_breaks_a_line(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [HOSTILE[place] if place < len(HOSTILE) else f"name {place}" for place in range(20)]
    for name in ("torch", "int8"):
        write_parts(here / f"{name}.parquet", [Predictions.load(here / f"{name}.parquet")], names)
    assert run_line("compare torch.parquet int8.parquet --limit 5") == 0
    _, _, classes, images = capsys.readouterr().out.split("\n\n")
    assert "\x1b" not in classes + images and "\u202e" not in classes + images
    shown = [line.split("  ")[0] for line in classes.splitlines()[2:7]]
    assert shown == ["0 a\\nb", "1 \\x1b[31mred", "2 \\u202eevil", "3 猫, 'tabby' \"cat\"", f"4 {'x' * 59}…"]
    # The columns after a name begin at one place, counted as a terminal does.
    assert len({cell_len(line) for line in classes.splitlines()[2:7]}) == 1
    assert re.split(r" {2,}", images.splitlines()[2]) == ["image_000.png", "0 a\\nb", "0 a\\nb", "10 name 10", "lost"]


@pytest.mark.parametrize(("gate", "code", "outcome"), [("9", 0, "PASS"), ("1", 3, "FAIL"), ("3.5", 7, "INCONCLUSIVE")])
def test_a_gate_decides_the_exit_code(
    gate: str, code: int, outcome: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(f"compare torch.parquet int8.parquet --gate-pp {gate}") == code
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith(f"{outcome}: top-1 fell 3.00 points against torch") and f"the gate is {gate}" in told
    assert ("more images would settle it" in told) == (code == 7)


def test_json_holds_everything(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("compare torch.parquet int8.parquet --limit 1 --gate-pp 1 --json") == 3
    told = json.loads(capsys.readouterr().out)
    assert [flip["id"] for flip in told["flips"]] == [f"image_{row:03d}.png" for row in range(12)]
    assert len(told["classes"]) == 10
    assert (told["versus"]["lost"], told["versus"]["doubts"], told["gate"]["outcome"]) == (12, [], "FAIL")
    assert [a["hits"] for a in told["accuracies"]] == [[400, 400], [388, 400]]
    assert told["scores"] == {"id": "image_000.png", "reference": 1.0, "score": 1.25, "images": 400}


def test_one_file_is_judged_by_other_labels(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"image_{row:03d}.png {row % 10 + 10 * (row < 6)}\n" for row in range(IMAGES)]
    (here / "real.txt").write_text("".join(lines) + "image_999.png 3\n")
    assert run_line("compare int8.parquet --labels real.txt --json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["accuracies"][0]["hits"] == [394, 400]
    assert "images of real.txt that are not in int8.parquet: 1\n" in printed.err
    assert run_line("compare int8.parquet") == 0
    assert "97.00%" in capsys.readouterr().out
    (here / "real.txt").write_text("image_999.png 3\n")
    assert run_line("compare int8.parquet --labels real.txt") == 6


def test_the_same_predictions_differ_in_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("compare torch.parquet torch.parquet --gate-pp 1") == 0
    told = capsys.readouterr().out
    assert "0 lost, 0 gained, 0 predictions changed (0.0%); McNemar's p 1\nall best scores are the same\n" in told
    assert "classes" not in told


def test_other_images_cannot_be_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(here / "fewer.parquet", 0, images=399)
    assert run_line("compare torch.parquet fewer.parquet") == 7
    assert "different images (1 only in the first, 0 only in the second)" in capsys.readouterr().err
    save(here / "none.parquet", 0, images=0)
    assert run_line("compare none.parquet") == 8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("compare") / "trial", Trial(ships=(TORCH, INT8)))


def test_what_else_differs_is_doubted(run: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("torch", "int8"):
        record = AccuracyRecord.load(run / "evaluation" / "torch.json")
        changed = {
            "predictions": f"{name}.parquet",
            "predictions_sha256": hash_file(here / f"{name}.parquet"),
            "preprocess_hash": f"of {name}",
        }
        record.model_copy(update=changed).save(here / f"{name}.json")
    assert run_line("compare torch.parquet int8.parquet") == 0
    doubt = "doubt: torch: its preprocessing differs, so the drop may not be the engine's\n"
    assert doubt in capsys.readouterr().out
    record.model_copy(update={"predictions": "other.parquet"}).save(here / "int8.json")
    assert run_line("compare torch.parquet int8.parquet") == 0
    assert "doubt" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "code", "told"),
    [
        ("trial", 2, "torch.parquet is predictions and trial a run; compare takes inputs of one kind"),
        ("trial/evaluation", 2, "trial/evaluation is a folder without run.json; compare takes predictions"),
        ("trial/evaluation/torch.json", 2, "and trial/evaluation/torch.json an accuracy record; compare takes inputs"),
        ("trial/bench/torch.json", 2, "and trial/bench/torch.json a speed record; compare takes inputs"),
        ("trial/engines/torch", 2, "trial/engines/torch is an engine folder; compare records of"),
        ("trial/run.json", 2, "trial/run.json is a seatrial/run/1; compare takes predictions"),
        ("words.txt", 2, "words.txt is no record; compare takes predictions"),
        ("list.json", 2, "list.json is a JSON without a schema; compare takes"),
        ("half.json", 8, "half.json is damaged"),
        ("nothing.parquet", 2, "nothing.parquet does not exist; compare takes"),
        ("cut.parquet", 8, "cut.parquet is no file of predictions"),
    ],
)
def test_what_else_lies_there_is_named(
    path: str, code: int, told: str, run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "trial").symlink_to(run)
    (here / "words.txt").write_text("a few words\n")
    (here / "list.json").write_text("{}")
    (here / "half.json").write_text('{"schema": ')
    (here / "cut.parquet").write_bytes((here / "torch.parquet").read_bytes()[:-9])
    assert run_line(f"compare torch.parquet {path}") == code
    assert told in capsys.readouterr().err


def test_accuracy_records_lead_to_their_predictions(run: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [run / "evaluation" / f"{name}.json" for name in ("torch", "openvino-int8")]
    assert run_line(f"compare {records[0]} {records[1]} --gate-pp 1") == 3
    assert "openvino-int8 against torch: drop" in capsys.readouterr().out
    shutil.copytree(run / "evaluation", here / "moved")
    save(here / "moved" / "torch.parquet", 3)
    assert run_line("compare moved/torch.json") == 8
    assert "moved/torch.parquet is altered or cut off; evaluate again" in capsys.readouterr().err
    assert run_line("compare moved/torch.parquet") == 8
    assert "torch.parquet does not match its record torch.json: checksum mismatch" in capsys.readouterr().err
    (here / "moved" / "torch.parquet").unlink()
    assert run_line("compare moved/torch.json") == 2


@pytest.mark.parametrize("option", ["--baseline torch", "--allow scope", "--max-slower-pct 3", "--format markdown"])
def test_an_option_that_means_nothing_to_predictions_is_an_error(
    option: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(f"compare torch.parquet int8.parquet {option}") == 2
    assert f"{option.split()[0]} does not apply to predictions; these do: --gate --gate-pp" in capsys.readouterr().err


def test_a_gate_needs_a_reference_and_three_are_too_many(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("compare int8.parquet --gate-pp 1") == 2
    assert "give the reference's predictions first" in capsys.readouterr().err
    assert run_line("compare torch.parquet int8.parquet int8.parquet") == 2
    assert "takes one or two files of predictions, not 3" in capsys.readouterr().err
    assert run_line("compare") == 2
