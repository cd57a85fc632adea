"""A network that a function in the user's Python file builds. The file is run: it may do whatever its author wrote."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.errors import RefusedFile, UsageError
from seatrial.recipes.schema import Network
from seatrial.store.files import hash_file

if TYPE_CHECKING:
    from torch import nn


def split_name(name: str) -> tuple[Path, str]:
    """File and callable of `FILE.py:CALLABLE`.

    Raises:
        UsageError: it is not of this form, or there is no such file.
    """
    file, _, function = name.rpartition(":")
    path = Path(file)
    if not function.isidentifier() or path.suffix != ".py":
        raise UsageError(f"'{name}' is not FILE.py:CALLABLE", "write it like nets/mine.py:make_network")
    if not path.is_file():
        raise UsageError(f"there is no Python file {path}", "check its path")
    return path, function


def build_from_file(network: Network, arguments: dict[str, Any]) -> "nn.Module":
    """Run the file and call its function.

    Raises:
        UsageError: there is no such file or function, or it gives no torch module.
        RefusedFile: the file is not the one that the card was made of.
    """
    import torch

    path, function = split_name(network.name)
    if network.sha256 not in (None, hash_file(path)):
        raise RefusedFile(f"{path} is not the file that the card was made of: checksum mismatch", "resolve it again")
    module = _run_file(path)
    build: Callable[..., Any] | None = getattr(module, function, None)
    if not callable(build):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise UsageError(f"{path} defines no function '{function}'", f"it defines {', '.join(known) or 'none'}")
    built = build(**arguments)
    if not isinstance(built, torch.nn.Module):
        raise UsageError(f"{network.name} gives a {type(built).__name__}", "it must return a torch.nn.Module")
    return built


def _run_file(path: Path) -> Any:
    """The module of a file; those beside it can be imported by it."""
    name = f"seatrial_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module
