"""What the README of a guide says in its tables, commands and links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.recipes.guide_text import TextTable, read_tables

_PYTHON = re.compile(r"^\W*python[\d.]*\s+(?!-m\b)(\S*?([^/\s]+\.py))\b(.*)$")
_ASSIGNED = re.compile(r"^\W*(?:export\s+)?([A-Za-z_]\w*)=([\w.\-\"']+)\s*(?:#.*)?$", re.ASCII)
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_NAMED_INPUT = re.compile(r"--input[_-]shape[= ]+[\"']?([\w.\-/:]+?):([\d${}\w ,\-.;~]+?)[\"'\s\\]")
_MD5 = re.compile(r"(?i)(?<![a-z])md5\w*\W{0,4}([0-9a-f]{32})\b")
_WEIGHTS = re.compile(
    r"(?:(?<=%2F)|(?<![\w.%-]))[a-z0-9][\w.-]*\.(?:pth\.tar|pth|pt|safetensors)\b", re.ASCII | re.IGNORECASE
)
_URL = re.compile(r"https?://[^\s)>\]\"'，。`]+")
_CONFIG = re.compile(r"[\w./\-]+\.(?:yaml|yml)\b")
_SHAPE = re.compile(r"(\d+)\s*[xX×*,]\s*(\d+)\s*[xX×*,]\s*(\d+)(?!\s*[xX×*,]\s*\d)")
_CLASSES = re.compile(r"(?:\w+|\S*\{[^}]*\})\s*[xX×*,]\s*(\d+)")
"""A batch and a number of classes, and no third number."""
_BATCH = re.compile(r"(?:bs|batch[\s_]?(?:size)?)?\s*[=:]?\s*(\d+)", re.IGNORECASE)
_FIGURE = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s*(?:fps|qps|img/s|images/s)?", re.IGNORECASE)
_SPEED = re.compile(r"性能|fps|throughput|吞吐|images/s|performance|qps", re.IGNORECASE)
_SIZE_TITLE = re.compile(r"batch|bs$", re.IGNORECASE)
_DEVICE = re.compile(r"(?i)(ascend\s*)?(310P\d?|310B\d?|310|910\w?|710|T4|V100|A10|A100)\b")
_DEVICE_TITLE = re.compile(r"芯片|型号|device|chip|npu|gpu|硬件", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """A Python script that the guide runs."""

    script: str
    words: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Said:
    """A value that the text gives, and the line."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class PrintedColumn:
    """Throughput by batch size of one device."""

    device: str
    images_per_s: dict[str, float]
    line: int


@dataclass(frozen=True, slots=True)
class Readme:
    """One README."""

    file: str
    title: str
    commands: tuple[Command, ...]
    input_name: Said | None
    input_shape: Said | None
    """Channels, height and width, as `3,224,224`."""
    output_name: Said | None
    classes: Said | None
    md5: Said | None
    weights: Said | None
    urls: tuple[Said, ...]
    configs: tuple[Said, ...]
    columns: tuple[PrintedColumn, ...]


def read_readme(text: str, file: str) -> Readme:
    """The facts of a README's text."""
    lines = text.splitlines()
    tables = list(read_tables(text))
    shape = _find_atc_input(lines)
    inputs, outputs = _find_ends(tables, lines)
    return Readme(
        file=file,
        title=next((line.lstrip("# ").strip() for line in lines if line.startswith("#") and line.strip("# ")), ""),
        commands=tuple(_read_commands(lines)),
        input_name=shape[0] or (inputs[0] if inputs else None),
        input_shape=shape[1] or (inputs[1] if inputs else None),
        output_name=outputs[0] if outputs else None,
        classes=outputs[1] if outputs else None,
        md5=_find(_MD5, lines),
        weights=_find(_WEIGHTS, lines, whole=True),
        urls=tuple(_find_all(_URL, lines)),
        configs=tuple(_find_all(_CONFIG, lines)),
        columns=tuple(_read_columns(tables, lines)),
    )


def _find(pattern: re.Pattern[str], lines: list[str], whole: bool = False) -> Said | None:
    for number, line in enumerate(lines, start=1):
        if match := pattern.search(line):
            return Said(match[0] if whole else match[1], number)
    return None


def _find_all(pattern: re.Pattern[str], lines: list[str]) -> Iterator[Said]:
    for number, line in enumerate(lines, start=1):
        yield from (Said(match[0].rstrip(".,;"), number) for match in pattern.finditer(line))


