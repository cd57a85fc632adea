"""The same 24 images in every layout that is taken: their labels and predictions are the same ones."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.data.calibration import read_calibration
from seatrial.store.predictions import Predictions
from seatrial.workflow.bench import prepare_folder
from tiny_trial import CLASSES, TinyTrial

NAMES = ("tench", "great white shark", "hen", "cock")
"""Of the card, in its order, which is not that of text."""
WNIDS = ("n00000001", "n00000002", "n00000003", "n00000004")
Labelled = dict[str, int]
Write = Callable[[Path, Labelled, Path], Path | None]
"""Puts the images of a folder into a layout below an empty one, as `val`; returns the label file."""


def run(*words: object) -> None:
    assert run_cli([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def engine(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine whose card names its classes."""
    folder = tmp_path_factory.mktemp("layouts")
    card = folder / "tiny.toml"
    card.write_text(f"{tiny_trial.card.read_text()}[labels]\nnames = {list(NAMES)}\n")
    run("export", card, "--checkpoint", tiny_trial.checkpoint, "--output", folder / "model.onnx")
    run("compile", folder / "model.onnx", "--engine", "onnxruntime", "--output", folder / "engine")
    return folder / "engine"


def in_folders(names: tuple[str, ...], below: str = "", above: str = "") -> Write:
    def write(source: Path, labels: Labelled, place: Path) -> None:
        for name, label in labels.items():
            folder = place / "val" / above / names[label] / below
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, folder / name)

    return write


def with_lines(form: str, head: str = "", below: str = "", file: str = "labels.txt") -> Write:
    def write(source: Path, labels: Labelled, place: Path) -> Path:
        shutil.copytree(source, place / "val" / below, dirs_exist_ok=True)
        lines = (
            form.format(name=name, stem=name.partition(".")[0], label=label, wnid=WNIDS[label], word=NAMES[label])
            for name, label in sorted(labels.items())
        )
        (place / file).write_text(head + "".join(f"{line}\n" for line in lines))
        return place / file

    return write


def as_tiny_imagenet(source: Path, labels: Labelled, place: Path) -> None:
    write = with_lines("{name}\t{wnid}\t0\t0\t9\t9", below="images", file="val/val_annotations.txt")
    write(source, labels, place)


LAYOUTS: dict[str, Write] = {
    "NAME CLASS": with_lines("{name} {label}"),
    "without a suffix": with_lines("{stem} {label}"),
    "with a folder": with_lines("val/{name} {label}"),
    "numbers": with_lines("{label}"),
    "kaggle": with_lines("{stem},{wnid} 0 0 9 9 ", "ImageId,PredictionString\n"),
    "NAME WNID": with_lines("{name} {wnid}"),
    "NAME,WNID": with_lines("{name},{wnid}"),
    "NAME and a name": with_lines("{name} {word}"),
    "csv": with_lines("{label},{name}", "label,filename\n"),
    "tsv without a header": with_lines("{name}\t{label}"),
    "csv of names": with_lines("{name},{word}", "image,class\n"),
    "one folder deeper": with_lines("{name} {label}", below="imgs"),
    "Tiny-ImageNet": as_tiny_imagenet,
    "WNID folders": in_folders(WNIDS),
    "named folders": in_folders(NAMES),
    "numbered folders": in_folders(tuple(str(label) for label in range(CLASSES))),
    "class folders of folders": in_folders(NAMES, below="images"),
    "class folders below": in_folders(NAMES, above="val"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_same_labels(layout: str, engine: Path, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    pairs = (line.rsplit(maxsplit=1) for line in tiny_trial.labels.read_text().splitlines())
    truth = {name: int(label) for name, label in pairs}
    labels = LAYOUTS[layout](tiny_trial.images, truth, tmp_path)
    words = [] if labels is None else ["--labels", labels]
    run("evaluate", engine, "--images", tmp_path / "val", *words, "--output", tmp_path / "out")
    stored = Predictions.load(tmp_path / "out" / "engine.parquet")
    found = {name.rpartition("/")[2]: int(label) for name, label in zip(stored.ids, stored.labels, strict=True)}
    assert found == truth and len(stored.ids) == 24


def test_class_folders_are_images_for_every_verb(engine: Path, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    root = tiny_trial.folder / "train"
    card = tiny_trial.card
    run("preprocess", card, root, tmp_path / "bins")
    assert len(list((tmp_path / "bins").glob("*.bin"))) == 24
    run("infer", engine, "--input", root, "--output", tmp_path, "--output-dirname", "logits")
    assert len(list((tmp_path / "logits").glob("*_0.bin"))) == 24
    run("export", card, "--checkpoint", tiny_trial.checkpoint, "--images", root, "--output", tmp_path / "model.onnx")
    assert prepare_folder(engine, root, tmp_path / "speed.json").is_file()
    assert len(read_calibration(root, 100)) == 24
