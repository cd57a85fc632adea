"""Accuracy of one-file-per-image predictions against a label file: the guides' `vision_metric_ImageNet.py`.

The result file is theirs to the byte. What they pass over in silence is an error here: missing predictions, which they
leave out of the count, and foreign files, of which they die; and equal scores are ranked the same on every machine.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.classes import UNKNOWN, check_classes
from seatrial.data.label_files import read_label_file
from seatrial.data.names import index_unique
from seatrial.errors import DataError, ParityError
from seatrial.evaluation.parity import DIAGNOSE, check_finite, check_logits
from seatrial.foreign.files import open_regular, read_bytes
from seatrial.metrics.topk import K, TopK, rank_top
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import write_text

CHUNK = 1000
"""Predictions in memory at a time."""
CONSTANT_FROM = 10
"""From so many images of different classes on, the same prediction for all of them is refused."""
_NAME = re.compile(r"(?P<image>.+)_[0-9]+")
"""The file name up to the first dot: the image's name and the number of the output."""


@dataclass(frozen=True, slots=True)
class Score:
    """Top-k hits of the predictions in a folder."""

    classes: int
    """Numbers in each prediction, a background class included."""
    counts: TopK
    missing: int
    """Labelled images without a prediction, left out of the counts."""
    foreign: tuple[str, ...]
    """Names in the folder that are no predictions."""


def score_folder(predictions: Path, labels: Path, allow_partial: bool = False, progress: Progress = silent) -> Score:
    """Rank every prediction of a folder against its label.

    A prediction is called as its image up to the first dot, `_`, the output's number, and `.txt` (one line of numbers),
    `.bin` (float32) or `.npy`. A network of 1001 classes has a background class before the labels' first.

    Raises:
        DataError: predictions are missing, belong to no label, are of unequal length or cannot be read.
        ParityError: a prediction is not a number or the same for every class, or all are the same.
    """
    files, foreign = _find_predictions(predictions)
    wanted = _read_labels(labels, files)
    if foreign:
        shown = ", ".join(foreign[:3]) + (", …" if len(foreign) > 3 else "")
        progress(Update("score", note=f"{len(foreign)} files in {predictions} are no predictions: {shown}"))
    _check_names(files, wanted, predictions, allow_partial)
    first_file = next(iter(files.values()))
    first = read_prediction(first_file)
    check_finite(first[None], [first_file.name])
    background = len(first) == 1001
    check_classes(wanted.items(), len(first) - background, str(labels))
    counts = TopK((0,) * min(K, len(first)), 0)
    constant = len(files) >= CONSTANT_FROM and len({wanted[name] for name in files}) > 1
    for names, logits in _read_chunks(files, len(first)):
        # Of two or three classes rounded scores may be equal now and then; of a thousand they never are.
        check_logits(logits, [files[name].name for name in names], coarse=len(first) <= K)
        constant = constant and bool((logits == first).all())
        classes, _ = rank_top(logits)
        counts += TopK.of(classes, np.array([wanted[name] for name in names]) + background)
        progress(Update("score", counts.count, len(files), "images", {"top-1": f"{counts.accuracy():.2%}"}))
    if constant:
        raise ParityError(f"all {counts.count} predictions in {predictions} are the same", DIAGNOSE)
    return Score(len(first), counts, len(wanted) - len(files), foreign)


def write_result(score: Score, path: Path) -> None:
    """Write the guides' `result.json`: one line, every value text."""
    counts = score.counts
    # Their rounding is numpy's, which differs from Python's in the last digit of some ties.
    accuracy = np.asarray(counts.hits, dtype=np.float64) / counts.count
    rows = [("Number of images", str(counts.count)), ("Number of classes", str(score.classes))]
    rows += [(f"Top{k} accuracy", f"{round(share * 100, 2)}%") for k, share in enumerate(accuracy, start=1)]
    value = [{"key": key, "value": text} for key, text in rows]
    write_text(path, json.dumps({"title": "Overall statistical evaluation", "value": value}))


