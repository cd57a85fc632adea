"""The file of `run --config`: a TOML table whose keys are the options' names, and the reference as `recipe`.

Its values take the place of the options' defaults, so that they are checked like options and give way to them.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import typer

from seatrial.errors import UsageError, cut

NOT_OF_A_RUN = ("config", "print_config", "dry_run", "as_json", "quiet", "help")
"""Parameters that say what to do with a run, not which run it is."""
LISTS = ("engines", "batch_size")
"""Options of several values with commas between them: lists in the file."""
REFERENCES = ("recipe", "like")
"""Model references, which may be paths."""
OPPOSITES = {"labels": "no_labels", "no_labels": "labels"}
"""Of two options that settle each other the one on the command line counts."""


def take_config(context: typer.Context, path: Path | None, verb: Callable[..., Any]) -> Path | None:
    """Put what a file says in the place of the defaults of a verb's options, whose annotations it must fit.

    Raises:
        UsageError: it cannot be read, has a key that is no option, or a value of another type than the option's.
    """
    if path is None:
        return None
    from seatrial.recipes.load import read_card
    from seatrial.strict import suggest

    hints = get_type_hints(verb)
    types = {name: hints[name] for name in _list_options(context)}
    values: dict[str, Any] = {}
    for key, value in read_card(path)[1].items():
        name = key.replace("-", "_")
        if name not in types:
            known = [known.replace("_", "-") for known in types]
            raise UsageError(f"{path}: there is no option '{key}'", suggest(key, known))
        if name in values:
            raise UsageError(
                f"{path}: {name.replace('_', '-')} is there twice, once as {name}", "leave one of them out"
            )
        try:
            values[name] = _read_value(name, types[name], value, path.parent)
        except ValueError as error:
            shown = cut(json.dumps(value, default=str, ensure_ascii=False))
            raise UsageError(f"{path}: {key} is {shown}, and it takes {error}") from None
    context.default_map = values
    return path


def _list_options(context: typer.Context) -> list[str]:
    """The options and arguments of the verb that say which run it is."""
    return [each.name for each in context.command.params if each.name is not None and each.name not in NOT_OF_A_RUN]


def _read_value(name: str, kind: Any, value: Any, folder: Path) -> Any:
    """A value as it would come from the command line."""
    if name in LISTS and isinstance(value, list):
        if not all(isinstance(one, (str, int)) and not isinstance(one, bool) for one in value):
            raise ValueError("a list of names or numbers")
        return ",".join(map(str, value))
    if name in LISTS:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ValueError("a name, a number or a list of them")
        return str(value)
    kinds = [part for part in get_args(kind) or (kind,) if part is not NoneType]
    if get_origin(kinds[0]) is list:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError('a list of texts, such as ["…"]')
        return value
    types, expected = _TYPES[kinds[0]]
    if not isinstance(value, types) or (isinstance(value, bool) and kinds[0] is not bool):
        raise ValueError(expected)
    if kinds[0] is Path:
        return _join(folder, value)
    return place_reference(value, folder) if name in REFERENCES else value


_TYPES: Mapping[Any, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    Path: (str, "a path"),
    str: (str, "a text"),
}
"""What a value may be, by the option's type, and that in words."""


def _join(folder: Path, path: str) -> str:
    """A path from a file in `folder`; as it is where that is the current one."""
    return path if folder == Path() else os.path.join(folder, path)


def place_reference(reference: str, folder: Path) -> str:
    """A model reference with the path in it, if it has one, taken from a folder."""
    scheme, _, rest = reference.partition(":")
    if scheme == "hf" and rest.startswith("."):
        return f"hf:{_join(folder, rest)}"
    if scheme in ("timm", "torchvision", "hf"):
        return reference
    file = before if (before := reference.rpartition(":")[0]).endswith(".py") else reference
    is_path = os.sep in file or Path(file).suffix in (".toml", ".onnx", ".py") or (folder / file).is_file()
    return _join(folder, reference) if is_path else reference


def settle_opposites(context: typer.Context) -> dict[str, Any]:
    """The parameters of a run, without what of the file an option on the command line settles otherwise."""
    values = {name: context.params[name] for name in _list_options(context)}
    for name, other in OPPOSITES.items():
        sources = [getattr(context.get_parameter_source(each), "name", "") for each in (name, other)]
        if sources == ["COMMANDLINE", "DEFAULT_MAP"]:
            values[other] = None if other == "labels" else False
    return values


def write_config(values: Mapping[str, Any]) -> str:
    """The TOML that gives a run again, with every option that has a value."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(f"seatrial run --config FILE; paths are taken from the file's folder: {Path.cwd()}"))
    for name, value in list_config(values).items():
        document.add(name, value)
    return tomlkit.dumps(document)


def list_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a file that gives a run again, with every option that has a value."""
    listed: dict[str, Any] = {}
    for name, value in values.items():
        if value is None or value is False or value == []:
            continue
        if name in LISTS:
            parts = [part.strip() for part in str(value).split(",")]
            value = [int(part) if part.isdecimal() else part for part in parts]
        listed[name.replace("_", "-")] = str(value) if isinstance(value, Path) else value
    return listed