def _read_commands(lines: list[str]) -> Iterator[Command]:
    """Lines that run a script, those that end in a backslash joined, with what the lines before set variables to."""
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if assigned := _ASSIGNED.match(line):
            variables[assigned[1]] = assigned[2].strip("\"'")
        whole, at = line, number
        while whole.rstrip().endswith("\\") and at < len(lines):
            whole = whole.rstrip()[:-1] + " " + lines[at].strip()
            at += 1
        whole = _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), whole)
        match = _PYTHON.match(whole.strip())
        if match is None:
            continue
        try:
            words = shlex.split(match[3], comments=True)
        except ValueError:
            words = match[3].split()
        yield Command(match[2], tuple(words), number)


def _find_atc_input(lines: list[str]) -> tuple[Said | None, Said | None]:
    """The input's name and shape of the first `--input_shape=NAME:N,3,H,W`."""
    for number, line in enumerate(lines, start=1):
        match = _NAMED_INPUT.search(line + " ")
        if match is None:
            continue
        sizes = [size.strip() for size in match[2].split(",")]
        plain = len(sizes) == 4 and all(size.isdigit() for size in sizes[1:])
        return Said(match[1], number), Said(",".join(sizes[1:]), number) if plain else None
    return None, None


def _find_ends(
    tables: list[TextTable], lines: list[str]
) -> tuple[tuple[Said | None, Said | None] | None, tuple[Said | None, Said | None] | None]:
    """Name and shape of the input, name and classes of the output, of the tables that list them."""
    inputs = outputs = None
    for table in tables:
        title = table.header[0] if table.header else ""
        if not table.rows:
            continue
        row = table.rows[0]
        line = _line_of(row, lines)
        cells = " | ".join(row[1:])
        if inputs is None and re.fullmatch(r"输入数据|input(?: data)?", title, re.IGNORECASE):
            shape = _SHAPE.search(cells)
            inputs = (Said(row[0], line), Said(",".join(shape.groups()), line) if shape else None)
        elif outputs is None and re.fullmatch(r"输出数据|output(?: data)?", title, re.IGNORECASE):
            classes = next((match for cell in row[1:] if (match := _CLASSES.fullmatch(cell))), None)
            outputs = (Said(row[0], line), Said(classes[1], line) if classes else None)
    return inputs, outputs


def _line_of(row: tuple[str, ...], lines: list[str]) -> int:
    wanted = "|".join(row)
    for number, line in enumerate(lines, start=1):
        if "|" in line and "|".join(cell.strip() for cell in line.strip().strip("|").split("|")) == wanted:
            return number
    return 0


def _read_columns(tables: list[TextTable], lines: list[str]) -> Iterator[PrintedColumn]:
    """Throughput by device: of tables with a column of batch sizes and one of speed, or one for each device."""
    for table in tables:
        sizes = next((place for place, title in enumerate(table.header) if _SIZE_TITLE.search(title)), None)
        if sizes is None or not table.rows:
            continue
        speeds = [place for place, title in enumerate(table.header) if _SPEED.search(title) and "/" not in title[:-3]]
        named = next((place for place, title in enumerate(table.header) if _DEVICE_TITLE.search(title)), None)
        if len(speeds) == 1 and named is not None:
            yield from _read_rows(table, lines, (named, sizes, speeds[0]))
        elif not speeds:
            for place, title in enumerate(table.header):
                if place != sizes and _DEVICE.fullmatch(title.strip()):
                    yield from _read_rows(table, lines, (None, sizes, place), title.strip())


def _read_rows(
    table: TextTable, lines: list[str], places: tuple[int | None, int, int], device: str = ""
) -> Iterator[PrintedColumn]:
    named, sizes, speed = places
    found: dict[str, dict[str, float]] = {}
    for row in table.rows:
        batch, figure = _BATCH.fullmatch(row[sizes]), _FIGURE.fullmatch(row[speed].strip("* "))
        name = device if named is None else row[named].strip("* ")
        if batch and figure and name and int(batch[1]) > 0 and float(figure[1].replace(",", "")) > 0:
            found.setdefault(name, {}).setdefault(str(int(batch[1])), float(figure[1].replace(",", "")))
    for name, figures in found.items():
        yield PrintedColumn(name, figures, _line_of(table.rows[0], lines))
