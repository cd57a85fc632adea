"""SGD with a warm-up and a cosine, weight decay on matrices only."""

import math

import torch
from torch import nn

from seatrial.recipes.training import Train


def make_optimizer(network: nn.Module, settings: Train) -> torch.optim.SGD:
    """SGD whose weight decay spares biases and BatchNorm, every tensor of one dimension.

    Each group's `share` is the part of the learning rate that it gets; see `set_learning_rate`.
    """
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    # timm and torchvision define networks from input to output: the last matrix is the classifier's.
    groups = [
        {"params": matrices[:-1], "weight_decay": settings.weight_decay, "share": 1.0},
        {"params": matrices[-1:], "weight_decay": settings.weight_decay, "share": settings.classifier_rate},
        {"params": vectors, "weight_decay": 0.0, "share": 1.0},
    ]
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def learning_rate_at(step: int, steps_per_epoch: int, settings: Train) -> float:
    """The rate of a step counted from 0: linear warm-up, then half a cosine down to zero."""
    total = settings.epochs * steps_per_epoch
    warmup = min(settings.warmup_epochs * steps_per_epoch, total / 2)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
