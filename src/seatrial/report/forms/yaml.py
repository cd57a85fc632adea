"""Plain values as YAML that every reader takes alike: text is always in quotes, so that none turns into a number."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

Value = str | int | float | bool | None | Sequence["Value"] | Mapping[str, "Value"]

_UNPRINTABLE = re.compile(
    "[^\n -~\xa0-\u200a\u2010-\u2027\u202f-\u2065\u2070-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""Control characters, and those that turn the direction of a line or that YAML takes for its end."""


def write_yaml(value: Mapping[str, Value]) -> str:
    """Keys in their order, one to a line."""
    return "\n".join(_write_mapping(value, "")) + "\n"


def _write_mapping(value: Mapping[str, Value], indent: str) -> Iterator[str]:
    for key, each in value.items():
        yield from _write_member(f"{indent}{key}:", each, f"{indent}  ")


def _write_member(head: str, value: Value, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield head
        yield from _write_mapping(value, indent)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield head
        for each in value:
            yield from _write_item(each, indent)
    else:
        yield f"{head} {_write_scalar(value)}"


def _write_item(value: Value, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        first, *rest = _write_mapping(value, f"{indent}  ")
        yield f"{indent}- {first.lstrip()}"
        yield from rest
    else:
        yield f"{indent}- {_write_scalar(value)}"


def _write_scalar(value: object) -> str:
    return write_json_text(value)


def write_json_text(value: object, indent: int | None = None) -> str:
    """JSON, whose scalars are YAML too, in which every character that cannot be shown is escaped."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
