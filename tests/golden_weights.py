"""Weights and inputs that follow from names alone, so that no weights need to be stored beside the golden logits."""

import zlib
from collections.abc import Mapping, Sequence
from math import prod, sqrt

import numpy as np
import torch
from torch import Tensor, nn


def make_weight(key: str, shape: Sequence[int], salt: str = "") -> Tensor:
    """The weight of that name and shape; float32, or int64 for a count of batches."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1000)
    generator = np.random.Generator(np.random.PCG64(zlib.crc32((salt + key).encode())))
    if key.endswith("running_var"):
        values = generator.uniform(0.5, 1.5, shape)
    elif len(shape) == 1 and key.endswith("weight"):
        values = generator.uniform(0.5, 1.0, shape)
    elif len(shape) == 1:
        values = 0.1 * generator.standard_normal(shape)
    else:
        values = generator.standard_normal(shape) / sqrt(prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def make_state(shapes: Mapping[str, Sequence[int]], salt: str = "") -> dict[str, Tensor]:
    """A whole state dict from its names and shapes."""
    return {key: make_weight(key, shape, salt) for key, shape in shapes.items()}


def fill_golden_weights(module: nn.Module, salt: str = "") -> None:
    """Give a network the weights of its own names: unlike fresh ones, no branch is zero and no statistic trivial."""
    module.load_state_dict(make_state({key: tensor.shape for key, tensor in module.state_dict().items()}, salt))


def make_input(seed: int = 7, images: int = 2, size: int = 224) -> Tensor:
    """Normal noise as a batch of normalised images."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy(generator.standard_normal((images, 3, size, size)).astype(np.float32))
