"""A run folder in, report.html and report.md in it out."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from seatrial.errors import RefusedFile
from seatrial.report.costs import find_size
from seatrial.report.drawable import explain_no_charts
from seatrial.report.language import find_language
from seatrial.results.run_folder import Run, read_run
from seatrial.store.files import hash_file, hash_value, remove_file, write_text
from seatrial.store.summary import SUMMARY, WrittenPages

PAGES = ("report.html", "report.md")
RECORDS = ("*.json", "*/*.json", "*/*.parquet", "engines/*/*.json")
"""Where a run folder has what a page may show; what is found besides only makes pages anew once too often."""
CODE = (".py", ".json", ".j2", ".css", ".js")
LIBRARIES = ("seatrial", "altair", "vl-convert-python", "jinja2", "markupsafe", "numpy", "scipy")
"""That pages are made with."""


def write_report(folder: Path, known: WrittenPages | None = None) -> tuple[Path, Path, Run]:
    """Write both reports of a run into its folder; where its records are refused, older reports go away.

    Args:
        known: pages that were written before; where these are there, of the same records, nothing is written.

    Returns:
        The HTML file, the Markdown file, and the run that was read for them.

    Raises:
        UsageError: the folder is no run.
        RefusedFile: a record or the predictions in it are damaged.
        StorageError: the folder may not be written.
    """
    page, text = (folder / name for name in PAGES)
    try:
        run = read_run(folder)
        if known is not None and known == describe_pages(run):
            return page, text, run
        written = _write_pages(run)
    except RefusedFile:
        remove_file(page)
        remove_file(text)
        raise
    write_text(page, written[0])
    write_text(text, written[1])
    return page, text, run


def _write_pages(run: Run) -> tuple[str, str]:
    # Imported late: what draws charts takes longer to load than all else, and there may be nothing to draw.
    from seatrial.report.html import write_html
    from seatrial.report.markdown import write_markdown

    return write_html(run), write_markdown(run)


def describe_pages(run: Run) -> WrittenPages:
    """The pages in a run folder as they are, and what they would be written from now."""
    folder = run.folder
    records = {path for pattern in RECORDS for path in folder.glob(pattern) if path.is_file()}
    inputs = {
        "records": {str(path.relative_to(folder)): hash_file(path) for path in records - {folder / SUMMARY}},
        "sizes": {name: find_size(run, name, built) for name, built in run.built.items()},
        "language": find_language(),
        "no_charts": explain_no_charts(),
        "code": _hash_code(),
        "versions": {name: _find_version(name) for name in LIBRARIES},
    }
    pages = [folder / name for name in PAGES]
    return WrittenPages(inputs=hash_value(inputs), files={p.name: hash_file(p) for p in pages if p.is_file()})


def _find_version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


@cache
def _hash_code() -> str:
    """Of this package as it is installed: its version says nothing while it is worked on."""
    root = Path(__file__).parent.parent
    files = sorted(path for path in root.rglob("*") if path.suffix in CODE)
    return hash_value([[str(path.relative_to(root)), hash_file(path)] for path in files])
