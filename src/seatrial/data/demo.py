"""scikit-learn's handwritten digits as colour JPEG files in ImageNet's two layouts, with a card.

Ink and paper have random colours and every file its own size and aspect, so that a swapped channel order, a wrong
resize or a wrong crop costs accuracy; on grey squares none of them would.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.errors import UsageError
from seatrial.extras import naming_extras
from seatrial.machine.environment import find_version
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import hash_file, hash_value, replacing

SEED = 20240229
HELD_OUT = 0.3
CALIBRATION = 128

CARD = """\
# The demo's network: ResNet-50 at 64 px on scikit-learn's digits, drawn in colour.
name = "demo"
title = "ResNet-50 on handwritten digits in colour (the demo)"
source = "https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html"

[network]
name = "resnet50"
classes = 10

[graph]
input = "image"
output = "class"
opset = 17

[[preprocess]]
step = "resize"
short_side = 72
interpolation = "bilinear"

[[preprocess]]
step = "center_crop"
size = [64, 64]

[[preprocess]]
step = "to_float"

[[preprocess]]
step = "normalise"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]

[gates]
reference_drop_pp = 2.0

[train]
epochs = 5
batch_size = 16
learning_rate = 0.06
classifier_rate = 0.05
weight_decay = 5e-4
warmup_epochs = 0.5
label_smoothing = 0.1
min_scale = 0.7
flip = false
"""


class DemoData:
    """Where the demo's files lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.train = folder / "train"
        """Training images in class folders."""
        self.val = folder / "val"
        """Validation images in a flat folder."""
        self.labels = folder / "val_label.txt"
        """`NAME CLASS` for each image of `val`."""
        self.calibration = folder / "calibration.txt"
        """A list of training images, for quantisation."""
        self.stamp = folder / "demo.sha256"
        """A hash of all this, by which a finished data set is known."""
        self.card = folder / "demo.toml"
        """Path of the recipe."""


def make_demo(folder: Path, progress: Progress = silent) -> DemoData:
    """Write the demo's data set and card, or find them written; the same bytes for the same library versions.

    Raises:
        EngineError: scikit-learn is not installed.
        UsageError: `folder` holds something else.
        StorageError: the folder may not be written.
    """
    if _is_made(folder):
        progress(Update("data", note=f"already made: {folder}"))
        return DemoData(folder)
    if folder.exists() and not (folder.is_dir() and (DemoData(folder).stamp.exists() or not any(folder.iterdir()))):
        raise UsageError(f"{folder} holds other files", "choose a new folder for the demo's data")
    digits, labels = _load_digits()
    held_out = split_stratified(labels, HELD_OUT, np.random.default_rng(SEED))
    with replacing(folder) as temporary:
        made = DemoData(temporary)
        for made_folder in [made.val, *(made.train / f"{digit}" for digit in range(10))]:
            made_folder.mkdir(parents=True)
        lines, trained = [], []
        for index, (digit, label) in enumerate(zip(digits, labels, strict=True)):
            jpeg = draw_digit(digit, np.random.default_rng([SEED, index]))
            name = f"digit_{index:04d}.JPEG"
            if held_out[index]:
                (made.val / name).write_bytes(jpeg)
                lines.append(f"{name} {label}\n")
            else:
                (made.train / f"{label}" / name).write_bytes(jpeg)
                trained.append(f"train/{label}/{name}\n")
            progress(Update("data", index + 1, len(digits), "images"))
        made.labels.write_text("".join(lines), encoding="utf-8")
        made.calibration.write_text("".join(_draw_list(trained)), encoding="utf-8")
        made.card.write_text(CARD, encoding="utf-8")
        made.stamp.write_text(_stamp(temporary), encoding="utf-8")
    return DemoData(folder)


def _is_made(folder: Path) -> bool:
    stamp = DemoData(folder).stamp
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _stamp(folder)


def _stamp(folder: Path) -> str:
    """What the data set is: the versions and the card that it follows from, and a hash of every file in it."""
    stamp = DemoData(folder).stamp
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != stamp)
    hashes = {str(path.relative_to(folder)): hash_file(path) for path in files}
    versions = {name: find_version(name) for name in ("scikit-learn", "pillow", "numpy")}
    return hash_value({"seed": SEED, "card": CARD, "versions": versions, "files": hashes}) + "\n"


def split_stratified(labels: NDArray[np.integer], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark `share` of each class, rounded, chosen at random."""
    marked = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        marked[members[: round(share * len(members))]] = True
    return marked


def draw_digit(digit: NDArray[np.float64], rng: np.random.Generator) -> bytes:
    """One 8×8 digit (values 0..16) as a colour JPEG of 80–150 px and aspect 0.85–1.18."""
    aspect = rng.uniform(0.85, 1.18)
    height = rng.uniform(80, 150 / max(1.0, aspect))
    size = (max(80, round(height * aspect)), round(height))
    # Of any hue, but always a light paper and a dark ink, or a few epochs would not be enough.
    paper, ink = rng.uniform(150, 255, 3), rng.uniform(0, 100, 3)
    shape = Image.fromarray((digit * (255 / 16)).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    cover = np.asarray(shape, dtype=np.float64)[..., None] / 255
    picture = paper * (1 - cover) + ink * cover + rng.normal(0, 5, (*cover.shape[:2], 3))
    file = io.BytesIO()
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def _draw_list(trained: Sequence[str]) -> list[str]:
    rng = np.random.default_rng(SEED)
    return sorted(rng.choice(np.asarray(trained), CALIBRATION, replace=False).tolist())


def _load_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    with naming_extras("has the demo's digits"):
        from sklearn.datasets import load_digits
    loaded = load_digits()
    return loaded.images, loaded.target
