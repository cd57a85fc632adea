"""What every record has: a schema, JSON that is whole or absent, and errors that name the file."""

import json
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from seatrial.errors import RefusedFile, UsageError
from seatrial.store.files import write_text
from seatrial.strict import Strict


class Record(Strict):
    """What a stage stores."""

    schema_: str = Field(alias="schema")

    def save(self, path: Path) -> None:
        """Write the record as JSON, whole or not at all."""
        write_text(path, self.model_dump_json(by_alias=True, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a record of this kind.

        Raises:
            UsageError: there is no such file, it may not be read, or it is a record of another kind.
            RefusedFile: the file is not JSON, so it is damaged.
        """
        data = cls.upgrade(read_json(path))
        expected = cls.model_fields["schema_"].default
        if data.get("schema") != expected:
            raise UsageError(f"{path} is a {data.get('schema', 'file without a schema')}, not a {expected}")
        return cls.read(data, str(path))

    @classmethod
    def upgrade(cls, data: dict[str, Any]) -> dict[str, Any]:
        """What an older version's file would be in this one; all else as it is."""
        return data


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, under the conditions of `Record.load`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no {path}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise RefusedFile(f"{path} is damaged ({error})", "delete it and run the stage again") from None
    if not isinstance(data, dict):
        raise RefusedFile(f"{path} holds no record", "delete it and run the stage again")
    return data
