"""What every record has: a schema, JSON that is whole or absent, a checksum, and errors that name the file.

The checksum belongs to the file, not to the value: `save` adds it and `load` takes it off, so that a model has no field
for it and a record inside another record has none.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from seatrial.errors import RefusedFile, UsageError
from seatrial.foreign.files import TEXT_BYTES, UnfitFile, open_regular, read_bytes
from seatrial.foreign.names import change_texts, restore_name
from seatrial.foreign.parse import Unparsable, parse_json
from seatrial.store.files import hash_value, write_text
from seatrial.store.json_text import write_json
from seatrial.strict import Strict

_TAIL_BYTES = 128
_TAIL = re.compile(rb'"checksum": "([0-9a-f]{64})"\s*}\s*$')
CHECKSUM = "checksum"
"""Key of the sha256 over the canonical JSON of all other keys (`store.files.hash_value`)."""


class Record(Strict):
    """The base of everything that a stage stores."""

    schema_: str = Field(alias="schema")

    def save(self, path: Path) -> None:
        """Write the record as JSON with a checksum of its content, whole or not at all."""
        text = write_json(self, indent=1)
        checksum = find_checksum(json.loads(text))
        write_text(path, text.removesuffix("\n}") + f',\n "{CHECKSUM}": "{checksum}"\n}}\n')

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a record of this kind. One without a checksum, as older versions wrote, is taken as it is.

        Raises:
            UsageError: there is no such file, it may not be read, or it is a record of another kind.
            RefusedFile: the file is not JSON, or does not match its checksum, so it is damaged or edited.
        """
        data = cls.upgrade(change_texts(_take_checksum(read_json(path), path), restore_name))
        expected = cls.model_fields["schema_"].default
        if data.get("schema") != expected:
            kind = data.get("schema", "file without a schema")
            raise UsageError(f"{path} is a {kind}, not a {expected}", "give a record of that kind and version")
        return cls.read(data, str(path))

    @classmethod
    def stands_at(cls, path: Path) -> bool:
        """Whether there is a record of this kind, of any version, at `path`: its first bytes name the schema.

        Other tools write JSON under such names too, which is no business of ours.
        """
        kind = str(cls.model_fields["schema_"].default).rpartition("/")[0]
        try:
            with open_regular(path) as file:
                return f'"schema": "{kind}/'.encode() in file.read(64)
        except OSError:
            return False

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The data of an older version in the form of this one; all else as it is."""
        return data


def find_checksum(data: Mapping[str, Any]) -> str:
    """The checksum of a record's content, but for the checksum that is in it."""
    return hash_value({key: value for key, value in data.items() if key != CHECKSUM})


def _take_checksum(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """The data of a record's file without its checksum, which must match."""
    if CHECKSUM not in data:
        return data
    try:
        matches = find_checksum(data) == data.pop(CHECKSUM)
    except ValueError:  # A number that JSON has no place for, such as 1e999.
        matches = False
    if not matches:
        raise RefusedFile(f"{path} was edited or damaged: checksum mismatch", "delete it and run the stage again")
    return data


def read_checksum(path: Path | str) -> str:
    """The checksum at the end of a record's file, without reading the rest; empty where there is no such file.

    A file that ends otherwise, such as one that is cut off or of an older version, gives "?".
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError:
        return "?"
    try:
        tail = os.pread(descriptor, _TAIL_BYTES, max(0, os.fstat(descriptor).st_size - _TAIL_BYTES))
    except OSError:
        return "?"
    finally:
        os.close(descriptor)
    found = _TAIL.search(tail)
    return found[1].decode() if found else "?"


def verify_checksum(path: Path | str) -> str:
    """The checksum of the record at a path, if its content is of that checksum; else empty, as of one without any."""
    try:
        data = parse_json(read_bytes(path, TEXT_BYTES))
        stated = str(data.get(CHECKSUM, ""))
        return stated if stated == find_checksum(data) else ""
    except (OSError, ValueError, AttributeError):  # There is none, or it is no JSON object.
        return ""


def read_json(
    path: Path, get: str = "run the stage that writes it", mend: str = "delete it and run the stage again"
) -> dict[str, Any]:
    """The JSON object in `path`, under the conditions of `Record.load`; names in it as they are stored.

    Args:
        get: what to do where there is no such file.
        mend: what to do where it is damaged.
    """
    try:
        data = parse_json(read_bytes(path, TEXT_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no {path}", get) from None
    except UnfitFile as error:
        raise RefusedFile(f"{path} is no record ({error.strerror})", mend) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "check its permissions") from None
    except Unparsable as error:
        raise RefusedFile(f"{path} is damaged ({error})", mend) from None
    if not isinstance(data, dict):
        raise RefusedFile(f"{path} is no JSON object", mend)
    return data


def read_kind(data: Mapping[str, Any]) -> str:
    """The schema in a record's data without its version, such as `seatrial/accuracy`; empty where there is none."""
    return str(data.get("schema", "")).rpartition("/")[0]
