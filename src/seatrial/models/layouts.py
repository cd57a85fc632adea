"""How checkpoints are wrapped and named, and how they become the network's own names.

| where | what is there |
|---|---|
| around the weights | nothing, or keys that fit `AVERAGED`, of `RAW` and of `INSIDE`, one in another |
| before every name | `module.` (DataParallel, DistributedDataParallel), `_orig_mod.` (torch.compile) |
| among the names | counters that tools leave behind (`SURPLUS`) |
| mmcls, mmpretrain | `backbone.X`, `head.fc.X`, and `se_layer.convN.conv.X` for `se.fcN.X` |
| linear squeeze | `layerL.B.fcN.X` for `layerL.B.se.fcN.X`, its matrices for 1×1 convolutions |

What only the network's own names can tell is in `fit_names`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seatrial.errors import RefusedFile
from seatrial.models.read_file import SAVE_STATE, Content
from seatrial.models.reading import AS_IT_IS, CheckpointReading

AVERAGED = re.compile(r"(?:^|[_.])(?:ema|swa|averaged?)(?:[_.]|$)", re.IGNORECASE)
"""What keys and prefixes of averaged weights have in them. These go before the others: they are what is published, and
what timm chooses by."""
RAW = ("state_dict", "model", "model_state_dict", "net", "network", "params", "weights", "module")
INSIDE = ("module", "shadow", "shadow_params", *RAW)
"""Where the weights are inside those."""
PREFIXES = ("module.", "_orig_mod.")
COUNTED = "n_averaged"
"""What torch's `AveragedModel` counts, beside the averaged weights."""
SURPLUS = re.compile(r"(?:^|\.)(?:total_ops|total_params|n_averaged)$")
"""Counters of thop and of torch's `AveragedModel`, which no network reads."""
DTYPES = frozenset(
    getattr(torch, name)
    for name in ("float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64")
)

State = dict[str, Tensor]


def find_state(content: Content, path: Path, reading: CheckpointReading = AS_IT_IS) -> tuple[State, str]:
    """The weights in a file, in the network's own names as far as they are known, and the layout in words.

    Raises:
        RefusedFile: it has no weights, not those that `reading` says, or something that is not a plain dense tensor
            among them.
    """
    state, wrapper = _unwrap(content.value, path, reading)
    for key, value in state.items():
        _check_tensor(path, key, value)
    kept = {key: value for key, value in state.items() if not SURPLUS.search(key)}
    dropped = [] if len(kept) == len(state) else [f"{len(state) - len(kept)} counters of tools left out"]
    renamed, names = _rename(kept)
    return renamed, ", ".join([content.format, wrapper, *dropped, *names])


def _unwrap(value: Any, path: Path, reading: CheckpointReading) -> tuple[dict[str, Any], str]:
    if not isinstance(value, Mapping):
        raise RefusedFile(f"{path} is a {type(value).__name__}, not named weights", SAVE_STATE)
    if reading.key is not None:
        return _take_key(value, path, reading.key)
    inside = {key: inner for key, each in value.items() if (inner := _find_inside(each)) is not None}
    averaged = [key for key in inside if isinstance(key, str) and AVERAGED.search(key)]
    raw = [name for name in RAW if name in inside]
    if len(averaged) > 1 and reading.weights != "raw":
        raise RefusedFile(f"{path} has averaged weights at {' and '.join(averaged)}", "choose with --checkpoint-key")
    if averaged and reading.weights != "raw":
        _refuse_rivals(inside[averaged[0]], value[averaged[0]], averaged[0], path)
        return inside[averaged[0]], averaged[0] + (f" (before its {raw[0]})" if raw else "")
    if raw:
        _refuse_rivals(inside[raw[0]], value[raw[0]], raw[0], path)
    plain = any(isinstance(entry, Tensor) for entry in value.values())
    found, where = (inside[raw[0]], raw[0]) if raw else (dict(value), "plain")
    rivals = [key for key in inside if raw and key not in (raw[0], *averaged) and _is_rival(found, inside[key])]
    if rivals:
        named = " and ".join(map(str, (raw[0], *rivals)))
        raise RefusedFile(f"{path} has weights of one network at {named}", "choose with --checkpoint-key")
    # Averaged ones may be among the others, under a prefix or counted.
    mixed = any(AVERAGED.search(str(key).rpartition(".")[0]) or str(key) == COUNTED for key in found)
    if (raw or plain) and (reading.weights != "ema" or mixed):
        if reading.weights == "raw" and COUNTED in found:
            raise RefusedFile(f"{path} has averaged weights only ({COUNTED})", "leave --weights raw out")
        return found, where
    keys = ", ".join(repr(key)[:40] for key in list(value)[:8]) or "nothing"
    what = {"ema": "averaged weights", "raw": "raw weights"}.get(reading.weights or "", "weights")
    raise RefusedFile(
        f"{path} has no {what} but {keys}", "say where they are with --checkpoint-key, such as ema.module"
    )


