"""A network that a function in the user's Python file builds. The file is run: it may do whatever its author wrote."""

import ast
import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.errors import RefusedFile, SeatrialError, UsageError
from seatrial.foreign.files import read_bytes
from seatrial.models.user_code import contain, describe_failure
from seatrial.recipes.schema import Network
from seatrial.store.files import expand_home, hash_file, hash_value

if TYPE_CHECKING:
    from torch import nn


def split_name(name: str) -> tuple[Path, str]:
    """File and callable of `FILE.py:CALLABLE`.

    Raises:
        UsageError: it is not of this form, or there is no such file.
    """
    file, _, function = name.rpartition(":")
    path = expand_home(file)
    if not function.isidentifier() or path.suffix != ".py":
        raise UsageError(f"'{name}' is not FILE.py:CALLABLE", "write it like nets/mine.py:make_network")
    if not path.is_file():
        raise UsageError(f"there is no Python file {path}", "check its path")
    return path, function


def hash_code(path: Path) -> str:
    """sha256 of a Python file, or of it and of the files beside it that it imports, one through another."""
    files = dict(_list_local(path.resolve(), path.resolve().parent, set()))
    if len(files) == 1:
        return hash_file(path)
    return hash_value({name: hash_file(file) for name, file in sorted(files.items())})


def _list_local(path: Path, folder: Path, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    """The file and those that its import statements lead to inside the folder, with their paths seen from there."""
    if path in seen:
        return
    seen.add(path)
    yield str(path.relative_to(folder)), path
    try:
        tree = ast.parse(read_bytes(path))
    except (SyntaxError, ValueError):
        return  # Running it says what is wrong.
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            inside = node.module or ""
            names = [inside, *(f"{inside}.{name}".lstrip(".") for name in names)]
        for name in names:
            place = folder.joinpath(*name.split("."))
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if name and file.is_file():
                    yield from _list_local(file, folder, seen)


def build_from_file(network: Network, arguments: dict[str, Any]) -> "nn.Module":
    """Run the file and call its function; what they print goes to stderr.

    Raises:
        UsageError: there is no such file or function, it raises or leaves, or it gives no torch module with weights.
        RefusedFile: the file, or one that it imports, is not what the card was made of.
    """
    import torch
    from torch.nn.parameter import UninitializedParameter

    path, function = split_name(network.name)
    if network.sha256 not in (None, hash_code(path)):
        raise RefusedFile(
            f"{path}, or a file beside it that it imports, is not what the card was made of: checksum mismatch",
            "resolve it again",
        )
    with contain():
        built = _call(path, function, arguments)
    while isinstance(built, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        built = built.module
    built = getattr(built, "_orig_mod", built)  # of torch.compile
    if not isinstance(built, torch.nn.Module):
        raise UsageError(f"{network.name} gives a {type(built).__name__}", "it must return a torch.nn.Module")
    if any(isinstance(parameter, UninitializedParameter) for parameter in built.parameters()):
        raise UsageError(f"{network.name} has lazy layers, whose weights have no shape yet", "give them their sizes")
    return built


def _call(path: Path, function: str, arguments: dict[str, Any]) -> Any:
    """Run the file, and what its function gives; the files beside it can be imported by both."""
    from torch import nn

    sys.path.insert(0, str(path.resolve().parent))
    with _explain(path, "does not run"):
        module = _run_file(path)
    build: Callable[..., Any] | None = getattr(module, function, None)
    if not callable(build):
        known = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise UsageError(f"{path} defines no function '{function}'", f"it defines {', '.join(known) or 'none'}")
    if isinstance(build, nn.Module):
        raise UsageError(f"{path}:{function} is a network, not a function that makes one", "name a function or a class")
    with _explain(path, f"'{function}' builds no network"):
        return build(**arguments)


@contextlib.contextmanager
def _explain(path: Path, what: str) -> Iterator[None]:
    """Say in one line what the user's code raises."""
    try:
        yield
    except SeatrialError:
        raise
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        raise UsageError(f"{path} {what} ({describe_failure(error)}{where})", "mend the file") from None


def _run_file(path: Path) -> Any:
    """The module of a file."""
    name = f"seatrial_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
