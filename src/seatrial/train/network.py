"""The network of a training in its forms: the plain one, spread over processes, compiled, and averaged."""

import math
from typing import Any

import torch
from torch import nn

from seatrial.errors import UsageError
from seatrial.models.build import build_network
from seatrial.recipes.schema import Recipe
from seatrial.train.distributed.process_group import World


class TrainedNetwork:
    """One network: `plain` has the weights, `whole` is what a training step goes through."""

    def __init__(self, recipe: Recipe, world: World) -> None:
        settings = recipe.train
        torch.manual_seed(settings.seed)
        plain = build_network(recipe.network)
        if settings.sync_bn and world.size > 1:
            if world.device.type == "cpu":
                raise UsageError("BatchNorm is synchronised between GPUs or NPUs only", "leave out --sync-bn")
            plain = nn.SyncBatchNorm.convert_sync_batchnorm(plain)  # type: ignore[no-untyped-call]
        memory = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.plain: nn.Module = plain.to(world.device).to(memory_format=memory)
        self.average = _make_average(self.plain, settings.ema)
        self.memory = memory
        self.world = world
        self.whole = self._wrap(settings.compile)

    def _wrap(self, compiled: bool) -> nn.Module:
        whole = self.plain
        if self.world.size > 1:
            ids = None if self.world.device.type == "cpu" else [self.world.device]
            whole = nn.parallel.DistributedDataParallel(whole, device_ids=ids, gradient_as_bucket_view=True)
        # The plain one stays as it is, for validation's odd batches would be compiled once more.
        return torch.compile(whole) if compiled else whole  # type: ignore[return-value]

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and stored: the average where there is one."""
        return self.plain if self.average is None else self.average.module

    def update_average(self, step: int) -> None:
        """Take the weights after a step, counted from 1, into the average, which begins with the first's."""
        if self.average is not None:
            self.average.update(self.plain, step)

    def even_out(self) -> None:
        """Give all processes the first one's running statistics, which the others' differ from after a step."""
        self.world.spread_first(list(self.kept.buffers()))

    def load(self, state: dict[str, Any], average: dict[str, Any] | None) -> None:
        """Take over weights; an average that is not there begins with them."""
        self.plain.load_state_dict(state)
        if self.average is not None:
            self.average.module.load_state_dict(state if average is None else average)

    def has_batch_norm(self) -> bool:
        """Whether a step needs at least two images."""
        kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
        return any(isinstance(module, kinds) for module in self.plain.modules())


def _make_average(network: nn.Module, decay: float) -> Any:
    if decay == 0:
        return None
    from timm.utils.model_ema import ModelEmaV3

    return ModelEmaV3(network, decay=decay)


def is_finite(module: nn.Module) -> bool:
    """Whether all weights and running statistics are numbers."""
    floats = [t for t in module.state_dict().values() if t.is_floating_point()]
    return bool(nn.utils.get_total_norm(floats, math.inf).isfinite())
