import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seatrial.cli import run_cli
from seatrial.store.predictions import Predictions

CARD = """
name = "tiny"
title = "Tiny"
preprocess = [
  { step = "resize", size = [8, 8] }, { step = "center_crop", size = [6, 4] },
  { step = "to_float" }, { step = "normalise", mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] },
]
modes.aipp.preprocess = [{ step = "resize", size = [8, 8] }]
[network]
name = "tiny"
classes = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card, thirty white images and their labels in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CARD)
    (tmp_path / "val").mkdir()
    for index in range(30):
        Image.new("RGB", (9, 9), "white").save(tmp_path / "val" / f"a{index:02d}.JPEG", comment=f"{index}")
    (tmp_path / "labels.txt").write_text("".join(f"a{index:02d}.JPEG {index % 3}\n" for index in range(30)))
    return tmp_path


def run_line(line: str) -> int:
    return run_cli(line.split())


def test_preprocess_writes_bins_and_lists_them(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("preprocess tiny.toml val prep --workers 1 --info prep.info") == 0
    assert (here / "prep" / "a07.bin").read_bytes() == np.ones((3, 6, 4), np.float32).tobytes()
    assert (here / "prep.info").read_text().splitlines()[29] == "29 prep/a29.bin 4 6"
    assert "each float32 CHW 3x6x4, 288 bytes" in capsys.readouterr().out
    assert run_line("preprocess tiny.toml val prep --workers 1 --json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["written"], told["kept"], told["file_bytes"]) == (0, 30, 288)


def test_preprocess_has_the_cards_modes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("preprocess tiny.toml val prep --mode aipp --workers 1") == 0
    assert (here / "prep" / "a07.bin").read_bytes() == b"\xff" * 192
    assert run_line("preprocess tiny.toml val prep --workers 1") == 6
    assert run_line("preprocess tiny.toml val other --mode aip") == 2
    assert "did you mean 'aipp'?" in capsys.readouterr().err


def test_preprocess_writes_yuv(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("preprocess tiny.toml val prep --mode aipp --format yuv420sp --workers 1") == 0
    assert (here / "prep" / "a07.bin").read_bytes() == b"\xff" * 64 + b"\x80" * 32
    assert "each uint8 YUV420SP 12x8, 96 bytes" in capsys.readouterr().out
    assert run_line("preprocess tiny.toml val other --format yuv420sp") == 2
    assert "give --mode one of the card's uint8 modes" in capsys.readouterr().err
    assert run_line("preprocess tiny.toml val other --mode aipp --format yuv420") == 2
    assert "did you mean 'yuv420sp'?" in capsys.readouterr().err


def test_preprocess_needs_images(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "none").mkdir()
    assert run_line("preprocess tiny.toml none prep") == 6
    assert capsys.readouterr().err == "seatrial: image folder none holds no images; give a folder of images\n"


def write_predictions(folder: Path, right: int) -> None:
    folder.mkdir()
    for index in range(30):
        label = index % 3 if index < right else (index + 1) % 3
        row = " ".join("2.5" if c == label else "0.5" for c in range(3))
        (folder / f"a{index:02d}_0.txt").write_text(f"{row} \n")


def test_score_writes_the_guides_result(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_predictions(here / "result", 24)
    assert run_line("score result labels.txt out result.json") == 0
    assert json.loads((here / "out" / "result.json").read_text())["value"][2] == {
        "key": "Top1 accuracy", "value": "80.0%",
    }  # fmt: skip
    assert capsys.readouterr().out.split()[-6:] == ["30", "0", "3", "80.00%", "86.67%", "100.00%"]


def test_score_counts_what_is_missing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_predictions(here / "result", 30)
    (here / "result" / "a11_0.txt").unlink()
    assert run_line("score result labels.txt out result.json") == 6
    assert not (here / "out").exists()
    assert "1 of 30 labelled images have no prediction in result, first a11" in capsys.readouterr().err
    assert run_line("score result labels.txt out result.json --allow-partial --json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "images": 29, "classes": 3, "hits": [29, 29, 29], "missing": 1, "foreign": [], "result": "out/result.json",
    }  # fmt: skip


def test_score_refuses_what_is_no_number(here: Path) -> None:
    write_predictions(here / "result", 30)
    (here / "result" / "a11_0.txt").write_text("nan 0 0\n")
    assert run_line("score result labels.txt out result.json") == 3


def test_data_check_leaves_with_6_if_something_is_wrong(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("data check tiny.toml --images val --labels labels.txt --expect 30") == 0
    assert capsys.readouterr().out == "val: 0 errors, 0 warnings\n"
    (here / "val" / "a03.JPEG").unlink()
    assert run_line("data check tiny.toml --images val --labels labels.txt --expect 30") == 6
    assert capsys.readouterr().out == (
        "error: 1 images are labelled but not there\n    a03.JPEG\n"
        "error: there are 29 images, not 30\nval: 2 errors, 0 warnings\n"
    )


def test_data_check_compares_labels_with_predictions(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = tuple(f"a{index:02d}.JPEG" for index in range(30))
    labels = np.arange(30, dtype=np.int32) % 3
    answers = np.array([1, 0, 2], dtype=np.int32)[labels][:, None]
    Predictions(ids, labels, answers, answers.astype(np.float32)).save(here / "told.parquet")
    line = "data check tiny.toml --images val --labels labels.txt --predictions told.parquet --json"
    assert run_line(line) == 6
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert "another order" in found["text"]
    assert found["examples"][0] == "label 0 is predicted as class 1 (10 of 10 images)"
    (here / "val" / "a00.JPEG").rename(here / "val" / "b00.JPEG")
    (here / "labels.txt").write_text((here / "labels.txt").read_text().replace("a00", "b00"))
    assert run_line(line) == 7


def test_data_prepare_needs_archives(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line("data prepare --output out") == 2
    assert run_line("data prepare --output out --val labels.txt") == 8
    assert "labels.txt is cut off or damaged" in capsys.readouterr().err
