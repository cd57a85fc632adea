"""What the arithmetic of a training is done in: autocast around the network, and fp16's scaled loss."""

from typing import Literal

import torch
from torch import nn

from seatrial.engines.cpu import has_fast_bf16
from seatrial.errors import EngineError
from seatrial.recipes.training import Train

Amp = Literal["fp32", "bf16", "fp16"]
FIRST_SCALE = 2.0**16
"""torch's own; a dynamic scale finds its way from there."""
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_amp(settings: Train, device: torch.device) -> Amp:
    """The precision that the settings come to on this device."""
    if settings.amp == "off":
        return "fp32"
    if settings.amp != "auto":
        return settings.amp
    return "bf16" if _is_fast_at_bf16(device) else "fp32"


def _is_fast_at_bf16(device: torch.device) -> bool:
    if device.type == "cpu":
        return has_fast_bf16()
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.get_device_module(device).is_bf16_supported())


class Precision:
    """Autocast and loss scaling of one training; weights and optimiser stay fp32."""

    def __init__(self, settings: Train, device: torch.device) -> None:
        self.amp = choose_amp(settings, device)
        self.device = device
        self.static = None if settings.loss_scale == "dynamic" else settings.loss_scale
        self.scaler = torch.amp.GradScaler(
            device.type, init_scale=self.static or FIRST_SCALE, enabled=self.amp == "fp16"
        )

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
            told = str(error).strip().partition("\n")[0]
            raise EngineError(f"torch.compile failed ({told})", "train without --compile") from None
        return logits.float()

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """The optimiser's step; left out where fp16's gradients ran over, which a dynamic scale then makes up for."""
        self.scaler.step(optimizer)
        self.scaler.update(self.static)
