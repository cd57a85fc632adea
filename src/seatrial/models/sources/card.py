"""A card under construction: what a source says of a model, each value with where it came from."""

import re
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import tomlkit
from tomlkit.items import AoT, Table

from seatrial.errors import UsageError
from seatrial.foreign.names import store_name
from seatrial.recipes.schema import Recipe

Path = tuple[str, ...]
PUBLISHED_GATES = ("published_relative_drop", "at_least_published")


@dataclass(slots=True)
class Draft:
    """The content of a card as TOML has it, with a comment for each value that a source gave."""

    reference: str
    """The model reference that it answers."""
    values: dict[str, Any] = field(default_factory=dict)
    comments: dict[Path, str] = field(default_factory=dict)
    like: str = ""
    """The reference of the draft that it started from."""

    def put(self, path: str, value: Any, comment: str | None = None) -> None:
        """Set a value by its dotted name, unless it is None."""
        if value is None:
            return
        *tables, key = path.split(".")
        place = self.values
        for name in tables:
            place = place.setdefault(name, {})
        place[key] = value
        if comment:
            self.comments[*tables, key] = comment

    def put_all(self, table: str, **values: Any) -> None:
        """Set values of a table that need no comment."""
        for key, value in values.items():
            self.put(f"{table}.{key}", value)

    def put_head(self, name: str, title: str, source: str, here: str | None = None) -> None:
        """Say what the model is and where it is from.

        Args:
            name: of which the card's own is made, which has fewer characters.
            here: the library that describes it, with its version.
        """
        self.put("name", re.sub(r"[^a-z0-9_.-]", "_", name.lower()).lstrip("_.-") or "graph")
        self.put("title", title)
        self.put("source", source)
        self.put("origin", f"{self.reference} ({here})" if here else None)

    def add_step(self, step: str, comment: str, **options: Any) -> None:
        """Append a step of the preprocessing."""
        steps = self.values.setdefault("preprocess", [])
        steps.append({"step": step, **{key: value for key, value in options.items() if value is not None}})
        self.comments["preprocess", str(len(steps) - 1)] = comment

    def take_over(self, like: "Draft", dropped: Collection[str]) -> None:
        """Start from what another draft says, without some of its tables and gates on its own published accuracy."""
        self.values = {key: deepcopy(value) for key, value in like.values.items() if key not in dropped}
        self.comments = {place: text for place, text in like.comments.items() if place[0] not in dropped}
        self.like = like.reference
        self.drop_published_gates()

    def drop_published_gates(self) -> None:
        """Leave out the gates on a published accuracy, which is another network's."""
        for gate in PUBLISHED_GATES:
            self.values.get("gates", {}).pop(gate, None)

    def read(self) -> Recipe:
        """The card, checked.

        Raises:
            UsageError: it says something that a card may not.
        """
        return Recipe.read(self.values, " with --like ".join(filter(None, (self.reference, self.like))))

    def write(self) -> str:
        """The card as TOML, with its comments."""
        document = tomlkit.document()
        document.add(tomlkit.comment(f"Resolved from the model reference {self.reference}."))
        simple = {key: value for key, value in self.values.items() if not isinstance(value, dict | list)}
        for key, value in simple.items():
            document.add(key, _comment(tomlkit.item(value), self.comments.get((key,))))
        for key, value in self.values.items():
            if isinstance(value, dict):
                document.add(key, self._write_table(value, (key,)))
            elif isinstance(value, list):
                document.add(key, self._write_steps(value, (key,)))
        return store_name(tomlkit.dumps(document))

    def _write_table(self, values: Mapping[str, Any], at: Path) -> Table:
        table = tomlkit.table()
        for key, value in values.items():
            # A table inside a table is short, such as a network's arguments.
            item = tomlkit.inline_table() if isinstance(value, dict) else tomlkit.item(value)
            if isinstance(value, dict):
                item.update(value)
            table.add(key, _comment(item, self.comments.get((*at, key))))
        return table

    def _write_steps(self, steps: list[dict[str, Any]], at: Path) -> AoT:
        written = tomlkit.aot()
        for index, step in enumerate(steps):
            table = tomlkit.table()
            if comment := self.comments.get((*at, str(index))):
                table.comment(comment)
            for key, value in step.items():
                table.add(key, tomlkit.item(value))
            written.append(table)
        return written


def check_channels(reference: str, channels: int) -> None:
    """Refuse images of a number of channels that no card describes.

    Raises:
        UsageError: there are neither 3 nor 1.
    """
    if channels not in (1, 3):
        raise UsageError(
            f"{reference} takes images of {count_channels(channels)}",
            "a card describes images of 3 channels (red, green, blue) or of 1 (grey)",
        )


def count_channels(channels: int) -> str:
    """So many channels in words."""
    return f"{channels} channel{'' if channels == 1 else 's'}"


def _comment(item: Any, comment: str | None) -> Any:
    return item.comment(comment) if comment else item
