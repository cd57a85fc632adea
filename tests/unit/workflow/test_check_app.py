"""A kit of a miniature trial, and what is said of programs that read it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from made_once import make_once
from seatrial.cli import run_cli
from seatrial.store.app_kit import AppKit
from tiny_trial import TinyTrial


@pytest.fixture(scope="module")
def kit(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        assert run_cli(["check-app", "kit", str(tiny_run), "--output", str(folder / "kit")]) == 0

    return make_once("app-kit", tmp_path_factory, make) / "kit"


def read_tensors(kit: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    return {image.name: np.load(kit / image.tensor) for image in AppKit.load(kit / "kit.json").images}


def write(folder: Path, tensors: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]) -> Path:
    folder.mkdir()
    for name, tensor in tensors.items():
        np.save(folder / f"{name}.npy", tensor)
    return folder


def judge(kit: Path, predictions: Path, *more: str) -> int:
    return run_cli(["check-app", "judge", str(kit), str(predictions), *more])


def test_a_sound_and_a_faulty_program(
    kit: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = read_tensors(kit)
    assert judge(kit, write(tmp_path / "sound", tensors)) == 0
    assert "the same: every value is the card's, to the last bit" in capsys.readouterr().out
    swapped = write(tmp_path / "bgr", {name: tensor[::-1] for name, tensor in tensors.items()})
    # The mean and the deviation were the right ones' before channels were swapped, so they are off too.
    effect = ["--images", str(tiny_trial.images), "--labels", str(tiny_trial.labels), "--limit", "8"]
    assert judge(kit, swapped, *effect, "--json") == 3
    judged = json.loads(capsys.readouterr().out)
    assert {finding["name"] for finding in judged["findings"]} == {"bgr", "triples-bgr"}
    assert judged["labelled"] == 8 and judged["changed"] is not None and judged["top1_after"] is not None


def test_raw_files_and_one_array_will_do(kit: Path, tmp_path: Path) -> None:
    tensors = read_tensors(kit)
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, tensor in tensors.items():
        (raw / f"{name}.bin").write_bytes(tensor.tobytes())
    assert judge(kit, raw) == 0
    np.save(tmp_path / "all.npy", np.stack(list(tensors.values())))
    assert judge(kit, tmp_path / "all.npy") == 0


def test_logits_and_classes_are_judged_by_those_in_the_kit(
    kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(kit, kit / "logits.npy") == 0
    record, rows = AppKit.load(kit / "kit.json"), np.load(kit / "outputs.npy")
    np.save(tmp_path / "grey.npy", rows[record.outputs.index("grey")])
    assert judge(kit, tmp_path / "grey.npy") == 3
    assert "made grey" in capsys.readouterr().out
    lines = [f"{image.name},{','.join(str(label + 1) for label in image.top5)}\n" for image in record.images]
    (tmp_path / "up.csv").write_text("image,a,b,c,d\n" + "".join(lines))
    assert judge(kit, tmp_path / "up.csv") == 3
    assert "one too high" in capsys.readouterr().out
    (tmp_path / "first.json").write_text(json.dumps({image.name: image.top5[:1] for image in record.images}))
    assert judge(kit, tmp_path / "first.json") == 7


def test_what_cannot_be_judged_is_refused_in_a_line(
    kit: Path, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = read_tensors(kit)
    nhwc = write(tmp_path / "nhwc", {name: tensor.transpose(1, 2, 0) for name, tensor in tensors.items()})
    assert judge(kit, nhwc) == 6 and "it looks like HWC" in capsys.readouterr().err
    broken = write(tmp_path / "nan", {name: tensor * np.float32("nan") for name, tensor in tensors.items()})
    assert judge(kit, broken) == 3 and "NaN or infinity, first for 00-" in capsys.readouterr().err
    (nhwc / f"{next(iter(tensors))}.npy").unlink()
    assert judge(kit, nhwc) == 6 and "has nothing for image" in capsys.readouterr().err
    assert judge(kit, tmp_path / "none") == 2
    assert judge(tmp_path, nhwc) == 2 and "is no kit" in capsys.readouterr().err
    copy = tmp_path / "copy"
    shutil.copytree(kit, copy)
    (copy / AppKit.load(kit / "kit.json").images[3].file).write_bytes(b"other")
    assert judge(copy, nhwc) == 8 and "edited or damaged" in capsys.readouterr().err
    assert run_cli(["check-app", "kit", str(tiny_trial.card), "--output", str(nhwc)]) == 2


def test_a_kit_of_a_card_alone_judges_tensors_only(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    assert run_cli(["check-app", "kit", str(tiny_trial.card), "--output", str(kit)]) == 0
    record = AppKit.load(kit / "kit.json")
    assert record.outputs == () and len(record.images) == 32
    assert judge(kit, write(tmp_path / "sound", read_tensors(kit))) == 0
    (tmp_path / "top.json").write_text(json.dumps({image.name: [0] for image in record.images[:-1]}))
    assert judge(kit, tmp_path / "top.json") == 6
    (tmp_path / "top.json").write_text(json.dumps({image.name: [at % 3] for at, image in enumerate(record.images)}))
    assert judge(kit, tmp_path / "top.json") == 2


def test_the_steps_of_an_image_are_stored(kit: Path) -> None:
    image = AppKit.load(kit / "kit.json").images[0]
    assert list(image.steps) == ["0-decoded", "1-resize", "2-center_crop"]
    assert np.load(kit / image.steps["2-center_crop"]).shape == (32, 32, 3)
    assert (kit / image.raw).stat().st_size == 4 * 3 * 32 * 32


def test_weights_that_are_gone_leave_the_verdict(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, kit = tmp_path / "tiny.pth", tmp_path / "kit"
    shutil.copy(tiny_trial.checkpoint, weights)
    words = ["check-app", "kit", str(tiny_trial.card), "--checkpoint", str(weights), "--output", str(kit)]
    assert run_cli(words) == 0
    weights.write_bytes(b"damaged")
    swapped = write(tmp_path / "bgr", {name: tensor[::-1] for name, tensor in read_tensors(kit).items()})
    capsys.readouterr()
    assert judge(kit, swapped, "--json") == 3
    assert json.loads(capsys.readouterr().out)["changed"] is None
    effect = ["--images", str(tiny_trial.images), "--labels", str(tiny_trial.labels)]
    assert judge(kit, swapped, *effect) == 8
    # Another training has written weights of the same network since: its figures would not be the kit's.
    state = torch.load(tiny_trial.checkpoint, weights_only=True)
    torch.save({name: 1.01 * value if value.is_floating_point() else value for name, value in state.items()}, weights)
    capsys.readouterr()
    assert judge(kit, swapped, "--json") == 3
    assert json.loads(capsys.readouterr().out)["changed"] is None
    assert judge(kit, swapped, *effect) == 8
    assert "has other weights than when the kit was made" in capsys.readouterr().err
