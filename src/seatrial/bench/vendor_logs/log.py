"""A log as numbered lines, and what matches in it: templates such as `Throughput: {n} qps`."""

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from seatrial.errors import RefusedFile, UsageError
from seatrial.foreign.files import open_regular
from seatrial.foreign.parse import Unparsable, parse_json
from seatrial.store.imported import LogFile

LARGEST_BYTES = 64 * 2**20
LONGEST_LINE = 10_000
"""Characters of a line in which templates are looked for: on longer ones they would take minutes."""
AS_PRINTED = "give the log as the tool wrote it"
NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TIME = r"\d{1,2}:\d\d:\d\d(?:[.,]\d+)?"
_DATE = r"\d{4}[-/]\d\d[-/]\d\d"
_STAMP = re.compile(
    # What `gh run view --log` (job, step) and `docker compose logs` (service) print in front of it.
    r"(?:[^\t]*\t[^\t]*\t|[\w.-]+ +\| )?"
    rf"(?:\[?(?:{_DATE}[T ])?{_TIME} ?(?:Z|UTC|[-+]\d\d:?\d\d)?\]?"
    # syslog, journalctl and ts; with the host and the program where they are said.
    rf"|[A-Z][a-z]{{2}} [ \d]\d {_TIME}(?: [\w.-]+ [\w./-]+\[\d+\]:)?)"
    # GitLab numbers its streams.
    r"(?: \d\d[OE]\+?)?(?:[ \t]{1,2}|$)"
)
"""What CI systems and loggers put in front of each line: a time, perhaps with a date."""
STAMPED = 0.5
"""Where this share of all lines begins with a stamp, stamps are none of the tool's own words."""
_CUT_SHORT = re.compile(r"[\d.,+-]$|[eE]$")
_SHOWN = 80
"""Characters of a line that an error quotes."""
_NAME_LENGTH = 10
"""A first word longer than this is a figure's name, and no common word."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line and its number, from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class LineMatch:
    """A line that matches a template, and the text at its placeholders."""

    line: int
    words: tuple[str, ...]
    text: str

    def figure(self, index: int = 0) -> float:
        """The number at a `{n}`."""
        return float(self.words[index])


@dataclass(frozen=True, slots=True)
class LogText:
    """A file, or some of its lines."""

    file: LogFile
    lines: tuple[LogLine, ...]
    text: str
    """The whole file, for formats that are not read by lines."""
    cut_line: int | None = None
    """A last line that ends in a number and in no line break: digits may be lost, so it is not among `lines`."""

    @property
    def name(self) -> str:
        """The file's name, as given."""
        return self.file.name

    def without(self, prefix: str) -> "LogText":
        """The same lines without a logger's prefix."""
        pattern = re.compile(prefix)
        lines = tuple(LogLine(line.number, pattern.sub("", line.text, count=1).strip()) for line in self.lines)
        return replace(self, lines=lines)

    def after(self, line: int) -> "LogText":
        """The lines after a line."""
        return replace(self, lines=tuple(one for one in self.lines if one.number > line))

    def upto(self, line: int) -> "LogText":
        """The lines up to a line, and that line."""
        return replace(self, lines=tuple(one for one in self.lines if one.number <= line))

    def split(self, start: str) -> tuple["LogText", ...]:
        """The parts that begin where a line matches `start`; lines before the first belong to it."""
        pattern = re.compile(start)
        begins = [index for index, line in enumerate(self.lines) if pattern.search(line.text)]
        edges = [0, *begins[1:], len(self.lines)]
        return tuple(replace(self, lines=self.lines[a:b]) for a, b in pairwise(edges))

    def split_after(self, ends: Iterable[LineMatch]) -> Iterator["LogText"]:
        """The parts that end with each of these lines; what follows the last is in none."""
        start = 0
        for end in ends:
            yield self.after(start).upto(end.line)
            start = end.line

    def find(self, *templates: str) -> LineMatch | None:
        """The first line that fits one of `templates`: `{n}` is a number, `{w}` any words."""
        return next(self.find_all(*templates), None)

    def find_all(self, *templates: str) -> Iterator[LineMatch]:
        """All lines that fit one of `templates`."""
        forms = [(_head(template).split(" ")[0], _compile(template)) for template in templates]
        for line in self.lines:
            for first_word, form in forms:
                if line.text.startswith(first_word) and (match := form.fullmatch(line.text)):
                    yield LineMatch(line.number, match.groups(), line.text)
                    break

    def need(self, *templates: str) -> LineMatch:
        """The first line that fits one of `templates`.

        Raises:
            RefusedFile: there is none; names the line that comes near, or the last one that there is.
        """
        first = self.find(*templates)
        if first is not None:
            return first
        heads = [_head(template) for template in templates]
        names = tuple(word for word in (head.split(" ")[0] for head in heads) if len(word) > _NAME_LENGTH)
        near = next((line for line in self.lines for head in heads if head and _compile(head).match(line.text)), None)
        near = near or next((line for line in self.lines if line.text.startswith(names)), None)
        wanted = "' or '".join(_show(template) for template in templates)
        if near is not None:
            raise RefusedFile(f"{self.name} line {near.number} is '{near.text[:_SHOWN]}', not '{wanted}'", AS_PRINTED)
        raise RefusedFile(f"{self.name} has no line '{wanted}' {self.describe_end()}", "give the complete log")

    def describe_end(self) -> str:
        """Where the text ends, for an error about what is missing."""
        if self.cut_line is not None:
            return f"before line {self.cut_line}, which breaks off in a number"
        return f"up to line {self.lines[-1].number}" if self.lines else "at all"

    def match(self, pattern: str) -> LineMatch | None:
        """The first line in which a regular expression matches, with its groups."""
        compiled = re.compile(pattern)
        for line in self.lines:
            if match := compiled.search(line.text):
                return LineMatch(line.number, tuple(group or "" for group in match.groups()), line.text)
        return None

    def word(self, pattern: str) -> str | None:
        """The first group of `match`."""
        match = self.match(pattern)
        return match.words[0] if match else None

    def locate(self, text: str, occurrence: int = 0) -> int:
        """The line number of the nth occurrence of `text`; 1 where there is none."""
        position = -1
        for _ in range(occurrence + 1):
            position = self.text.find(text, position + 1)
        return self.text.count("\n", 0, max(position, 0)) + 1

    def parse_json(self, text: str, first_line: int = 1) -> Any:
        """The JSON value in `text`.

        Raises:
            RefusedFile: it is none; names the line.
        """
        try:
            return parse_json(text, finite=False)
        except Unparsable as error:
            place = f"{self.name} line {first_line + error.line - 1}"
            raise RefusedFile(f"{place} is no JSON ({error.reason})", "give the complete file") from None


