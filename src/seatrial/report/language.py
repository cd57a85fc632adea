"""Phrases in the language of the reader: English in the code, any other one in a catalogue beside it.

Two ways lead to the same catalogue. `say` takes a phrase as the code writes it. `retell` takes a sentence that is
finished, such as one out of a record, and finds the phrase whose words it has.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from importlib import resources

from seatrial.strict import check_name

ENGLISH = "en"
LANGUAGES = {ENGLISH: "English", "zh": "中文"}
"""Languages by their code, each but English with a catalogue `phrases.CODE.json`."""

SAID, RETOLD = "said", "told"
"""The two groups of a catalogue: phrases that `say` takes, and sentences that `retell` finds."""

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
    spoken = phrase if language == ENGLISH else read_catalogue(language).get(phrase, phrase)
    return spoken.format_map(fields) if fields else spoken


def retell(text: str) -> str:
    """A finished English text in the language that is being written; what no phrase has stays as it is.

    It is a phrase whose fields may be phrases again, or several sentences or clauses, each by itself. In a phrase `{n}`
    stands for a number, `{p}` for per cent, `{w}` for one word, each with any digit after; other fields for anything.
    """
    language = _speaking.get()
    return text if language == ENGLISH else _set_marks(_retell(language, text))


def _set_marks(text: str) -> str:
    """The text with Chinese marks at its end and between its sentences, where it has Chinese."""
    if _CHINESE.search(text) is None:
        return text
    return _GAP.sub("", text[:-1] + _ENDS.get(text[-1], text[-1]))


_CHINESE = re.compile("[\u4e00-\u9fff]")
_ENDS = {".": "。", ":": "："}
_GAP = re.compile("(?<=[。；：]) ")
"""After a mark that brings its own."""
_LETTER = re.compile("[A-Za-z]")
_FIELD = re.compile(r"\{(\w+)\}")
_KINDS = {"n": r"[-−]?\d[\d,.]*", "p": r"\d[\d.]*(?: to \d[\d.]*)?%", "w": r"\S+"}
"""Patterns of fields by their names."""
_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z`])")
_JOINTS = {" · ": " · ", "; ": "；"}
"""Between parts of a sentence, with what stands there instead."""
_LONGEST = 1000
"""Most characters that are matched against patterns: no sentence of ours has as many, and hostile ones take no time."""


@lru_cache(maxsize=10_000)
def _retell(language: str, text: str) -> str:
    exact = read_catalogue(language).get(text)
    if exact is not None or not _LETTER.search(text):
        return text if exact is None else exact
    sentences = _SENTENCES.split(text)
    if len(sentences) > 1:
        return "".join(_retell(language, sentence) for sentence in sentences)
    for pattern, phrase in _read_patterns(language) if len(text) <= _LONGEST else ():
        found = pattern.fullmatch(text)
        if found is not None:
            fields = {name: _retell(language, value) for name, value in found.groupdict().items()}
            return read_catalogue(language)[phrase].format_map(fields)
    for joint, joined in _JOINTS.items():
        if joint in text:
            return joined.join(_retell(language, part) for part in text.split(joint))
    return text


@cache
def _read_patterns(language: str) -> list[tuple[re.Pattern[str], str]]:
    """Phrases with fields as patterns: first those that begin with words of their own, and that have the most."""
    phrases = [phrase for phrase in read_groups(language)[RETOLD] if _FIELD.search(phrase)]
    phrases.sort(key=lambda phrase: (phrase[0] == "{", -len(_FIELD.sub("", phrase))))
    return [(re.compile(_make_pattern(phrase), re.DOTALL), phrase) for phrase in phrases]


def _make_pattern(phrase: str) -> str:
    pieces = _FIELD.split(phrase)
    pattern, seen = re.escape(pieces[0]), set[str]()
    for name, literal in zip(pieces[1::2], pieces[2::2], strict=True):
        kind = _KINDS.get(name.rstrip("0123456789"), ".+?")
        pattern += (f"(?P={name})" if name in seen else f"(?P<{name}>{kind})") + re.escape(literal)
        seen.add(name)
    return pattern


def find_language() -> str:
    """The code of the language that is being written."""
    return _speaking.get()


@cache
def read_catalogue(language: str) -> Mapping[str, str]:
    """Phrases of that language by the English ones: those that `say` takes, and those of finished sentences."""
    groups = read_groups(language)
    return groups[RETOLD] | groups[SAID]


@cache
def read_groups(language: str) -> Mapping[str, dict[str, str]]:
    """A catalogue by its two groups, `SAID` and `RETOLD`; a phrase may be in both."""
    path = resources.files("seatrial.report") / f"phrases.{language}.json"
    groups: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return groups
