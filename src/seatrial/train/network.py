"""The network of a training: plain, distributed over processes, compiled, and averaged."""

import math
from typing import Any

import torch
from torch import nn

from seatrial.errors import UsageError
from seatrial.models.build import build_network
from seatrial.models.forward import check_logits, refuse_images
from seatrial.recipes.schema import Recipe
from seatrial.train.distributed.process_group import ProcessGroup


class TrainedNetwork:
    """One network: `plain` has the weights, `whole` is distributed and compiled, for the training steps."""

    def __init__(self, recipe: Recipe, group: ProcessGroup) -> None:
        settings = recipe.train
        torch.manual_seed(settings.seed)
        self.spec = recipe.network
        plain = build_network(recipe.network)
        if settings.sync_bn and group.size > 1:
            if group.device.type == "cpu":
                raise UsageError("--sync-bn needs GPUs or NPUs, and the device is cpu", "leave it out")
            plain = nn.SyncBatchNorm.convert_sync_batchnorm(plain)  # type: ignore[no-untyped-call]
        memory = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.plain: nn.Module = plain.to(group.device).to(memory_format=memory)
        self.average: Any = None
        if settings.ema:
            from timm.utils.model_ema import ModelEmaV3

            self.average = ModelEmaV3(self.plain, decay=settings.ema)
        self.group = group
        self.whole = self._wrap(settings.compile)

    def _wrap(self, compiled: bool) -> nn.Module:
        whole = self.plain
        if self.group.size > 1:
            ids = None if self.group.device.type == "cpu" else [self.group.device]
            whole = nn.parallel.DistributedDataParallel(whole, device_ids=ids, gradient_as_bucket_view=True)
        # The plain one is not compiled: the odd batches of validation would be compiled once more.
        return torch.compile(whole) if compiled else whole  # type: ignore[return-value]

    def check_images(self, shape: tuple[int, ...], fix: str, training: bool = True) -> None:
        """Run the plain network once on black images (n, channels, height, width), before hours of work are.

        Raises:
            UsageError: it does not run on them, or gives no logits.
        """
        statistics = [buffer.clone() for buffer in self.plain.buffers()]
        images = torch.zeros(shape, device=self.group.device)
        self.plain.train(training)
        with refuse_images(self.spec.name, shape, fix), torch.no_grad():
            logits = self.plain(images)
        for buffer, before in zip(self.plain.buffers(), statistics, strict=True):
            buffer.copy_(before)
        check_logits(self.spec.name, logits, shape[0], self.spec.classes)

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and stored: the averaged one if there is one."""
        return self.plain if self.average is None else self.average.module

    def update_average(self, step: int) -> None:
        """Add the weights after a step (from 1) to the average, which starts with those of the first."""
        if self.average is not None:
            self.average.update(self.plain, step)

    def load(self, state: dict[str, Any], average: dict[str, Any] | None) -> None:
        """Load weights; without averaged ones the average starts with them."""
        self.plain.load_state_dict(state)
        if self.average is not None:
            self.average.module.load_state_dict(state if average is None else average)

    def has_batch_norm(self) -> bool:
        """Whether the network has BatchNorm, so that a step needs at least two images."""
        kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
        return any(isinstance(module, kinds) for module in self.plain.modules())


def is_finite(module: nn.Module) -> bool:
    """Whether all weights and running statistics are finite."""
    floats = [t for t in module.state_dict().values() if t.is_floating_point()]
    return bool(nn.utils.get_total_norm(floats, math.inf).isfinite())
