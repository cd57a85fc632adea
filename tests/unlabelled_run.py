"""A run of images that nobody labelled, of a network so small that it takes a second."""

import shutil
from pathlib import Path

from onnx_graphs import write_linear
from seatrial.cli import run_cli
from tiny_trial import TinyTrial

BRIEFLY = ("--bench-duration", "0.01", "--bench-samples", "2", "--batch-size", "1")


def list_words(trial: TinyTrial, images: Path, folder: Path, *more: str) -> list[str]:
    """The words of a `seatrial run` of `folder/net.onnx`."""
    words = ["run", str(folder / "net.onnx"), "--like", str(trial.card), "--images", str(images), *more]
    return [*words, "--output", str(folder / "trial"), *BRIEFLY, "--engines", "onnxruntime,openvino"]


def make_unlabelled(trial: TinyTrial, folder: Path) -> None:
    """Write `net.onnx`, `photos` without any label, and `trial`, which is made of them."""
    shutil.copytree(trial.images, folder / "photos")
    write_linear(folder / "net.onnx", classes=4)
    assert run_cli(list_words(trial, folder / "photos", folder)) == 0
