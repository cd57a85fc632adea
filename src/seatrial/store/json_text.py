"""Models as JSON text and back: names of files that are no UTF-8 are in it as `foreign.names` stores them."""

from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from seatrial.foreign.names import change_texts, is_storable, restore_name, store_name
from seatrial.foreign.parse import parse_json

Model = TypeVar("Model", bound=BaseModel)
_MARKS = (b"\xee\xbe", b"\xee\xbf")
"""What the characters of stored names begin with in UTF-8."""


def write_json(model: BaseModel, indent: int | None = None) -> str:
    """A model as JSON, its fields by their aliases."""
    return write_adapted(TypeAdapter(type(model)), model, indent)


def write_adapted(adapter: TypeAdapter[Any], value: Any, indent: int | None = None) -> str:
    """A value of a type that pydantic knows as JSON."""
    try:
        text = adapter.dump_json(value, by_alias=True, indent=indent).decode()
    except PydanticSerializationError:  # A name that is no UTF-8.
        text = None
    if text is not None and is_storable(text):
        return text
    data = change_texts(adapter.dump_python(value, by_alias=True), store_name)
    return to_json(data, indent=indent).decode()


def parse_stored(data: bytes) -> Any:
    """The value of which `write_json` made a text.

    Raises:
        Unparsable: it is no JSON, or none that this writes.
    """
    return restore_names(parse_json(data), data)


def restore_names(value: Any, data: bytes) -> Any:
    """The value of a JSON text with the names in it as the system has them."""
    return change_texts(value, restore_name) if any(mark in data for mark in _MARKS) else value


def read_model(kind: type[Model], data: bytes) -> Model:
    """The model that `write_json` wrote.

    Raises:
        ValueError: it is none of this kind.
    """
    return kind.model_validate(parse_stored(data))
