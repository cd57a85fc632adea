"""Work out again what a guide's README works out: equations in its text, ratios and best rows of its tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.foreign.files import read_text
from seatrial.metrics.arithmetic import evaluate, parse_arithmetic
from seatrial.recipes.claims import Claim, check_trainings, compare_figure
from seatrial.recipes.schema import TrainingRow

SUFFIXES = (".md", ".markdown")
BEST = ("best", "最优", "最优batch", "最优 batch")
"""What guides call the row of the best batches."""
_CELLS = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?\s*)?")
_FIGURE = re.compile(r"[-−+]?\d[\d,]*(?:\.\d+)?")
_SIZE = re.compile(r"(?:bs|batch)?\s*(\d+)", re.IGNORECASE)
_TRAINED = re.compile(r"(\d+)p[-_ ]?(\w*)", re.IGNORECASE)
_SUM = r"[\d.()\s+*/x×÷-]*"
_EQUATION = re.compile(rf"(?<![\w./=-])((?:\d[\d.]*|\(){_SUM}[*/x×÷+-]{_SUM}?)\s*=\s*(\d+(?:\.\d+)?)")
_LOG = re.compile(
    r"throughput 1000\*batchsize(?:\.mean)?\((\d+)\)/NPU_compute_time\.mean(?:\()?([\d.]+)\)?: (\d+(?:\.\d+)?)"
)
"""ais_bench's line of the throughput."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A Markdown table as it stands."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> int | None:
        """The place of the column of that name."""
        return self.header.index(name) if name in self.header else None


def check_guide_file(path: Path) -> tuple[Claim, ...]:
    """The claims of a README, right ones and wrong ones.

    Raises:
        UsageError: there is no such file, or it is no text.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise UsageError(f"{path} cannot be read ({reason})", "give the README of a guide, or a recipe") from None
    return check_guide_text(path.name, text)


def check_guide_text(name: str, text: str) -> tuple[Claim, ...]:
    """Every figure of a README that follows from others in it, worked out from these as they are printed.

    Args:
        name: what the claims are of.
    """
    with localcontext() as context:
        context.prec = 50
        claims = [*_check_equations(name, text)]
        for table in read_tables(text):
            claims += _check_table(name, table)
    return tuple(claims)


def read_tables(text: str) -> Iterator[TextTable]:
    """The Markdown tables of a text, cells without the blanks around them; rows of another length are left out."""
    lines = [line.strip() for line in text.splitlines()]
    for place in range(1, len(lines)):
        if "|" not in lines[place - 1] or not _RULE.fullmatch(lines[place]):
            continue
        header = _split(lines[place - 1])
        rows = []
        for line in lines[place + 1 :]:
            if "|" not in line:
                break
            rows.append(_split(line))
        yield TextTable(header, tuple(row for row in rows if len(row) == len(header)))


def _split(line: str) -> tuple[str, ...]:
    cells = _CELLS.split(line)
    inner = cells[1 if not cells[0].strip() else 0 : -1 if not cells[-1].strip() else None]
    return tuple(cell.replace("\\|", "|").strip() for cell in inner)


def _check_equations(name: str, text: str) -> Iterator[Claim]:
    for left, stated in _EQUATION.findall(text):
        plain = re.sub("[x×]", "*", left).replace("÷", "/").strip()
        try:
            exact = evaluate(parse_arithmetic(plain), Decimal)
        except (ArithmeticError, ValueError, RecursionError):
            continue
        yield compare_figure(name, f"{plain} = {stated}", stated, exact)
    for size, mean, stated in _LOG.findall(text):
        exact = 1000 * Decimal(size) / Decimal(mean)
        yield compare_figure(name, f"throughput 1000 * {size} / {mean}", stated, exact)


def _check_table(name: str, table: TextTable) -> Iterator[Claim]:
    for place, title in enumerate(table.header):
        if title and title in table.header[:place]:
            yield Claim(name, "in a table", f"two columns {title}", "a name for each", "text", holds=False)
        ends = _find_ends(table, title)
        if ends is not None:
            yield from _check_ratios(name, table, place, ends)
        else:
            yield from _check_best(name, table, place)
    yield from _check_trainings(name, table)


def _find_ends(table: TextTable, title: str) -> tuple[int, int] | None:
    """The columns that a title `A/B` divides; None for any other."""
    for slash in re.finditer("/", title):
        of, to = table.column(title[: slash.start()].strip()), table.column(title[slash.end() :].strip())
        if of is not None and to is not None:
            return of, to
    return None


def _read_figure(cell: str) -> str | None:
    """A cell's number in plain digits; None where it is none."""
    text = cell.replace("*", "").removesuffix("%").removesuffix("x").strip()
    return text.replace(",", "").replace("−", "-") if _FIGURE.fullmatch(text) else None


def _check_ratios(name: str, table: TextTable, place: int, ends: tuple[int, int]) -> Iterator[Claim]:
    for row in table.rows:
        stated, of, to = (_read_figure(row[column]) for column in (place, *ends))
        if stated is None or of is None or to is None or Decimal(to) <= 0:
            continue
        yield compare_figure(name, f"{table.header[place]}, {row[0]}", stated, Decimal(of) / Decimal(to))


def _check_best(name: str, table: TextTable, place: int) -> Iterator[Claim]:
    """The row of the best batches against the rows of batch sizes."""
    sized = [row for row in table.rows if _SIZE.fullmatch(row[0])]
    figures = [Decimal(figure) for row in sized if (figure := _read_figure(row[place])) is not None]
    for row in table.rows:
        stated = _read_figure(row[place])
        if place and figures and stated is not None and row[0].casefold() in BEST:
            yield compare_figure(name, f"{table.header[place]}, {row[0]}", stated, max(figures))


def _check_trainings(name: str, table: TextTable) -> Iterator[Claim]:
    """How training scales, in a table with the columns NAME and FPS."""
    named, rate = table.column("NAME"), table.column("FPS")
    if named is None or rate is None:
        return
    found = []
    for row in table.rows:
        cards, fps = _TRAINED.search(row[named]), _read_figure(row[rate])
        if cards and fps and int(cards[1]) and Decimal(fps) > 0:
            found.append(TrainingRow(device=cards[2], cards=int(cards[1]), images_per_s=float(fps)))
    yield from check_trainings(name, tuple(found))
