"""Every key of a checkpoint accounted for: nothing missing, nothing left over, no other shape, only numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from seatrial.errors import RefusedFile
from seatrial.models.build import change_classes, sketch_network
from seatrial.recipes.load import list_cards, load_recipe
from seatrial.recipes.schema import Network

SHOWN = 3
"""Keys of each kind that a refusal names; the rest is counted."""
COUNTER = "num_batches_tracked"
"""Counts training steps, which inference never reads; torch before 0.4.1 did not store it."""
LEFT_OVER = "left over"
RESHAPED = "of another shape"
DETECTOR_PARTS = frozenset({"neck", "bbox_head", "roi_head", "rpn_head", "mask_head"})


def find_difference(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """The keys that differ in name or shape, by how they do; a missing count of batches is no difference."""
    reshaped = (key for key in wanted if key in state and state[key].shape != wanted[key].shape)
    found = {
        "missing": [key for key in wanted if key not in state and not key.endswith(COUNTER)],
        LEFT_OVER: [key for key in state if key not in wanted],
        RESHAPED: [f"{key} {_shape(state[key])} for {_shape(wanted[key])}" for key in reshaped],
    }
    return {how: keys for how, keys in found.items() if keys}


def check_fit(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], network: Network, path: Path) -> None:
    """Refuse weights that are not this network's.

    Raises:
        RefusedFile: names the first keys that differ and, where it is known, whose weights they are.
    """
    difference = find_difference(state, wanted)
    if difference:
        details = "; ".join(count_keys(how, keys) for how, keys in difference.items())
        whose = recognise(state, wanted, difference.get(LEFT_OVER, ()), network)
        raise RefusedFile(f"{path} does not fit '{network.name}': {details}", whose)


def to_float32(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Weights that fit as contiguous float32 copies in the network's order; counts keep their own dtype.

    Raises:
        RefusedFile: a weight is no finite number, or whole numbers are where floats belong.
    """
    converted = {}
    for key, target in wanted.items():
        if key not in state:
            converted[key] = torch.zeros(target.shape, dtype=target.dtype)
            continue
        found = state[key]
        if target.is_floating_point() != found.is_floating_point():
            kinds = f"{found.dtype}, not {target.dtype}".replace("torch.", "")
            raise RefusedFile(f"{path}: '{key}' is {kinds}", "give the weights from before they were quantised")
        copied = found.detach().to(target.dtype, copy=True, memory_format=torch.contiguous_format)
        broken = copied.numel() - int(copied.isfinite().sum())
        if broken:
            raise RefusedFile(
                f"{path}: '{key}' has {broken:,} of {copied.numel():,} weights that are NaN or infinite",
                "the training diverged, or the file is damaged",
            )
        converted[key] = copied
    return converted


def recognise(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], left_over: Sequence[str], network: Network
) -> str:
    """Whose weights these are, in words, judged by their names and shapes."""
    parts = sorted({key.partition(".")[0] for key in left_over})
    if DETECTOR_PARTS.intersection(parts):
        return f"these are a detector's weights ({', '.join(parts)}): fetch the classifier's"
    difference = find_difference(state, wanted)
    if difference.keys() == {RESHAPED} and all("position" in key for key in difference[RESHAPED]):
        return "they are for another image size: give the reference of the network at that size, as its config.json is"
    for classes in _find_classes(state, wanted, network.classes):
        if _fits(state, change_classes(network, classes)):
            return (
                f"it has {classes} classes, the recipe {network.classes}: give --classes {classes} where that is a "
                f"library's or comes with seatrial, else change network.classes of the card"
            )
    heads = [tensor for tensor in state.values() if tensor.ndim == 2]
    if len(heads) == 1 and len(heads[0]):
        classes = len(heads[0])
        for name in list_cards():
            if _fits(state, change_classes(load_recipe(name).network, classes)):
                return f"it fits the network of recipe '{name}' with {classes} classes: use that, or another file"
    return (
        "these are another network's weights, or not all: give this network's own file, --strip-prefix or "
        "--checkpoint-key; a network that differs from it is given as FILE.py:CALLABLE"
    )


def _find_classes(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], classes: int) -> set[int]:
    """How many classes weights may be for: other first axes of those that have one for each class."""
    return {
        len(state[key])
        for key, value in wanted.items()
        if value.ndim and len(value) == classes and key in state and state[key].shape[1:] == value.shape[1:]
        if state[key].ndim and 0 < len(state[key]) != classes
    }


def _fits(state: Mapping[str, Tensor], network: Network) -> bool:
    return not find_difference(state, sketch_network(network).state_dict())


def count_keys(what: str, keys: Sequence[str]) -> str:
    """How many keys there are of a kind, and the first of them."""
    rest = f" and {len(keys) - SHOWN:,} more" if len(keys) > SHOWN else ""
    return f"{len(keys):,} {what} ({', '.join(keys[:SHOWN])}{rest})"


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "scalar"
