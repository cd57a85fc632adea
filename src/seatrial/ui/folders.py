"""Folders that a request names: under the folder of runs, and nothing in them that leads out of it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from seatrial.errors import RefusedFile


def find_folder(root: Path, text: str) -> Path:
    """The folder at a path under `root`, which is resolved itself.

    Raises:
        HTTPException: there is none, or it is not under `root`: 404 both, so that nobody learns what is elsewhere.
    """
    missing = HTTPException(404, "There is no such folder here.")
    parts = PurePosixPath(text)
    if not text or "\0" in text or parts.is_absolute() or ".." in parts.parts:
        raise missing
    try:
        resolved = (root / text).resolve(strict=True)
    except OSError:
        raise missing from None
    if not resolved.is_dir() or not resolved.is_relative_to(root):
        raise missing
    return resolved


def find_run(root: Path, text: str) -> Path:
    """The run folder at a path under `root`.

    Raises:
        HTTPException: as `find_folder`, or the folder is no run.
        RefusedFile: a link in it leads out of `root`.
    """
    folder = find_folder(root, text)
    if not (folder / "run.json").is_file():
        raise HTTPException(404, "This folder is no run: it has no run.json.")
    check_links(folder, root)
    return folder


def check_links(folder: Path, root: Path) -> None:
    """Refuse a folder in which a link, at any depth, leads out of `root`.

    Raises:
        RefusedFile: names it.
    """
    for link in _find_links(str(folder)):
        # Of a link that leads in a circle `resolve` gives a path inside, which cannot be opened.
        if not Path(link).resolve().is_relative_to(root):
            raise RefusedFile(f"{link} is a link that leads out of {root}", "the page opens nothing out of it")


def _find_links(folder: str) -> Iterator[str]:
    """Every link in a folder, at any depth; as text, as a list does this for every run that it shows."""
    todo = [folder]
    while todo:
        # What cannot be listed cannot be opened either. It is closed before anything is yielded: whoever takes no more
        # leaves the rest to the garbage collector.
        entries: list[os.DirEntry[str]] = []
        with contextlib.suppress(OSError), os.scandir(todo.pop()) as listing:
            entries += listing
        yield from (entry.path for entry in entries if entry.is_symlink())
        todo += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def make_address(place: str, /, **query: object) -> str:
    """The address of a page of ours; names of files keep their bytes. What is None or empty is left out."""
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return place + (f"?{urlencode(given, errors='surrogateescape')}" if given else "")
