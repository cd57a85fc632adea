"""Open the engine file of a package in PyTorch, without seatrial."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def open_engine(path: Path, runtime: Mapping[str, Any], output: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The network as its library builds it, with the weights that were measured."""
    import torch
    from safetensors.torch import load_file

    arguments = {**runtime["arguments"], "num_classes": runtime["classes"]}
    if runtime["builder"] == "timm":
        import timm

        network = timm.create_model(runtime["network"], pretrained=False, **arguments)
    else:
        import torchvision

        network = torchvision.models.get_model(runtime["network"], weights=None, **arguments)
    network.load_state_dict(load_file(path), strict=True)
    device, dtype = torch.device(runtime["device"]), getattr(torch, runtime["dtype"])
    memory = torch.channels_last if runtime["channels_last"] else torch.contiguous_format
    network = network.eval().to(device, dtype).to(memory_format=memory)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) * 255 for values in (runtime["mean"], runtime["std"]))
    if device.type == "cpu":
        torch.set_num_threads(runtime["threads"])
    else:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def run(batch: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            images = torch.from_numpy(batch).to(device)
            if images.dtype == torch.uint8:
                images = (images.permute(0, 3, 1, 2).float() - mean.to(device)) / std.to(device)
            scores = network(images.to(dtype, memory_format=memory)).float().cpu()
        return np.asarray(scores.numpy())

    return run
