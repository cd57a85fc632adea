"""Every setting of a training as an option of a command, made from the fields of `recipes.training.Train`.

They are made when the command runs: `seatrial --help` needs none of them, nor pydantic.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_META = "seatrial.settings"
_NAMES = {int: "int", float: "float", str: "str"}


class SettingsCommand(TyperCommand):
    """A command with every setting as an option; its function gets them from `given_settings`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The function's own options, those of the settings, and --help."""
        *own, help_option = super().get_params(ctx)
        if not hasattr(self, "_settings"):
            self._settings = _make_options()
        return [*own, *self._settings, help_option]


def given_settings(context: typer.Context) -> dict[str, Any]:
    """The settings that were given, by the names of their fields."""
    return dict(context.meta.get(_META, {}))


def _make_options() -> list[Any]:
    from seatrial.recipes.training import Train

    def verb() -> None:
        pass

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_make_option(name, field))
        for name, field in Train.model_fields.items()
    ]
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    verb.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False)
    app.command(add_help_option=False)(verb)
    return list(typer.main.get_command(app).params)


def _make_option(name: str, field: "FieldInfo") -> Any:
    option = partial(
        typer.Option, help=" ".join((field.description or "").split()), expose_value=False, callback=_store
    )
    flag = name.replace("_", "-")
    if field.annotation is bool:
        return Annotated[bool | None, option(f"--{flag}/--no-{flag}")]
    metavar = f"<{'|'.join(_name_values(field.annotation))}>"
    return Annotated[Any, option(f"--{flag}", metavar=metavar, parser=_make_parser(field))]


def _store(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> None:
    if value is not None:
        context.meta.setdefault(_META, {})[parameter.name] = value


def _name_values(annotation: Any) -> Iterator[str]:
    """The values of an option, such as `int` or `sgd`, `lars`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _NAMES:
        yield _NAMES[annotation]
    elif origin is Literal:
        yield from map(str, inner)
    elif origin is tuple:
        yield ",".join([*_name_values(inner[0])] * 2) + ",…"
    elif origin is Annotated:
        yield from _name_values(inner[0])
    elif origin in (Union, UnionType):
        for part in inner:
            yield from _name_values(part)


def _make_parser(field: "FieldInfo") -> Callable[[str], Any]:
    """A parser of the field's values on the command line; lists have commas."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    annotated: Any = Annotated[field.annotation, field]
    adapter = TypeAdapter(annotated, config=ConfigDict(allow_inf_nan=False))

    def parse(text: str) -> Any:
        try:
            return adapter.validate_python(text.split(",") if get_origin(field.annotation) is tuple else text)
        except ValidationError as error:
            reasons = dict.fromkeys(each["msg"] for each in error.errors())
            raise typer.BadParameter(f"{text}: {' or '.join(reasons)}") from None

    return parse
