"""The report as Markdown, for a pull request or a README."""

import html
import re

from seatrial.report.page import make_page
from seatrial.report.tables import Table
from seatrial.results.run_folder import Run

_ALIGN = {"number": "---:"}


def write_markdown(run: Run) -> str:
    """The same sentences and tables as the HTML page, without its charts."""
    page = make_page(run)
    blocks = [
        f"# {escape(page.title)}",
        f"**{escape(page.verdict)}**",
        escape(f"{page.speed} {page.doubts}"),
        escape(page.meaning),
    ]
    blocks += ["\n".join(f"- {escape(who)}: {escape(why)}" for who, why in page.troubles)]
    blocks += [_write_table(page.summary), "\n".join(f"- **{escape(t)}**: {escape(d)}." for t, d in page.terms)]
    for section in page.sections:
        blocks.append(f"## {section.title}")
        for table in section.tables:
            blocks += [f"### {escape(table.title)}", _write_table(table), escape(table.note) if table.rows else ""]
    blocks += ["## How to reproduce it", fence(page.command)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _write_table(table: Table) -> str:
    if not table.rows:
        return escape(table.absent)
    lines = [
        [escape(column.name) for column in table.columns],
        [_ALIGN.get(column.kind, "---") for column in table.columns],
        *([escape(cell) for cell in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape(text: str) -> str:
    """Text that Markdown shows as it is, in a table too."""
    flat = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)", r"\\\g<0>", flat)


def fence(text: str) -> str:
    """A code block that its content cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}\n{text}\n{marks}"