def _refuse_rivals(found: State, wrapper: Any, key: str, path: Path) -> None:
    """Refuse a wrapper at `key` that has other weights of the network too, such as averaged ones, beside those found.

    Raises:
        RefusedFile: names where both are.
    """
    there = dict(_list_inside(wrapper, key))
    # By identity, as what is no number is not equal to itself.
    own = next((name for name, each in there.items() if all(each.get(k) is tensor for k, tensor in found.items())), key)
    rivals = [name for name, each in there.items() if name != own and _is_rival(found, each)]
    if rivals:
        raise RefusedFile(
            f"{path} has weights of one network at {' and '.join((own, *rivals))}", "choose with --checkpoint-key"
        )


def _list_inside(value: Any, key: str, depth: int = 3) -> Iterator[tuple[str, State]]:
    """Every mapping of tensors in a wrapper, whatever it is called, and where it is."""
    if not isinstance(value, Mapping) or not depth:
        return
    if any(isinstance(entry, Tensor) for entry in value.values()):
        yield key, dict(value)
    for name, each in value.items():
        yield from _list_inside(each, f"{key}.{name}", depth - 1)


def _is_rival(ours: State, theirs: State) -> bool:
    """Whether the same network has either, but with other weights."""
    a, b = (_strip(state)[0] for state in (ours, theirs))
    if a.keys() != b.keys() or not all(isinstance(each, Tensor) for each in (*a.values(), *b.values())):
        return False
    same_shapes = all(a[key].shape == b[key].shape for key in a)
    return same_shapes and not all(torch.equal(a[key], b[key]) for key in a)


def _strip(state: State) -> tuple[State, list[str]]:
    """The weights without the prefixes that all names have, and these."""
    prefixes = []
    while prefix := next((p for p in PREFIXES if state and all(str(key).startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        prefixes.append(prefix)
    return state, prefixes


def _take_key(value: Mapping[Any, Any], path: Path, key: str) -> tuple[dict[str, Any], str]:
    found: Any = value
    for part in [key] if key in value else key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            known = ", ".join(map(repr, list(found)[:8])) if isinstance(found, Mapping) else type(found).__name__
            raise RefusedFile(f"{path} has nothing at --checkpoint-key {key}", f"there is {known}")
        found = found[part]
    inner = _find_inside(found)
    if inner is None:
        raise RefusedFile(f"{path} has no weights at --checkpoint-key {key}", "name the key of a mapping with tensors")
    _refuse_rivals(inner, found, key, path)
    return inner, key


def _find_inside(value: Any, depth: int = 3) -> dict[str, Any] | None:
    """The mapping of tensors in a wrapper, or in a wrapper inside it; None where there is none."""
    if not isinstance(value, Mapping) or not depth:
        return None
    found = (_find_inside(value.get(name), depth - 1) for name in INSIDE)
    inner = next((inner for inner in found if inner is not None), None)
    if inner is None and any(isinstance(entry, Tensor) for entry in value.values()):
        return dict(value)
    return inner


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
    state, words = _strip(state)
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
