"""Phrases in the language of the reader: English in the code, any other one in a catalogue beside it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import resources

from seatrial.strict import check_name

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "zh": "中文"}
"""Languages by their code, each but English with a catalogue `phrases.CODE.json`."""

_speaking: ContextVar[str] = ContextVar("language of the report", default=ENGLISH)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Write in this language until the block ends.

    Raises:
        UsageError: there is no such language; names those that there are.
    """
    check_name(language, LANGUAGES, f"there is no language '{language}'")
    token = _speaking.set(language)
    try:
        yield
    finally:
        _speaking.reset(token)


def say(phrase: str, /, **fields: object) -> str:
    """An English phrase in the language that is being written, its `{fields}` filled in.

    The phrase is written out where it is used, so that a test finds each one and looks it up in every catalogue.
    """
    language = _speaking.get()
    said = phrase if language == ENGLISH else read_catalogue(language).get(phrase, phrase)
    return said.format_map(fields) if fields else said


def find_language() -> str:
    """The code of the language that is being written."""
    return _speaking.get()


@cache
def read_catalogue(language: str) -> Mapping[str, str]:
    """Phrases of that language by the English ones."""
    path = resources.files("seatrial.report") / f"phrases.{language}.json"
    phrases: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return phrases
