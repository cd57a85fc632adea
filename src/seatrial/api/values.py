"""What users write for an option: as a Python value, or as its text on the command line, which is parsed here."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from seatrial.errors import UsageError, cut
from seatrial.foreign.parse import is_number
from seatrial.models.reading import CheckpointReading

LARGEST_BATCH = 1_000_000
Choice = TypeVar("Choice", bound=str)
Place = str | os.PathLike[str]
"""A path, or of model references and image sources a text that may be one."""
Sizes = str | int | Sequence[int]
"""Batch sizes: 8, [1, 8] or "1,8"."""
Names = str | Sequence[str]
"""One or several: ["openvino", "torch:fp16"] or "openvino,torch:fp16"."""

LEAST: Mapping[str, float] = {
    "actors": 1,
    "batch_size": 1,
    "bench_duration": 0.01,
    "bench_precision": 0,
    "bench_samples": 1,
    "calibration_images": 1,
    "classes": 1,
    "cpus_per_actor": 1,
    "duration": 0.01,
    "evaluate_batch_size": 1,
    "fake_images": 1,
    "gate_pp": 0,
    "image_size": 1,
    "limit": 1,
    "loop": 1,
    "max_drop_pp": 0,
    "max_slower_pct": 0,
    "min_samples": 1,
    "nproc": 1,
    "processes": 1,
    "streams": 1,
    "time_budget": 1,
    "workers": 1,
}
"""The least that a number may be, by keyword; as on the command line."""
MOST: Mapping[str, float] = {"bench_precision": 100, "gate_pp": 100}


def check_numbers(options: Mapping[str, object]) -> None:
    """Refuse a number that no option takes; texts are checked where they are read.

    Raises:
        UsageError: one is too small, too large, or no number.
    """
    for name, value in options.items():
        if name not in LEAST or not isinstance(value, (int, float)):
            continue
        low, high = LEAST[name], MOST.get(name, float("inf"))
        if isinstance(value, bool) or not low <= value <= high:
            limits = f"at least {low:g}" if name not in MOST else f"from {low:g} to {high:g}"
            raise UsageError(f"--{name.replace('_', '-')} is {value}", f"give a number, {limits}")


def write_list(value: str | int | Iterable[object]) -> str:
    """A value as the text of an option, several with commas between them."""
    return str(value) if isinstance(value, (str, int)) else ",".join(map(str, value))


def list_names(value: Names | None) -> tuple[str, ...]:
    """Each name of an option that takes several."""
    return () if value is None else tuple(part.strip() for part in write_list(value).split(",") if part.strip())


def list_texts(value: Names | None) -> tuple[str, ...]:
    """The texts of an option that may be repeated; they may have commas in them."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def find_path(value: Place | None) -> Path | None:
    """The path of an option that may be left out."""
    return None if value is None else Path(value)


def read_batch(value: str | int) -> int | None:
    """The batch size of `--batch-size`; None is a free one.

    Raises:
        UsageError: it is neither a number above 0 nor `dynamic`.
    """
    text = str(value)
    if text == "dynamic":
        return None
    if not (text.isdigit() and int(text) > 0):
        raise UsageError(f"--batch-size {text} is neither a number above 0 nor `dynamic`", "write it like 16")
    return int(text)


def read_reading(weights: str | None, key: str | None, prefix: str | None) -> CheckpointReading:
    """What the options say of a checkpoint.

    Raises:
        UsageError: --weights is neither raw nor ema, or two options choose the weights.
    """
    if weights is not None and key is not None:
        raise UsageError("--checkpoint-key says which weights to take, and so does --weights", "give one of them")
    choices: tuple[Literal["raw", "ema"], ...] = ("raw", "ema")
    return CheckpointReading(
        key, prefix, None if weights is None else read_choice(weights.lower(), choices, "choice of --weights")
    )


def read_sizes(value: Sizes) -> tuple[int, ...]:
    """Batch sizes from `1,4,8`.

    Raises:
        UsageError: one is not a whole number above 0, or is repeated.
    """
    text = write_list(value)
    parts = [part.strip() for part in text.split(",")]
    if not all(is_number(part) and 0 < int(part) <= LARGEST_BATCH for part in parts):
        problem = f"--batch-size {cut(text)} is not a list of whole numbers from 1 to {LARGEST_BATCH:,}"
        raise UsageError(problem, "write it like 1,4,8")
    sizes = tuple(int(part) for part in parts)
    if len(set(sizes)) < len(sizes):
        raise UsageError(f"--batch-size {text} names a size twice", "name each once")
    return sizes


def read_choice(text: str, choices: Sequence[Choice], what: str) -> Choice:
    """One of the choices, by its text.

    Raises:
        UsageError: there is none of that name.
    """
    chosen = next((choice for choice in choices if choice == text), None)
    if chosen is None:
        raise UsageError(f"there is no {what} '{text}'", " or ".join(choices))
    return chosen


def read_scopes(value: Names) -> tuple[str, ...]:
    """Scopes from `device,host,e2e`.

    Raises:
        UsageError: one is not a scope, or is repeated.
    """
    text = write_list(value)
    known = ("device", "host", "e2e")
    scopes = tuple(part.strip() for part in text.split(","))
    wrong = next((scope for scope in scopes if scope not in known), None)
    if wrong is not None:
        raise UsageError(f"--scope {text}: there is no scope '{wrong}'", f"scopes: {', '.join(known)}")
    if len(set(scopes)) < len(scopes):
        raise UsageError(f"--scope {text} names a scope twice", "name each once")
    return scopes


def read_pairs(options: Mapping[str, object] | Sequence[str]) -> dict[str, str]:
    """Engine options from `K=V` words, or from a mapping.

    Raises:
        UsageError: one has no `=`.
    """
    if isinstance(options, Mapping):
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in options.items()}
    for option in options:
        if "=" not in option:
            raise UsageError(f"--option {option} has no '='", "write it like --option NAME=VALUE")
    return dict(option.split("=", 1) for option in options)
