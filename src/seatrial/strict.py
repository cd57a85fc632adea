"""The base of everything that is read from a file: frozen, typed, and an unknown key names the nearest known one."""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails

from seatrial.errors import UsageError, cut, show_value

FindLine = Callable[[tuple[int | str, ...]], int | None]
STRICT_TYPES = ("int", "float", "bool")


class Strict(BaseModel):
    """A frozen value that refuses unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True, allow_inf_nan=False
    )

    @classmethod
    def read(cls, data: Mapping[str, Any], source: str, find_line: FindLine | None = None) -> Self:
        """Validate `data`, which came from `source`.

        Args:
            find_line: gives the line of `source` that a location of pydantic's is at.

        Raises:
            UsageError: names the source, the first wrong key, its value and what would be right.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            first = choose_first_error(error)
            line = find_line(first["loc"]) if find_line else None
            at = source if line is None else f"{source}:{line}"
            raise UsageError(f"{at}: {describe_error(cls, first, error.error_count())}") from None


def _make_strict(schema: Any) -> None:
    """Let every number and truth value of a schema of pydantic's be nothing else; keys of mappings are texts."""
    if isinstance(schema, dict):
        if schema.get("type") in STRICT_TYPES:
            schema["strict"] = True
        for key, inner in schema.items():
            if key not in ("keys_schema", "metadata", "config", "serialization"):
                _make_strict(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _make_strict(inner)


class StrictNumbers(Strict):
    """One whose numbers and truth values are such: a text or a truth value is no number, and 10.0 is no whole one."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _make_strict(schema)
        return schema


def choose_first_error(error: ValidationError) -> ErrorDetails:
    """The first error of pydantic's to name: an unknown key explains a missing one, so it comes first."""
    return min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")


def describe_error(model: type[BaseModel], first: ErrorDetails, count: int) -> str:
    """One error of so many, in words of the file that was read."""
    place = cut(".".join(str(part) for part in first["loc"]))
    more = f" (and {count - 1} more)" if count > 1 else ""
    if first["type"] == "extra_forbidden":
        unknown = str(first["loc"][-1])
        known = known_keys(model, first["loc"][:-1])
        return f"unknown key '{place}'; {suggest(unknown, known)}{more}"
    if first["type"] == "value_error":
        return f"{place}{': ' if place else ''}{first['msg'].removeprefix('Value error, ')}{more}"
    if first["type"] == "missing":
        return f"'{place}' is missing{more}"
    if first["type"] in ("tuple_type", "list_type"):
        return f"'{place}' is {show_value(first['input'])}: it takes a list, in square brackets{more}"
    if first["type"] in ("dict_type", "model_type", "model_attributes_type"):
        return f"'{place}' is {show_value(first['input'])}: it takes a table of keys{more}"
    quoted = first["type"] in ("int_type", "float_type", "bool_type") and isinstance(first["input"], str)
    return f"'{place}' is {show_value(first['input'])}: {first['msg']}{', without quotes' * quoted}{more}"


def suggest(name: str, known: list[str]) -> str:
    """The known name nearest to `name`, or all of them."""
    near = find_near(name, known, 1)
    return f"did you mean '{near[0]}'?" if near else "known: " + ", ".join(sorted({*known}))


def find_near(name: str, known: Collection[str], most: int, cutoff: float = 0.5) -> list[str]:
    """The known names nearest to `name`.

    First those that differ in case and punctuation alone, then those with the same characters in another order, then
    those with other digits, then by how much they share.
    """
    plain = {each: _strip_signs(each) for each in known}
    own = _strip_signs(name)

    def rank(each: str) -> tuple[bool, bool, bool, float, str]:
        other = plain[each]
        family = _DIGITS.search(own) is not None and _DIGITS.sub("", other) == _DIGITS.sub("", own)
        similarity = difflib.SequenceMatcher(None, other, own).ratio()
        return other == own, sorted(other) == sorted(own), family, similarity, each

    ranked = sorted(map(rank, plain), reverse=True)
    return [each for *alike, similarity, each in ranked if any(alike) or similarity >= cutoff][:most]


_DIGITS = re.compile(r"\d+")


def _strip_signs(name: str) -> str:
    """A name in lower case, without punctuation; as it is where it is nothing else."""
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def check_name(name: str, known: Collection[str], problem: str) -> None:
    """Refuse a name that is not known.

    Raises:
        UsageError: the problem, and the nearest known name.
    """
    if name not in known:
        raise UsageError(problem, suggest(name, list(known)))


def known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where `location` points to, walking through lists, mappings and unions."""
    models = [model]
    for part in location:
        following: list[type[BaseModel]] = []
        for candidate in models:
            field = candidate.model_fields.get(str(part))
            if field is not None:
                following += _models_in(field.annotation)
        # An index, a mapping's key or a union's tag changes nothing about which model comes next.
        models = following or models
        tagged = [m for m in models if str(part) in _tags(m)]
        models = tagged or models
    return sorted({info.alias or name for m in models for name, info in m.model_fields.items()})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]


def _tags(model: type[BaseModel]) -> set[str]:
    return {str(info.default) for info in model.model_fields.values() if isinstance(info.default, str)}
