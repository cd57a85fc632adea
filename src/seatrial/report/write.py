"""A run folder in, report.html and report.md in it out."""

from pathlib import Path

from seatrial.errors import RefusedFile
from seatrial.report.html import write_html
from seatrial.report.markdown import write_markdown
from seatrial.results.run_folder import Run, read_run
from seatrial.store.files import remove_file, write_text


def write_report(folder: Path) -> tuple[Path, Path, Run]:
    """Write both reports of a run into its folder; where its records are refused, older reports go away.

    Returns:
        The HTML file, the Markdown file, and the run that was read for them.

    Raises:
        UsageError: the folder is no run.
        RefusedFile: a record or the predictions in it are damaged.
        StorageError: the folder may not be written.
    """
    page, text = folder / "report.html", folder / "report.md"
    try:
        run = read_run(folder)
        written = write_html(run), write_markdown(run)
    except RefusedFile:
        remove_file(page)
        remove_file(text)
        raise
    write_text(page, written[0])
    write_text(text, written[1])
    return page, text, run
