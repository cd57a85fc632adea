"""Download a card's weights: resumed where it was cut off, checked, and whole or absent."""

import hashlib
import os
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    BaseHandler,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from seatrial.errors import DataError, RefusedFile, StorageError, UsageError
from seatrial.foreign.files import open_regular
from seatrial.progress import Progress, Update, silent
from seatrial.recipes.schema import Recipe, Weights
from seatrial.store.files import lock_file

TIMEOUT_S = 30
"""Without a byte for so long, the other side is taken for dead."""
CHUNK_BYTES = 1 << 18
HANDLERS: tuple[type[BaseHandler], ...] = (
    ProxyHandler, UnknownHandler, HTTPHandler, HTTPSHandler,
    HTTPDefaultErrorHandler, HTTPRedirectHandler, HTTPErrorProcessor,
)  # fmt: skip


def fetch_weights(recipe: Recipe, folder: Path, progress: Progress = silent) -> Path:
    """Download the card's weights into `folder`, unless they are there; until they are right, into `FILE.part`.

    Raises:
        UsageError: the card has no address, or one that leads nowhere.
        DataError: the server cannot be reached or the connection was cut; the same call goes on where it stopped.
        RefusedFile: the download, or the file that is there already, is not the published file.
        RunInUse: another process downloads it into the same folder.
        StorageError: the folder may not be written or the disk is full.
    """
    weights, url = _find_address(recipe)
    target, part = folder / weights.file, folder / f"{weights.file}.part"
    try:
        if target.is_file():
            check_weights(target, weights)
            return target
        folder.mkdir(parents=True, exist_ok=True)
        _fill(part, weights, url, progress)
        _check_download(part, weights, url, progress)
        part.replace(target)
    except OSError as error:
        problem = f"{error.filename or part} cannot be read or written ({error.strerror or error})"
        raise StorageError(problem, "make room or choose another folder") from None
    return target


def _fill(part: Path, weights: Weights, url: str, progress: Progress) -> None:
    with lock_file(part, f"another process downloads {part}") as file:
        try:
            # An earlier call may have been stopped between the last byte and the renaming.
            if not (_expected(weights) and is_published(read_digests(part), weights)):
                _download(url, file, progress)
            os.fsync(file.fileno())
        finally:
            if file.tell() == 0:
                part.unlink()


def check_weights(path: Path, weights: Weights) -> None:
    """Compare a file with every checksum on the card; a card without one lets any file pass.

    Raises:
        RefusedFile: it is another file.
    """
    digests = read_digests(path)
    for kind, want in _expected(weights).items():
        if not digests[kind].startswith(want):
            problem = f"{path} is not the published file: its {kind} is {digests[kind][: len(want)]}, not {want}"
            raise RefusedFile(problem, "move it away and run `seatrial recipes fetch` again")


def is_published(found: Mapping[str, str], weights: Weights) -> bool | None:
    """Whether a file is the published one by every checksum on the card that can be looked at; None if none can.

    Args:
        found: the file's `md5` and `sha256`, or the one of them that is known.
    """
    expected = {kind: want for kind, want in _expected(weights).items() if kind in found}
    return all(found[kind].startswith(want) for kind, want in expected.items()) if expected else None


def _find_address(recipe: Recipe) -> tuple[Weights, str]:
    weights = recipe.weights
    if weights is None:
        raise UsageError(f"the card of {recipe.name} names no weights", "give your own with --checkpoint")
    if weights.url is None:
        raise UsageError(f"the card of {recipe.name} has no address for {weights.file}", weights.note)
    if urlsplit(weights.url).scheme not in ("http", "https"):
        raise UsageError(f"weights.url of {recipe.name} is no web address: {weights.url}", "it begins with https://")
    return weights, weights.url


def _expected(weights: Weights) -> dict[str, str]:
    given = {"md5": weights.md5, "sha256": weights.sha256 or weights.sha256_prefix}
    return {kind: value for kind, value in given.items() if value is not None}


def read_digests(path: Path) -> dict[str, str]:
    """The `md5` and the `sha256` of a file, in hexadecimal, of one reading."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            md5.update(chunk)
            sha256.update(chunk)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def _check_download(part: Path, weights: Weights, url: str, progress: Progress) -> None:
    if not _expected(weights):
        progress(Update("fetch", note=f"the card has no checksum; the file's sha256 is {read_digests(part)['sha256']}"))
    try:
        check_weights(part, weights)
    except RefusedFile as refused:
        part.unlink()  # To go on from a wrong file would only make another wrong one.
        problem = refused.problem.replace(str(part), url)
        fix = "it was removed; check the link in the card, or the network for a login page"
        raise RefusedFile(problem, fix) from None


def _download(url: str, file: FileIO, progress: Progress) -> None:
    """Append what is missing to `file`; a server that cannot resume sends it all again."""
    name = urlsplit(url).path.rpartition("/")[2]
    with _request(url, file.tell()) as response:
        if response.status != 206:
            file.truncate(0)
        start = done = file.seek(0, os.SEEK_END)
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else 0
        progress(Update("fetch", done, total, "bytes", note=f"{'resuming' if start else 'downloading'} {name}"))
        while chunk := _read(response, url, done):
            done += file.write(chunk)
            progress(Update("fetch", done, total, "bytes"))
    if done == 0 or (total and done != total):
        problem = f"{url} sent {done:,} of {total:,} bytes and hung up"
        raise DataError(problem, "run the same command again: it resumes there")


def _request(url: str, start: int) -> HTTPResponse:
    """The server's response from byte `start` on (status 206), or the whole file where it does not give that part."""
    headers = {"User-Agent": "seatrial", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response: HTTPResponse = _make_opener().open(Request(url, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _request(url, 0)
        raise _explain_status(url, error) from None
    except (HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        fix = "check the network and run the same command again"
        raise DataError(f"{url} cannot be reached ({reason})", fix) from None
    if start and response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        response.close()
        return _request(url, 0)
    return response


def _make_opener() -> OpenerDirector:
    """One without file, ftp or data handlers, so that a redirection cannot lead to one either."""
    opener = OpenerDirector()
    for handler in HANDLERS:
        opener.add_handler(handler())
    return opener


def _explain_status(url: str, error: HTTPError) -> DataError | UsageError:
    problem = f"{url} gives {error.code} {error.reason}"
    if error.code >= 500 or error.code in (408, 429):
        return DataError(problem, "run the same command again later")
    fix = "the link in the card is dead or closed: get the file elsewhere and give it with --checkpoint"
    return UsageError(problem, fix)


def _read(response: HTTPResponse, url: str, done: int) -> bytes:
    try:
        return response.read(CHUNK_BYTES)
    except (HTTPException, OSError) as error:
        problem = f"the connection to {url} broke after {done:,} bytes ({error})"
        raise DataError(problem, "run the same command again: it resumes there") from None
