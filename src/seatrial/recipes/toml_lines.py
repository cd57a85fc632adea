"""At which line of a TOML text a key is, for errors of values that were read from it."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_CLOSINGS = ("]", "}", '"""', "'''")
"""One of them is in every line in which a value ends that began in an earlier one."""
Place = tuple[str | int, ...]
"""Keys and indices from the top of a document to a value."""


def find_line(text: str, data: Any, location: Sequence[str | int]) -> int | None:
    """The line of the value that `location` leads to, or of the nearest one around it; None where there is none.

    Args:
        data: what the text says.
        location: keys and indices; what is neither in `data`, such as the tag of a union, is passed over.
    """
    lines = dict(_list_keys(text))
    place: Place = ()
    for part in location:
        inside = data.get(part) if isinstance(data, Mapping) else None
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            inside = data[part]
        if inside is not None:
            place, data = (*place, part), inside
    return next((lines[place[:depth]] for depth in range(len(place), 0, -1) if place[:depth] in lines), None)


def _list_keys(text: str) -> Iterator[tuple[Place, int]]:
    """Every key and table with its line, from 1."""
    table: Place = ()
    counts: dict[Place, int] = {}
    statement, begun = "", 1
    for number, line in enumerate(text.splitlines(), start=1):
        goes_on = bool(statement)
        statement, begun = (statement + "\n" + line, begun) if goes_on else (line, number)
        # Else a list of a line for each of many classes would be read again with each of them.
        if goes_on and not any(closing in line for closing in _CLOSINGS):
            continue
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # A value that goes on in the next line.
        header = statement.lstrip().startswith("[")
        names = _follow(parsed)
        if header and names:
            table = _find_table(names, counts, repeated=statement.lstrip().startswith("[["))
            yield table, begun
        elif names:
            for depth in range(1, len(names) + 1):
                yield (*table, *names[:depth]), begun
        statement = ""


def _follow(parsed: Any) -> tuple[str, ...]:
    """The dotted name that a statement of one key or header gives a value to."""
    names: tuple[str, ...] = ()
    while isinstance(parsed, dict) and len(parsed) == 1:
        ((name, parsed),) = parsed.items()
        names = (*names, name)
        parsed = parsed[0] if isinstance(parsed, list) and parsed == [{}] else parsed
    return names


def _find_table(names: Sequence[str], counts: dict[Place, int], repeated: bool) -> Place:
    """The place of a table, in the last one of every list of tables that it is in."""
    place: Place = ()
    for depth, name in enumerate(names, start=1):
        place = (*place, name)
        if repeated and depth == len(names):
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place
