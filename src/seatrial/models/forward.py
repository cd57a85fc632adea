"""Running a network that may not take what it is given, or may be no function of images in float32."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seatrial.errors import SeatrialError, UsageError, first_line
from seatrial.machine.out_of_memory import pass_on
from seatrial.metrics.noise_floor import SAME_FLOORS
from seatrial.models.user_code import contain, describe_failure

IN_FLOAT32 = "call .float() on the network, and leave .half(), .double(), autocast and their like out of its forward"
SHOWN = 2
"""Weights that an error names."""


@contextmanager
def refuse_images(name: str, shape: Sequence[int], fix: str) -> Iterator[None]:
    """Run a library's or the user's own network on images (n, channels, height, width) in the block.

    Raises:
        UsageError: its code raised something, or would have ended the process; `fix` says what else to give.
    """
    count, channels, height, width = shape
    try:
        with contain():
            yield
    except SeatrialError:
        raise
    except SystemExit as error:
        raise UsageError(f"'{name}' does not run ({describe_failure(error)})", "mend its forward") from None
    except Exception as error:
        pass_on(error)
        images = f"{'an image' if count == 1 else f'{count} images'} of {height} × {width}"
        grey = ", 1 channel," if channels == 1 else ""
        raise UsageError(f"'{name}' does not run on {images}{grey} ({first_line(error)})", fix) from None


def check_logits(name: str, logits: Any, images: int, classes: int | None = None) -> int:
    """How many classes a network's output for so many images has.

    Raises:
        UsageError: it is no float32 tensor of logits (n, classes), of another number of `images` or of `classes`.
    """
    what = None
    if not isinstance(logits, Tensor):
        what = f"a {type(logits).__name__}"
    elif logits.layout != torch.strided:
        what = f"a tensor of layout {logits.layout}".replace("torch.", "")
    elif logits.ndim != 2:
        what = f"a tensor of {logits.ndim} axes"
    elif not logits.is_floating_point():
        what = f"{_name_dtype(logits.dtype)} numbers"
    if what is not None:
        raise UsageError(
            f"'{name}' gives {what} for a batch of images",
            "its forward must return logits (n, classes), in training too: switch auxiliary heads off in "
            "network.arguments",
        )
    if len(logits) != images:
        raise UsageError(
            f"'{name}' gives logits of {len(logits)} images for {images}",
            "its forward must take a batch of any size: leave axis 0 of its tensors alone",
        )
    if logits.shape[1] == 1:
        raise UsageError(
            f"'{name}' gives one number for an image, and a classifier has two classes or more",
            "of the score z of one class make logits of two in its forward: torch.cat([torch.zeros_like(z), z], 1)",
        )
    if classes not in (None, logits.shape[1]):
        raise UsageError(
            f"'{name}' gives {logits.shape[1]} numbers for an image, its card has {classes} classes",
            "correct network.classes of the card",
        )
    return int(logits.shape[1])


def check_weights(name: str, network: nn.Module) -> None:
    """Refuse weights or running statistics that are floats of another width than float32.

    Raises:
        UsageError: names the width and the first of them.
    """
    others = [key for key, value in network.state_dict().items() if _is_other_float(value)]
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        width = _name_dtype(network.state_dict()[others[0]].dtype)
        raise UsageError(f"'{name}' has weights in {width} ({', '.join(others[:SHOWN])}{more})", IN_FLOAT32)


class Float32Only(TorchFunctionMode):
    """While it is entered, a function that makes of the images floats of another width than float32 is refused.

    Constants do not matter, which an exporter folds.
    """

    def __init__(self, name: str, images: Tensor) -> None:
        super().__init__()
        self._name = name
        self._from_images: WeakValueDictionary[int, Tensor] = WeakValueDictionary({id(images): images})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if any(self._from_images.get(id(each)) is each for each in _list_tensors((args, kwargs))):
            for each in _list_tensors(made):
                if _is_other_float(each):
                    where = f"`{getattr(func, '__name__', func)}` of its forward gives it first"
                    raise UsageError(f"'{self._name}' computes in {_name_dtype(each.dtype)} ({where})", IN_FLOAT32)
                self._from_images[id(each)] = each
        return made


def check_function(name: str, network: nn.Module, images: Tensor, classes: int | None = None) -> None:
    """Refuse a network in evaluation mode that gives no logits, or the same images other logits the next time.

    Raises:
        UsageError: as `check_logits`; or it draws random numbers, keeps a state, makes weights or changes its images.
    """
    known, given = network.state_dict().keys(), images.clone()
    with _seeded(0):
        first = network(images)
    check_logits(name, first, len(images), classes)
    if not torch.equal(images, given):
        raise UsageError(
            f"'{name}' changes the images that it is given",
            "make new ones in its forward: x = x - 0.5, not x -= 0.5",
        )
    made = [key for key, _ in network.named_parameters() if key not in known]
    if made:
        raise UsageError(
            f"'{name}' makes weights in its forward ({', '.join(made[:SHOWN])}), which are in no checkpoint",
            "make its layers in __init__",
        )
    # What a first run only fills in, such as a cache, is no state that moves on.
    before = {key: value.clone() for key, value in network.named_buffers()}
    with _seeded(0):
        second = network(images)
    changed = [key for key, value in network.named_buffers() if key in before and not torch.equal(value, before[key])]
    if any(before[key].is_floating_point() for key in changed) or _differ(first, second):
        what = f"its forward changes {', '.join(changed[:SHOWN])}" if changed else "its forward counts or remembers"
        raise UsageError(
            f"'{name}' has a state: {what}, so that logits depend on what it was given before",
            "compute them of the image and the weights alone; what trains, as BatchNorm does, must stop after .eval()",
        )
    with _seeded(1):
        third = network(images)
    if _differ(first, third):
        raise UsageError(
            f"'{name}' is random: it gives the same images other logits each time",
            "let .eval() end it, as nn.Dropout and F.dropout(x, training=self.training) do, or seed a generator of its "
            "own in its forward",
        )


def _differ(a: Tensor, b: Tensor) -> bool:
    """Whether two runs are further apart than rounding."""
    return float((a - b).norm()) > SAME_FLOORS["fp32"] * float(a.norm())


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """What torch, numpy and Python draw in the block is of this seed, and what they draw after it as without it."""
    kept, kept_by_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)
            yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_by_numpy)


def _list_tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _list_tensors(each)


def _is_other_float(value: Tensor) -> bool:
    return value.is_floating_point() and value.dtype != torch.float32


def _name_dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
