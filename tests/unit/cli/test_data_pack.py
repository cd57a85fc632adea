"""`seatrial data pack` on the command line."""

import json
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.data.sources import read_images
from tiny_trial import TinyTrial

AIPP = "aipp_op { aipp_mode: static input_format: YUV420SP_U8 src_image_size_w: 34 src_image_size_h: 34 crop: true\n"
AIPP += "crop_size_w: 32 crop_size_h: 32 load_start_pos_w: 0 load_start_pos_h: 0 csc_switch: true }\n"


def pack(trial: TinyTrial, *more: str | Path) -> int:
    words = ["data", "pack", str(trial.card), str(trial.images), "--labels", str(trial.labels)]
    return run_cli([*words, *map(str, more)])


def test_a_set_is_packed_once(tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "val.pack"
    assert pack(tiny_trial, "--output", output, "--workers", 2) == 0
    told = capsys.readouterr().out
    assert (
        told.startswith(f"{output}: 24 images at ") and f"each uint8 32x32x3; {output.stat().st_size:,} bytes" in told
    )
    assert pack(tiny_trial, "--output", output, "--json") == 0
    answer = capsys.readouterr()
    assert f"already packed: {output}" in answer.err
    facts = json.loads(answer.out)
    assert facts["schema"] == "seatrial/pack/1" and facts["shape"] == [32, 32, 3]
    assert (facts["images"], facts["wall_s"], facts["recipe"]) == (24, 0, "tiny")
    assert "ids" not in facts
    assert [image.label for image in read_images(output, None, 4).images] == [i % 4 for i in range(24)]


def test_a_pack_for_an_aipp_configuration(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    (tmp_path / "aipp.config").write_text(AIPP)
    assert pack(tiny_trial, "--output", tmp_path / "val.pack", "--aipp", tmp_path / "aipp.config") == 0
    form = read_images(tmp_path / "val.pack", None, 4).images[0].prepared
    assert form is not None and form.shape == (51, 34, 1)


def test_a_part_is_packed_if_asked_for(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(tiny_trial.labels.read_text() + "more.JPEG 1\n")
    words = ["data", "pack", str(tiny_trial.card), str(tiny_trial.images), "--labels", str(labels), "--output"]
    assert run_cli([*words, str(tmp_path / "val.pack")]) == 6
    assert "1 labelled but not there ('more.JPEG')" in capsys.readouterr().err
    assert run_cli([*words, str(tmp_path / "val.pack"), "--allow-partial", "--json"]) == 0
    answer = capsys.readouterr()
    assert (json.loads(answer.out)["images"], json.loads(answer.out)["missing"]) == (24, 1)
    assert "1 labelled images are not there ('more.JPEG'): 24 are taken" in answer.err


def test_what_cannot_be_packed_is_reported(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, images, labels = map(str, (tiny_trial.card, tiny_trial.images, tiny_trial.labels))
    output = ["--output", str(tmp_path / "val.pack")]
    assert run_cli(["data", "pack", card, images, *output]) == 6
    assert run_cli(["data", "pack", card, labels, "--labels", labels, *output]) == 6
    assert run_cli(["data", "pack", "no-such-card", images, "--labels", labels, *output]) == 2
    bins = str(tmp_path / "bins")
    assert run_cli(["preprocess", card, images, bins, "--workers", "1"]) == 0
    assert run_cli(["data", "pack", card, bins, "--labels", labels, *output]) == 2
    assert "is preprocessed already; a pack is made of image files" in capsys.readouterr().err
    assert not (tmp_path / "val.pack").exists()
