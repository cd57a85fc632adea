"""Images on their way to the device, and figures on their way back, without making either side wait."""

from typing import Any

import torch
from numpy.typing import NDArray

from seatrial.recipes.schema import Recipe


class Upload:
    """uint8 images to what a network takes; they are normalised on the device, at a quarter of the bytes to copy."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        mean, std = recipe.normalisation
        self.device = device
        self.mean = torch.tensor(mean, device=device).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(std, device=device).view(1, 3, 1, 1) * 255
        self.channels_last = recipe.train.channels_last

    def take(self, values: NDArray[Any]) -> torch.Tensor:
        """The values on the device; their own memory may be used again afterwards, except on a CPU."""
        tensor = torch.from_numpy(values)
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """What the network takes, (n, 3, height, width), of uint8 images (n, height, width, 3)."""
        images = pixels.permute(0, 3, 1, 2).float().sub_(self.mean).div_(self.std)
        return images if self.channels_last else images.contiguous()


class Readback:
    """A tensor that is copied behind the work in hand, and read once that has come to it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        # To memory that is pinned, so that the copy runs behind the step and not the host behind the copy.
        self._host = tensor.to("cpu", non_blocking=True)
        self._done: Any = None
        if tensor.device.type != "cpu":
            self._done = torch.get_device_module(tensor.device).Event()
            self._done.record()

    def read(self) -> list[float]:
        """The figures; waits until they are there, not for later work."""
        if self._done is not None:
            self._done.synchronize()
        return [float(value) for value in self._host.tolist()]
