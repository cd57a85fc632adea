"""An image that the user brings: what preprocessing makes of it, and every engine's five best classes."""

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from seatrial.engines.base import MANIFEST
from seatrial.errors import UsageError
from seatrial.report.numbers import write_figures
from seatrial.results.recount import check_file_name
from seatrial.store.records import RunManifest
from seatrial.ui.folders import find_run, make_address
from seatrial.ui.pages import get_query, list_links, render
from seatrial.ui.predict_process import ImageJob
from seatrial.ui.site import get_site

MOST_BYTES = 32 * 2**20
"""Of an image file; its pixels are limited as in an evaluation: see `data.preprocessing.decode`."""
MOST_LETTERS = 100
"""Of its name."""


def show_image_page(request: Request) -> Response:
    """The place to drop an image on, and a place for what each engine of the run makes of it."""
    site, path = get_site(request), get_query(request).get("run", "")
    folder = find_run(site.root, path)
    engines = list_engines(folder)
    if engines:
        # They are opened while the user looks for an image.
        site.engines.prepare(folder, engines)
    return render(
        "image",
        path=path,
        links=list_links(path),
        steps=make_address("/image/steps", run=path),
        engines=[(name, make_address("/image/engine", run=path, engine=name)) for name in engines],
        most_mib=MOST_BYTES // 2**20,
    )


def list_engines(folder: Path) -> tuple[str, ...]:
    """Names of the engines of a run whose folders are there, the reference first."""
    manifest = RunManifest.load(folder / "run.json")
    for name in manifest.engines:
        check_file_name(name, folder / "run.json")
    return tuple(name for name in manifest.engines if (folder / "engines" / name / MANIFEST).is_file())


async def show_steps(request: Request) -> Response:
    """A piece of the page: the image after each step of preprocessing."""
    site, folder, engines = get_site(request), *_find_engines(request)
    job = await read_image(request)
    drawn = await run_in_threadpool(site.engines.draw, folder, engines[0], job)
    return render("image_steps", drawn=drawn, low=write_figures(drawn.low), high=write_figures(drawn.high))


async def show_prediction(request: Request) -> Response:
    """A piece of the page: one engine's best classes."""
    site, folder, engines = get_site(request), *_find_engines(request)
    name = get_query(request).get("engine", "")
    if name not in engines:
        raise HTTPException(404, "This run has no such engine.")
    job = await read_image(request)
    found = await run_in_threadpool(site.engines.predict, folder, name, job)
    times = (
        f"{write_figures(found.run_ms)} ms a run (median of {found.runs})",
        *([f"in batches of {found.batch_size}"] if found.batch_size > 1 else []),
        f"prepared in {write_figures(found.prepare_ms)} ms",
        *([f"opened in {write_figures(found.opened_s)} s"] if found.opened_s is not None else []),
    )
    return render("image_engine", found=found, times=", ".join(times))


def _find_engines(request: Request) -> tuple[Path, tuple[str, ...]]:
    folder = find_run(get_site(request).root, get_query(request).get("run", ""))
    engines = list_engines(folder)
    if not engines:
        raise UsageError(f"{folder} has no engine folders", "run it again: they were deleted")
    return folder, engines


async def read_image(request: Request) -> ImageJob:
    """The image file in the body of a request.

    Raises:
        HTTPException: it is larger than `MOST_BYTES`, or empty.
    """
    too_large = HTTPException(413, f"The file is larger than {MOST_BYTES // 2**20} MiB, the most that is taken here.")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > MOST_BYTES:
        raise too_large
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise too_large
    if not data:
        raise HTTPException(422, "The file is empty.")
    return ImageJob.of(bytes(data), get_query(request).get("name", "")[:MOST_LETTERS] or "the file")
