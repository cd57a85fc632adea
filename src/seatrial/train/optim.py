"""SGD with a warm-up and a cosine, weight decay on matrices only."""

import math

import torch
from torch import nn

from seatrial.recipes.schema import Train


def make_optimizer(network: nn.Module, settings: Train) -> torch.optim.SGD:
    """SGD whose weight decay spares biases and BatchNorm, every tensor of one dimension."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=True)


def learning_rate_at(step: int, steps_per_epoch: int, settings: Train) -> float:
    """The rate of a step counted from 0: linear warm-up, then half a cosine down to zero."""
    total = settings.epochs * steps_per_epoch
    warmup = min(settings.warmup_epochs * steps_per_epoch, total / 2)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
