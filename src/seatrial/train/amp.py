"""Mixed precision: autocast around the network, and the scaled loss of fp16."""

from typing import Literal

import torch
from torch import nn

from seatrial.errors import EngineError, TrainingDiverged
from seatrial.machine.cpu import has_fast_bf16
from seatrial.models.build import sketch_network
from seatrial.recipes.schema import Network, Recipe
from seatrial.recipes.training import Train

Amp = Literal["fp32", "bf16", "fp16"]
FIRST_SCALE = 2.0**16
"""torch's default; a dynamic scale adapts from there."""
MOST_SKIPPED = 50
"""Steps in a row that fp16 may skip; a dynamic scale falls from `FIRST_SCALE` to 1 in 16."""
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_amp(recipe: Recipe, device: torch.device) -> Recipe:
    """The recipe with `amp` auto replaced by what suits its network on this device."""
    if recipe.train.amp != "auto":
        return recipe
    amp = "bf16" if _is_fast_at_bf16(device, recipe.network) else "off"
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"amp": amp})})


def name_precision(settings: Train) -> Amp:
    """The precision of settings whose `amp` is resolved, by the name that records have."""
    assert settings.amp != "auto", "resolve_amp comes first"
    return "fp32" if settings.amp == "off" else settings.amp


def _is_fast_at_bf16(device: torch.device, network: Network) -> bool:
    if device.type == "cpu":
        # torch's depthwise convolutions are slower in bf16: even with AMX SPNASNet's step takes longer in it than in
        # fp32, where networks of other grouped convolutions gain (benchmarks/results/train_steps.txt).
        return has_fast_bf16() and not _has_depthwise(network)
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.get_device_module(device).is_bf16_supported())


def _has_depthwise(network: Network) -> bool:
    layers = (layer for layer in sketch_network(network).modules() if isinstance(layer, nn.Conv2d))
    return any(layer.groups == layer.in_channels > 1 for layer in layers)


class Precision:
    """Autocast and loss scaling of one training; weights and optimiser stay fp32."""

    def __init__(self, settings: Train, device: torch.device) -> None:
        self.amp = name_precision(settings)
        self.device = device
        self.static = None if settings.loss_scale == "dynamic" else settings.loss_scale
        self.scaler = torch.amp.GradScaler(
            device.type, init_scale=self.static or FIRST_SCALE, enabled=self.amp == "fp16"
        )
        self.steps = 0
        self.skipped = torch.zeros((), device=device)
        """Steps skipped in a row."""

    def run(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """The network's logits of normalised images, in float32.

        Raises:
            EngineError: torch.compile failed.
        """
        try:
            with torch.autocast(self.device.type, DTYPES.get(self.amp, torch.bfloat16), enabled=self.amp != "fp32"):
                logits: torch.Tensor = network(images)
        except RuntimeError as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise
            reason = str(error).strip().partition("\n")[0]
            raise EngineError(f"torch.compile failed ({reason})", "train without --compile") from None
        return logits.float()

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """The optimiser's step; skipped where gradients overflowed in fp16, after which a dynamic scale is smaller.

        Raises:
            TrainingDiverged: too many steps in a row were skipped.
        """
        self.scaler.step(optimizer)
        if self.amp == "fp16":
            self._count_skipped(optimizer)
        self.scaler.update(self.static)

    def _count_skipped(self, optimizer: torch.optim.Optimizer) -> None:
        # Fused optimisers skip the step in their kernels, so only the scaler knows.
        overflows = self.scaler._found_inf_per_device(optimizer)
        self.skipped = (self.skipped + 1) * sum(overflows.values())
        self.steps += 1
        # Not at each step, as it waits for the device.
        if self.steps % MOST_SKIPPED == 0 and self.skipped.item() >= MOST_SKIPPED:
            dynamic = "give --amp bf16, or a smaller --learning-rate"
            raise TrainingDiverged(
                f"fp16 gradients overflowed in each of the last {MOST_SKIPPED} steps, with a loss scale of "
                f"{self.scaler.get_scale():g} in the last",
                "give a smaller --loss-scale, or dynamic" if self.static else dynamic,
            )
