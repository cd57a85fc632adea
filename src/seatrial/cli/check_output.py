"""What every command line is checked for before its verb begins: numbers, paths, and that no input is written over."""

import contextlib
import errno
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seatrial.errors import UsageError, cut, show_value
from seatrial.foreign.names import is_storable
from seatrial.store.unfinished import sweep

WRITTEN = ("output", "target")
"""Parameters of verbs that name what is written."""
IMAGES = ("images", "calibration")
"""Parameters that name folders of images, among which no results belong."""


def guard(command: Any) -> Any:
    """The command, each of its verbs checked by `check_output` before it runs."""
    for verb in getattr(command, "commands", {}).values():
        guard(verb)
    if not hasattr(command, "commands"):
        run = command.invoke

        def check_and_run(context: Any) -> Any:
            check_values(context.params)
            check_output(context.params)
            sweep_output(context.params)
            with _leaving_no_empty_folder(context.params):
                return run(context)

        command.invoke = check_and_run
    return command


def check_values(parameters: Mapping[str, Any]) -> None:
    """Refuse a number that is none, and a path that no file can have.

    Raises:
        UsageError: names the option.
    """
    for name, value in parameters.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{option} {value} is no finite number", "give one")
        for path in value if isinstance(value, list | tuple) else (value,):
            if isinstance(path, Path):
                _check_path(path)
                if name in WRITTEN and not is_storable(os.path.abspath(path)):
                    problem = f"{os.path.abspath(path)} is no UTF-8, and what runs networks does not open such paths"
                    raise UsageError(problem, "rename the folder, or choose another output")


def _check_path(path: Path) -> None:
    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise UsageError(f"{cut(str(path))} is no path ({error.strerror})", "give another") from None
    except ValueError:
        raise UsageError(f"{show_value(str(path))} has a null character, which no path has", "give another") from None


def check_output(parameters: Mapping[str, Any]) -> None:
    """Refuse an output that is a file which the command reads, or lies in a folder of images that it reads.

    Raises:
        UsageError: names both.
    """
    output = _find_output(parameters)
    if output is None:
        return
    place = Path(output).resolve()
    for name, value in parameters.items():
        for path in () if name in WRITTEN else _list_paths(value):
            if place.is_file() and path.is_file() and place.samefile(path):
                raise UsageError(f"{output} would be written over {path}, which is read", "choose another output")
            if name in IMAGES and path.is_dir() and place.is_relative_to(path.resolve()):
                problem = f"{output} lies in {path}, a folder of images, which would no longer be images alone"
                raise UsageError(problem, "choose another output")


def sweep_output(parameters: Mapping[str, Any]) -> None:
    """Remove what killed commands left beside the output, in it and in its folders, also where nothing is written."""
    output = _find_output(parameters)
    if output is None:
        return
    for folder in (Path(output), Path(output).parent, *_list_folders(Path(output))):
        with contextlib.suppress(OSError):  # It is not there, or no folder.
            sweep(folder)


def _list_folders(place: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


@contextlib.contextmanager
def _leaving_no_empty_folder(parameters: Mapping[str, Any]) -> Iterator[None]:
    """Where the block fails, remove the folders that it made for its output and put nothing into."""
    output = _find_output(parameters)
    places = () if output is None else (Path(output), *Path(output).parents)
    made = [place for place in places if not place.exists()]
    try:
        yield
    except BaseException:
        for place in made:
            with contextlib.suppress(OSError):  # It was not made, or has something in it.
                place.rmdir()
        raise


def _find_output(parameters: Mapping[str, Any]) -> str | Path | None:
    """What the command line says of where to write."""
    output = next((parameters[name] for name in WRITTEN if parameters.get(name) is not None), None)
    return output if isinstance(output, str | Path) else None


def _list_paths(value: Any) -> Iterator[Path]:
    """What a parameter may name on this disk: paths, and files in model references such as nets.py:make_network."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from _list_paths(each)
    elif isinstance(value, Path):
        yield value
    elif isinstance(value, str) and "\0" not in value:
        yield from (Path(each) for each in {value, value.rpartition(":")[0]} if 0 < len(each) < 4096)
