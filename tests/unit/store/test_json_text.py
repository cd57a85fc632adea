"""Models as JSON: names that are no UTF-8 come back, whatever else stands in a record."""

import json
import os
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from seatrial.errors import RefusedFile
from seatrial.store.json_text import parse_stored, read_model, write_json
from seatrial.store.record import Record
from seatrial.store.records import AccuracyRecord

LATIN = os.fsdecode(b"im\xe9ge.jpg")


class Names(Record):
    """A record of names."""

    schema_: Literal["seatrial/names/1"] = Field(default="seatrial/names/1", alias="schema")
    names: tuple[str, ...]
    by_name: dict[str, Path]


class Job(BaseModel):
    """What goes to another process."""

    file: Path


@pytest.mark.parametrize("name", ["plain", "−×漢", LATIN, "\uefe9", LATIN + "\uefe9"], ids=ascii)
def test_a_record_has_its_names_back(name: str, tmp_path: Path) -> None:
    record = Names(names=(name,), by_name={name: Path(name)})
    record.save(tmp_path / "names.json")
    assert Names.load(tmp_path / "names.json") == record
    json.loads((tmp_path / "names.json").read_text(encoding="utf-8"))
    job = Job(file=Path(name))
    assert (
        read_model(Job, write_json(job).encode()) == Job.model_validate(parse_stored(write_json(job).encode())) == job
    )


def test_a_name_that_was_edited_is_found(tmp_path: Path) -> None:
    file = tmp_path / "names.json"
    Names(names=(LATIN,), by_name={}).save(file)
    file.write_text(file.read_text(encoding="utf-8").replace("\uefe9", "\uefea"), encoding="utf-8")
    with pytest.raises(RefusedFile, match="checksum mismatch"):
        Names.load(file)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 9000, "{" + '"a":' + "9" * 5000 + "}", '{"a": 1e999}'])
def test_json_that_no_parser_bears_is_a_damaged_record(content: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(RefusedFile, match=r"record.json is damaged \(line 1: "):
        AccuracyRecord.load(tmp_path / "record.json")
