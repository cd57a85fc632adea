"""How long the local page takes: a list of ten thousand runs, and an image until every engine has answered.

    python benchmarks/ui.py [--runs 10000] [--folder FOLDER] [--trial RUN --image FILE]

The runs are copies of one made-up run, with `summary.json`; the caches of the system are dropped before the first
request where it lets us. The times are those of requests to a server in this process, over the loopback interface.
With --trial, a run folder whose engines are there, an image is sent as the page does it, twice.
"""

import argparse
import http.cookiejar
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from board import copy_runs, drop_caches

from page_server import serve_pages

LISTS = (
    ("newest first", "/"),
    ("by path, page 100", "/?order=path&page=100"),
    ("by rate", "/?order=speed"),
    ("those that fail, by drop", "/?outcome=FAIL&order=drop"),
    ("three words", "/?words=run+group+01&order=top1"),
)


class Visitor:
    """A client that has been let in."""

    def __init__(self, address: str) -> None:
        self.home = address.partition("/?")[0]
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self._opener.open(address).read()

    def get(self, page: str, data: bytes | None = None) -> str:
        """The text of a page; with data it is sent there."""
        request = urllib.request.Request(self.home + page, data, {"Origin": self.home} if data else {})
        with self._opener.open(request, timeout=600) as answer:
            text: str = answer.read().decode()
        return text

    def time(self, page: str, data: bytes | None = None) -> tuple[float, str]:
        """Seconds of a request, and its answer."""
        begun = time.perf_counter()
        text = self.get(page, data)
        return time.perf_counter() - begun, text


def time_lists(folder: Path) -> Iterator[str]:
    """A line for each list, cold and warm."""
    cold = drop_caches()
    with serve_pages(folder) as address:
        visitor = Visitor(address)
        seconds, _ = visitor.time("/")
        yield f"first request, newest first, {'files not in memory' if cold else 'files in memory'}: {seconds:.2f} s"
    with serve_pages(folder) as address:
        visitor = Visitor(address)
        seconds, _ = visitor.time("/")
        yield f"first request of a new server, files in memory: {seconds:.2f} s"
        begun = time.perf_counter()
        while "still being read" in visitor.get("/?order=speed"):
            time.sleep(0.1)
        yield f"until all figures are read, in the background: {time.perf_counter() - begun:.1f} s"
        for name, page in LISTS:
            times = sorted(visitor.time(page)[0] for _ in range(5))
            yield f"then {name}: {times[2]:.2f} s (median of 5, {times[0]:.2f} to {times[-1]:.2f})"


def time_image(trial: Path, image: Path) -> Iterator[str]:
    """A line for each of two visits with an image: all pieces that the page asks for, in its order."""
    data = image.read_bytes()
    with serve_pages(trial.parent) as address:
        visitor = Visitor(address)
        page = visitor.get(f"/image?run={trial.name}")
        pieces = [part.split('"')[0].replace("&amp;", "&") for part in page.split('data-piece="')[1:]]
        for visit in ("first image, engines opened for it", "second image"):
            begun, each = time.perf_counter(), []
            for piece in pieces:
                seconds, text = visitor.time(f"{piece}&name={image.name}", data)
                name = piece.rpartition("engine=")[2] if "engine=" in piece else "steps"
                each.append(f"{name} {seconds:.2f}{'' if 'data-first' in text or 'steps' in text else ' (error)'}")
            yield f"{visit}: {time.perf_counter() - begun:.2f} s ({', '.join(each)})"


def main() -> None:
    """Print one line for each time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--trial", type=Path)
    parser.add_argument("--image", type=Path)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{given.runs:,} runs of 4 engines, {os.cpu_count()} cores, load {load:.1f} before", flush=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        copy_runs(Path(place) / "runs", given.runs)
        for line in time_lists(Path(place) / "runs"):
            print(line, flush=True)
    if given.trial is not None and given.image is not None:
        print(f"an image of {given.image.stat().st_size:,} bytes on the engines of {given.trial.name}")
        for line in time_image(given.trial, given.image):
            print(line, flush=True)
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
