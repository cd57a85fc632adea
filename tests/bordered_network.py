"""A network that onnxruntime's rewrites change: zeros padded in front of a max pooling whose inputs are all negative.

So does timm's resnetv2_50x1_bit behind its first convolution; there it moves the logits by a few hundredths.
"""

from pathlib import Path

import torch
from torch import nn

CARD = """\
name = "bordered"
title = "Zeros around negative values"
[network]
builder = "seatrial"
name = "bordered"
classes = 2
[[preprocess]]
step = "center_crop"
size = [32, 32]
[[preprocess]]
step = "to_float"
"""


class Bordered(nn.Module):
    """The mean of 3×3 maxima with a border of zeros, beside a constant: the border decides which is larger."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 1, 1)
        self.pad = nn.ConstantPad2d((0, 1, 0, 1), 0.0)
        self.pool = nn.MaxPool2d(3, 2)
        self.head = nn.Linear(1, classes)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        largest = self.pool(self.pad(self.stem(images)))
        scores: torch.Tensor = self.head(largest.mean((2, 3)))
        return scores


def write_bordered(folder: Path) -> tuple[Path, Path]:
    """Card and checkpoint. All maxima are near -1 but those of the border, 0: a mean of -0.88, against -0.94."""
    network = Bordered(2)
    with torch.no_grad():
        network.stem.weight.fill_(0.01)
        network.stem.bias.fill_(-1.0)
        network.head.weight.copy_(torch.tensor([[1.0], [0.0]]))
        network.head.bias.copy_(torch.tensor([0.0, -0.93]))
    folder.mkdir(parents=True, exist_ok=True)
    card, checkpoint = folder / "bordered.toml", folder / "bordered.pth"
    card.write_text(CARD)
    torch.save(network.state_dict(), checkpoint)
    return card, checkpoint
