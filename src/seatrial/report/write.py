"""A run folder in, report.html and report.md in it out."""

from pathlib import Path

from seatrial.report.html import write_html
from seatrial.report.markdown import write_markdown
from seatrial.report.read import read_run
from seatrial.store.files import write_text


def write_report(folder: Path) -> tuple[Path, Path]:
    """Write both reports of a run into its folder.

    Returns:
        The HTML file and the Markdown file.

    Raises:
        UsageError: the folder is no run.
        RefusedFile: a record or the predictions in it are damaged.
        StorageError: the folder may not be written.
    """
    run = read_run(folder)
    page, text = folder / "report.html", folder / "report.md"
    write_text(page, write_html(run))
    write_text(text, write_markdown(run))
    return page, text
