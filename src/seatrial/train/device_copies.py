"""Copies of images to the device and of figures back, without making either side wait."""

from typing import Any

import torch
from numpy.typing import NDArray

from seatrial.recipes.schema import Recipe


class Upload:
    """Copies uint8 images to the device and normalises them there: a quarter of the bytes of float32."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        mean, std = recipe.normalisation
        self.device = device
        self.mean = torch.tensor(mean, device=device).view(1, -1, 1, 1) * 255
        self.std = torch.tensor(std, device=device).view(1, -1, 1, 1) * 255
        self.channels_last = recipe.train.channels_last

    def copy(self, values: NDArray[Any]) -> torch.Tensor:
        """The values on the device; their memory may be reused afterwards, except on a CPU."""
        tensor = torch.from_numpy(values)
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised images (n, channels, height, width) from uint8 images (n, height, width, channels)."""
        images = pixels.permute(0, 3, 1, 2).float().sub_(self.mean).div_(self.std)
        return images if self.channels_last else images.contiguous()


class Readback:
    """Copies a tensor to the host after the work that is queued on the device, and reads it when that is done."""

    def __init__(self, tensor: torch.Tensor) -> None:
        # To pinned memory, so that the host does not wait for the copy.
        self._host = tensor.to("cpu", non_blocking=True)
        self._done: Any = None
        if tensor.device.type != "cpu":
            self._done = torch.get_device_module(tensor.device).Event()
            self._done.record()

    def read(self) -> list[float]:
        """The values; waits for the copy, not for work that was queued later."""
        if self._done is not None:
            self._done.synchronize()
        return [float(value) for value in self._host.tolist()]