def _read_labels(path: Path, images: Collection[str]) -> dict[str, int]:
    """Labels by the part of an image's name before its first dot; folders in front of it do not count."""
    labels = index_unique(
        read_label_file(path, images, UNKNOWN).items(),
        lambda pair: pair[0].rpartition("/")[2].split(".")[0],
        lambda image, a, b: DataError(f"{path} has two labels for '{image}'", "keep one of them"),
    )
    return {image: label for image, (_, label) in labels.items()}


def _find_predictions(folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Prediction files by the name of their image, sorted, and what else lies there."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", "give the folder that `seatrial infer` wrote")
    files: dict[str, Path] = {}
    foreign = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name.split(".")[0])
        if match is None or path.suffix not in _READERS or path.name.startswith(("padding_", ".")) or path.is_dir():
            foreign.append(path.name)
        elif match["image"] in files:
            raise DataError(
                f"{files[match['image']].name} and {path.name} in {folder} are both predictions for '{match['image']}'",
                "keep one output of one run",
            )
        else:
            files[match["image"]] = path
    return files, tuple(foreign)


def _check_names(files: Mapping[str, Path], wanted: Mapping[str, int], folder: Path, allow_partial: bool) -> None:
    if not files:
        raise DataError(f"{folder} has no predictions (NAME_0.txt, .bin or .npy)", "`seatrial infer` writes them")
    unlabelled = [path.name for image, path in files.items() if image not in wanted]
    if unlabelled:
        raise DataError(
            f"{len(unlabelled)} predictions in {folder} have no label, first {unlabelled[0]}",
            "give the label file of these images",
        )
    missing = sorted(wanted.keys() - files.keys())
    if missing and not allow_partial:
        raise DataError(
            f"{len(missing)} of {len(wanted)} labelled images have no prediction in {folder}, first {missing[0]}",
            "run them, or score what there is with --allow-partial",
        )


def _read_chunks(files: Mapping[str, Path], classes: int) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Names and predictions (n, classes)."""
    names = list(files)
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        logits = np.empty((len(chunk), classes), dtype=np.float32)
        for row, name in zip(logits, chunk, strict=True):
            prediction = read_prediction(files[name])
            if len(prediction) != classes:
                sizes = f"{files[name]} has {len(prediction)} numbers, {files[names[0]].name} has {classes}"
                raise DataError(sizes, "keep the predictions of one network in a folder")
            row[:] = prediction
        yield chunk, logits


def read_prediction(path: Path) -> NDArray[np.float32]:
    """The scores of one image, (classes,).

    Raises:
        DataError: the file is empty, cut off, has something else than one row of numbers, or cannot be read.
    """
    try:
        with np.errstate(over="ignore"):  # What is too large for float32 becomes infinity, which is refused later.
            row = _READERS[path.suffix](path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})", "run this image again") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is no prediction ({error})", "run this image again") from None
    if len(row) < 2:
        raise DataError(f"{path} has {len(row)} numbers, not one for each class", "run this image again")
    return row


def _read_text(path: Path) -> NDArray[np.float32]:
    lines = [line for line in read_bytes(path).decode("ascii").splitlines() if line.strip()]
    if len(lines) > 1:
        raise ValueError(f"{len(lines)} rows where one image has one")
    return np.array([float(word) for line in lines for word in line.split()], dtype=np.float32)


def _read_floats(path: Path) -> NDArray[np.float32]:
    data = read_bytes(path)
    if len(data) % 4:
        raise ValueError(f"{len(data)} bytes are not whole float32 numbers")
    return np.frombuffer(data, dtype="<f4").astype(np.float32)


def _read_npy(path: Path) -> NDArray[np.float32]:
    with open_regular(path) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype.kind not in "fiu" or array.size != max(array.shape, default=0):
        raise ValueError(f"{array.dtype} numbers of shape {array.shape} are not one row")
    return array.ravel().astype(np.float32)


_READERS = {".txt": _read_text, ".bin": _read_floats, ".npy": _read_npy}