@functools.cache
def _compile(template: str) -> re.Pattern[str]:
    # Tools line up their figures with any number of blanks.
    patterns = [
        {"{n}": f"({NUMBER})", "{w}": "(.*?)"}.get(part) or r"\s*".join(map(re.escape, part.split(" ")))
        for part in re.split(r"(\{n\}|\{w\})", template)
    ]
    return re.compile("".join(patterns))


def _head(template: str) -> str:
    """What a line begins with before its first placeholder."""
    return re.split(r"\{n\}|\{w\}", template)[0]


def _show(template: str) -> str:
    return template.replace("{n}", "NUMBER").replace("{w}", "…")


def load_log(path: Path) -> LogText:
    """Read a text file; line numbers are those that an editor shows.

    Raises:
        UsageError: there is no such file, or it may not be read.
        RefusedFile: it is empty, too large, or no text in UTF-8.
    """
    content = _read_bytes(path)
    if not content.strip():
        raise RefusedFile(f"{path} is empty", "give the log that the tool printed")
    text = _decode(path, content)
    rows = text.split("\n")
    # A terminal shows what follows the last carriage return: progress bars are written over.
    shown = _strip_stamps([_CONTROL.sub("", row.rstrip("\r").rpartition("\r")[2]) for row in rows])
    lines = [LogLine(number, row[:LONGEST_LINE]) for number, row in enumerate(shown, 1)]
    last = lines.pop()
    cut = bool(_CUT_SHORT.search(last.text.rstrip()))
    if last.text and not cut:
        lines.append(last)
    file = LogFile(name=str(path), sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
    return LogText(file, tuple(lines), "\n".join(shown), last.number if cut else None)


def _strip_stamps(rows: list[str]) -> list[str]:
    """Rows without the time in front of each, where there is one in front of most."""
    stamps = [_STAMP.match(row) for row in rows]
    written = sum(bool(row.strip()) for row in rows)
    if sum(stamp is not None for stamp in stamps) < STAMPED * written:
        return rows
    return [row if stamp is None else row[stamp.end() :] for row, stamp in zip(rows, stamps, strict=True)]


def _read_bytes(path: Path) -> bytes:
    try:
        with open_regular(path, pipes=True) as file:
            content = file.read(LARGEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no file {path}", "give the path of a log") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})", "give a file that you may read") from None
    if len(content) > LARGEST_BYTES:
        raise RefusedFile(
            f"{path} has more than {LARGEST_BYTES:,} bytes", "cut out the part from the tool's start to its summary"
        )
    return content


def _decode(path: Path, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RefusedFile(f"{path} is UTF-16, not UTF-8", "convert it: iconv -f UTF-16 -t UTF-8")
    if b"\x00" in content:
        raise RefusedFile(f"{path} is binary, not a log", "give the text that the tool printed")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RefusedFile(f"{path} line {line} is not UTF-8", "convert it: iconv -t UTF-8") from None
