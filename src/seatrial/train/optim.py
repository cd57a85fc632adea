"""Optimisers without weight decay of biases and BatchNorm, and the schedule of the learning rate."""

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
"""The state that each optimiser has for a parameter."""
FUSED = ("cpu", "cuda")
"""Devices on which torch has fused optimisers."""


def make_optimizer(network: nn.Module, settings: Train) -> torch.optim.Optimizer:
    """The optimiser, with a group each for all matrices but the last, the last, and tensors of one dimension.

    The third group has no weight decay, with LARS no adapted rate either. A group's `share` is its part of the learning
    rate, see `set_learning_rate`.
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
    # torch refuses Nesterov's without momentum, though it would change nothing.
    nesterov = settings.nesterov and momentum > 0
    # One kernel a group instead of five: 0.4 of the time on a CPU, few launches on a GPU.
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
    """Load the state of an optimiser, but not its settings."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        index: {name: _match_layout(value, parameters[index]) for name, value in kept.items()}
        for index, kept in saved["state"].items()
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _match_layout(value: Any, parameter: nn.Parameter) -> Any:
    """A tensor of a parameter's state in the parameter's memory layout, which fused kernels rely on."""
    if not isinstance(value, torch.Tensor) or value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]


def learning_rate_at(step: int, steps_per_epoch: int, settings: Train) -> float:
    """The rate of a step (from 0): a linear warm-up, then the schedule to 0 or by its factors."""
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
