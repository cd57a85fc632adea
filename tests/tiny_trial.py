"""A whole trial in miniature: coloured JPEGs, a label file, a card for a small ResNet at 32 px, a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from golden_weights import fill_golden_weights
from seatrial.models.build import build_network
from seatrial.recipes import load_recipe

CLASSES = 4
NETWORK = "test_resnet"
"""Of timm's, with half a million parameters, blocks of both kinds and a last layer called `fc`."""
LAYERS = 16
"""Its convolutions and linear layers."""
SUMS = 4
"""Its residual sums."""
CARD = f"""\
name = "tiny"
title = "A small ResNet at 32 px"
[network]
name = "{NETWORK}"
classes = 4
[[preprocess]]
step = "resize"
short_side = 36
[[preprocess]]
step = "center_crop"
size = [32, 32]
[[preprocess]]
step = "to_float"
[[preprocess]]
step = "normalise"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[gates]
reference_drop_pp = 30.0
plausible = false
[train]
epochs = 2
batch_size = 8
learning_rate = 0.01
warmup_epochs = 1
"""


@dataclass(frozen=True)
class TinyTrial:
    """Paths of what was made."""

    folder: Path

    @property
    def card(self) -> Path:
        return self.folder / "tiny.toml"

    @property
    def images(self) -> Path:
        return self.folder / "val"

    @property
    def labels(self) -> Path:
        return self.folder / "val_label.txt"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "tiny.pth"

    def run_arguments(self, output: Path, *more: str) -> list[str]:
        """The words of a `seatrial run` on this trial that measures as little as it may."""
        words = ["run", str(self.card), "--checkpoint", str(self.checkpoint), "--images", str(self.images)]
        words += ["--labels", str(self.labels), "--output", str(output), "--batch-size", "1,2"]
        return [*words, "--bench-duration", "0.01", "--bench-samples", "2", *more]


def draw_image(path: Path, rng: np.random.Generator) -> None:
    """A smooth picture of random colours and size."""
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    size = (int(rng.integers(36, 70)), int(rng.integers(36, 70)))
    coarse.resize(size, Image.Resampling.BICUBIC).save(path, "JPEG", quality=92)


def make_trial(folder: Path, images: int = 24, network: str = NETWORK) -> TinyTrial:
    """Write a trial; labels are drawn at random, so accuracy is about a quarter."""
    trial = TinyTrial(folder)
    trial.images.mkdir(parents=True)
    trial.card.write_text(CARD.replace(NETWORK, network))
    rng = np.random.default_rng(5)
    lines = []
    for index in range(images):
        name = f"image_{index:03d}.JPEG"
        draw_image(trial.images / name, rng)
        lines.append(f"{name} {index % CLASSES}\n")
        for_training = folder / "train" / f"class_{index % CLASSES}"
        for_training.mkdir(parents=True, exist_ok=True)
        draw_image(for_training / name, rng)
    trial.labels.write_text("".join(lines))
    built = build_network(load_recipe(str(trial.card)).network)
    fill_golden_weights(built, "tiny")
    torch.save(built.state_dict(), trial.checkpoint)
    return trial
