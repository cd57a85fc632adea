"""Engines: the runtimes that a graph can be compiled for, each in its own file, loaded when first used."""

from collections.abc import Mapping
from functools import cache
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from seatrial.errors import EngineError, UsageError, first_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from seatrial.engines.base import Engine

ENGINES = {
    "torch": "seatrial.engines.torch.engine:TorchEngine",
    "onnxruntime": "seatrial.engines.onnxruntime:OnnxRuntimeEngine",
    "openvino": "seatrial.engines.openvino:OpenVinoEngine",
    "tensorrt": "seatrial.engines.tensorrt:TensorRtEngine",
    "ascend": "seatrial.engines.ascend.engine:AscendEngine",
}
"""Engine name to the class that is it; adding an engine of ours adds a line here."""


GROUP = "seatrial.engines"
"""The entry points of packages that bring engines: their name is the engine's, their value its class."""


@cache
def find_plugins() -> "Mapping[str, tuple[EntryPoint, ...]]":
    """Engines of other packages that are installed, by name; nothing of them is imported."""
    # It reads the metadata of every package.
    from importlib.metadata import entry_points

    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(entry_points(group=GROUP), key=_name_package):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def _name_package(point: "EntryPoint") -> str:
    """The package that an entry point is of, with its version."""
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def list_engines() -> tuple[str, ...]:
    """The names of all engines, ours first."""
    return tuple(dict.fromkeys([*ENGINES, *find_plugins()]))


def get_engine(name: str) -> "Engine":
    """The engine of that name; its SDK is not touched before it is probed.

    Raises:
        UsageError: there is no such engine, and it lists those there are; or several packages have one of that name.
        EngineError: it is another package's, which cannot be imported.
    """
    from seatrial.strict import check_name  # Here, as the names alone are wanted too, by who completes a command line.

    points = find_plugins().get(name, ())
    if name not in list_engines():
        _suggest_precision(name)
    check_name(name, list_engines(), f"there is no engine '{name}'")
    if len(points) + (name in ENGINES) > 1:
        owners = [*(["seatrial"] if name in ENGINES else []), *map(_name_package, points)]
        raise UsageError(
            f"{' and '.join(owners)} each have an engine '{name}'",
            f"uninstall one, or rename its entry point of the group {GROUP}",
        )
    if name in ENGINES:
        engine: Engine = resolve_name(ENGINES[name])()
        return engine
    return _load_plugin(points[0])


def _suggest_precision(name: str) -> None:
    """Refuse the name that an engine has in a run, such as openvino-bf16, with how it is requested.

    Raises:
        UsageError: it is such a name.
    """
    from seatrial.engines.base import PRECISIONS

    engine, _, precision = name.casefold().rpartition("-")
    if engine in list_engines() and precision in PRECISIONS:
        raise UsageError(f"there is no engine '{name}'", f"did you mean '{engine}:{precision}'?")


def _load_plugin(point: "EntryPoint") -> "Engine":
    try:
        engine: Engine = point.load()()
    except Exception as error:  # Code of others may raise anything.
        raise EngineError(
            f"engine '{point.name}' of {_name_package(point)} cannot be loaded "
            f"({type(error).__name__}: {first_line(error)})",
            f"mend or uninstall that package; its entry point is {point.value}",
        ) from error
    return engine
