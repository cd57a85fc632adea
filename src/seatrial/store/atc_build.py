"""What an Ascend engine stores of its compiling: `atc.json` in the engine folder."""

from typing import Literal

from pydantic import Field

from seatrial.store.record import Record

BUILD = "atc.json"


class AtcBuild(Record):
    """How the files of an engine folder were compiled: its `atc.json`."""

    schema_: Literal["seatrial/atc/1"] = Field(default="seatrial/atc/1", alias="schema")
    graph: str
    """The ONNX file, where it was."""
    soc_version: str
    commands: tuple[str, ...]
    """As typed into a shell, in the engine folder."""
