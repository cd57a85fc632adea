"""Optimisers whose weight decay spares biases and BatchNorm, and the course of the learning rate."""

import math
from typing import Any

import torch
from torch import nn

from seatrial.recipes.training import Train

STATES = {
    "sgd": {"momentum_buffer"},
    "lars": {"momentum_buffer"},
    "adamw": {"step", "exp_avg", "exp_avg_sq"},
}
"""What each keeps for a parameter."""
FUSED = ("cpu", "cuda")
"""Devices whose torch has optimisers of one kernel."""


def make_optimizer(network: nn.Module, settings: Train) -> torch.optim.Optimizer:
    """The optimiser with a group for all matrices but the last, the last one, and tensors of one dimension.

    The last group has no weight decay, for LARS also no adapted rate. Each group's `share` is the part of the learning
    rate that it gets; see `set_learning_rate`.
    """
    groups = [
        {"params": [parameter for _, parameter in named], "weight_decay": decay, "share": share}
        for named, decay, share in zip(
            group_parameters(network),
            (settings.weight_decay, settings.weight_decay, 0.0),
            (1.0, settings.classifier_rate, 1.0),
            strict=True,
        )
        if named
    ]
    rate, momentum = settings.learning_rate, settings.momentum
    # torch refuses Nesterov's without momentum, where it changes nothing.
    nesterov = settings.nesterov and momentum > 0
    # One kernel for each group instead of five: on a CPU in 0.4 of the time, on a GPU with few launches.
    fused = next(network.parameters()).device.type in FUSED
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=(momentum, 0.999), fused=fused)
    if settings.optimizer == "lars":
        from timm.optim.lars import Lars

        lars: torch.optim.Optimizer = Lars(groups, lr=rate, momentum=momentum, nesterov=nesterov)
        return lars
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=nesterov, fused=fused)


def group_parameters(network: nn.Module) -> tuple[list[tuple[str, nn.Parameter]], ...]:
    """Named parameters: all matrices but the last, the last, and those of one dimension."""
    matrices = [(n, p) for n, p in network.named_parameters() if p.ndim > 1]
    vectors = [(n, p) for n, p in network.named_parameters() if p.ndim <= 1]
    # timm and torchvision define networks from input to output: the last matrix is the classifier's.
    return matrices[:-1], matrices[-1:], vectors


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Take over what an optimiser had gathered, but not its settings."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        index: {name: _lay_out(value, parameters[index]) for name, value in kept.items()}
        for index, kept in saved["state"].items()
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _lay_out(value: Any, parameter: nn.Parameter) -> Any:
    """A tensor that is kept for a parameter, in its order in memory, which fused kernels take for granted."""
    if not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def learning_rate_at(step: int, steps_per_epoch: int, settings: Train) -> float:
    """The rate of a step counted from 0: a linear warm-up, then the schedule down to nothing or by its factors."""
    total = settings.epochs * steps_per_epoch
    warmup = min(settings.warmup_epochs * steps_per_epoch, total / 2)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    if settings.lr_schedule == "step":
        passed = sum(step >= epoch * steps_per_epoch for epoch in settings.lr_step_epochs)
        return settings.learning_rate * settings.lr_step_factor**passed
    share = (step - warmup) / (total - warmup)
    left = 1 - share if settings.lr_schedule == "linear" else 0.5 * (1 + math.cos(math.pi * share))
    return settings.learning_rate * left
