"""The report as Markdown, for a pull request or a README."""

from seatrial.report.formats import escape, fence, write_markdown_list, write_markdown_table
from seatrial.report.language import retell, say
from seatrial.report.page import make_page
from seatrial.report.tables import Table
from seatrial.report.translate import retell_values
from seatrial.results.run_folder import Run


def write_markdown(run: Run) -> str:
    """The same sentences and tables as the HTML page, without its charts."""
    page = retell_values(make_page(run))
    blocks = [
        f"# {escape(page.title)}",
        escape(page.subject),
        f"**{escape(page.verdict)}**",
        escape(retell(f"{page.speed} {page.doubts}")),
        escape(page.meaning),
    ]
    blocks += [write_markdown_list([f"{who}: {why}" for who, why in page.troubles])]
    terms = [f"- **{escape(term)}**: {escape(retell(f'{meaning}.'))}" for term, meaning in page.terms]
    blocks += [_write_table(page.summary), "\n".join(terms)]
    for section in page.sections:
        blocks.append(f"## {section.title}")
        for table in section.tables:
            blocks += [f"### {escape(table.title)}", _write_table(table), escape(table.note) if table.rows else ""]
    blocks += [f"## {say('How to reproduce it')}", fence(page.command)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _write_table(table: Table) -> str:
    return write_markdown_table(table.grid) if table.rows else escape(table.absent)
