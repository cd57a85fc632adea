"""Running a network that may not take what it is given: whatever its code raises is about that, and one line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from seatrial.errors import SeatrialError, UsageError, first_line


@contextmanager
def refuse_images(name: str, shape: Sequence[int], fix: str) -> Iterator[None]:
    """Run a library's or the user's own network on images (n, channels, height, width) in the block.

    Raises:
        UsageError: its code raised something; `fix` says what else to give.
    """
    count, channels, height, width = shape
    try:
        yield
    except SeatrialError:
        raise
    except Exception as error:
        images = f"{'an image' if count == 1 else f'{count} images'} of {height} × {width}"
        grey = ", 1 channel," if channels == 1 else ""
        raise UsageError(f"'{name}' does not run on {images}{grey} ({first_line(error)})", fix) from None


def check_logits(name: str, logits: Any, classes: int | None = None) -> int:
    """How many classes a network's output has.

    Raises:
        UsageError: it is no tensor of logits (n, classes), or of another number of `classes`.
    """
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        what = f"a tensor of {logits.ndim} axes" if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
        raise UsageError(
            f"'{name}' gives {what} for a batch of images",
            "its forward must return logits (n, classes), in training too: switch auxiliary heads off in "
            "network.arguments",
        )
    if classes not in (None, logits.shape[1]):
        raise UsageError(
            f"'{name}' gives {logits.shape[1]} numbers for an image, its card has {classes} classes",
            "correct network.classes of the card",
        )
    return int(logits.shape[1])
