"""How checkpoints are wrapped and named, and how they become the network's own names.

| where | what is there |
|---|---|
| around the weights | nothing, or one of `WRAPPERS` |
| before every name | `module.` (DataParallel, DistributedDataParallel), `_orig_mod.` (torch.compile) |
| mmcls, mmpretrain | `backbone.X`, `head.fc.X`, and `se_layer.convN.conv.X` for `se.fcN.X` |
| linear squeeze | `layerL.B.fcN.X` for `layerL.B.se.fcN.X`, its matrices for 1×1 convolutions |
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seatrial.errors import RefusedFile
from seatrial.models.read_file import SAVE_STATE, Content

WRAPPERS = ("state_dict_ema", "state_dict", "model")
"""The first that a file has is taken: timm too prefers averaged weights, by which it also chooses its best epoch."""
PREFIXES = ("module.", "_orig_mod.")
DTYPES = frozenset(
    getattr(torch, name)
    for name in ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64")
)

State = dict[str, Tensor]


def find_state(content: Content, path: Path) -> tuple[State, str]:
    """The weights in a file, in the network's own names as far as they are known, and the layout in words.

    Raises:
        RefusedFile: it has no weights, or something that is not a plain dense tensor among them.
    """
    state, wrapper = _unwrap(content.value, path)
    for key, value in state.items():
        _check_tensor(path, key, value)
    renamed, names = _rename(state)
    return renamed, ", ".join([content.format, wrapper, *names])


def _unwrap(value: Any, path: Path) -> tuple[dict[str, Any], str]:
    if not isinstance(value, Mapping):
        raise RefusedFile(f"{path} is a {type(value).__name__}, not named weights", SAVE_STATE)
    for wrapper in WRAPPERS:
        if isinstance(value.get(wrapper), Mapping) and value[wrapper]:
            passed_over = wrapper == "state_dict_ema" and "state_dict" in value
            return dict(value[wrapper]), f"{wrapper}{' (before its state_dict)' if passed_over else ''}"
    if any(isinstance(entry, Tensor) for entry in value.values()):
        return dict(value), "plain"
    keys = ", ".join(repr(key)[:40] for key in list(value)[:8]) or "nothing"
    raise RefusedFile(f"{path} has no weights but {keys}", f"store them under {', '.join(WRAPPERS)}")


def _check_tensor(path: Path, key: Any, value: Any) -> None:
    if not isinstance(key, str) or not key.isprintable():
        raise RefusedFile(f"{path}: {repr(key)[:40]} among its weights is no name", SAVE_STATE)
    if not isinstance(value, Tensor):
        raise RefusedFile(f"{path}: '{key}' among its weights is a {type(value).__name__}, not a tensor", SAVE_STATE)
    dense = value.layout is torch.strided and value.device.type == "cpu"
    if not dense or value.dtype not in DTYPES or type(value) not in (Tensor, torch.nn.Parameter):
        kind = f"{value.layout} {value.dtype} on {value.device}".replace("torch.", "")
        raise RefusedFile(f"{path}: '{key}' is {kind}", "weights are dense tensors of floats or whole numbers")


def _rename(state: State) -> tuple[State, list[str]]:
    words = []
    while prefix := next((p for p in PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        words.append(prefix)
    if all(key.startswith(("backbone.", "head.fc.")) for key in state):
        names = {key: _from_mmpretrain(key) for key in state}
        words.append("mmpretrain's names")
    else:
        names = {key: re.sub(r"^(layer\d+\.\d+)\.(fc[12]\.)", r"\1.se.\2", key) for key in state}
        words += ["linear squeeze"] if any(old != new for old, new in names.items()) else []
    if len(set(names.values())) < len(names):
        return state, words  # Two keys would share a name: neither is dropped, and the accounting names both.
    return {new: _to_convolution(new, state[old]) for old, new in names.items()}, words


def _from_mmpretrain(key: str) -> str:
    key = key.removeprefix("backbone.").removeprefix("head.")
    return re.sub(r"\.se_layer\.conv([12])\.conv\.", r".se.fc\1.", key)


def _to_convolution(key: str, tensor: Tensor) -> Tensor:
    """A linear layer's matrix as the 1×1 convolution that a squeeze has in timm."""
    return tensor[:, :, None, None] if tensor.ndim == 2 and ".se.fc" in key else tensor
