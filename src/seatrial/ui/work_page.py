"""The page that follows what is under way in a folder, and the stream of its changes."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from seatrial.ui.folders import check_links, find_folder, make_address
from seatrial.ui.pages import get_query, list_links, render, render_text
from seatrial.ui.site import get_site
from seatrial.ui.work import FolderWork, WorkWatch
from seatrial.ui.work_views import describe_work, list_engines

EVERY_S = 1.0
"""Between two looks at a folder."""


def show_work(request: Request) -> Response:
    """The page, as it is now; its script keeps it so."""
    site, path = get_site(request), get_query(request).get("folder", "")
    folder = find_folder(site.root, path)
    state = open_watch(request).look()
    return render(
        "work",
        path=path,
        links=list_links(path) if (folder / "run.json").is_file() else [("All runs", "/")],
        events=make_address("/work/events", folder=path),
        **describe_folder(path, state),
    )


def open_watch(request: Request) -> WorkWatch:
    """What watches the folder that a request names.

    Raises:
        HTTPException: there is no such folder.
        RefusedFile: it is a run folder, and a link in it leads out of the folder of runs.
    """
    root = get_site(request).root
    folder = find_folder(root, get_query(request).get("folder", ""))
    if (folder / "run.json").is_file():
        check_links(folder, root)
    return WorkWatch(folder)


async def stream_work(request: Request) -> Response:
    """The piece of the page that changes, each time that it has: server-sent events, until all is over."""
    site, path = get_site(request), get_query(request).get("folder", "")
    watch = await run_in_threadpool(open_watch, request)

    async def stream() -> AsyncIterator[str]:
        before = ""
        while not site.stopping.is_set():
            state = await run_in_threadpool(watch.look)
            text = render_text("work_piece", path=path, **describe_folder(path, state))
            if text != before:
                yield "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
                before = text
            if state.is_over:
                yield "event: over\ndata:\n\n"
                return
            await anyio.sleep(EVERY_S)

    return StreamingResponse(stream(), media_type="text/event-stream")


def describe_folder(path: str, state: FolderWork) -> dict[str, Any]:
    """A folder's work as the templates take it."""
    views = [describe_work(each) for each in state.works]
    return {
        "state": state,
        "views": views,
        "engines": [] if state.summary is None else list(list_engines(state.summary)),
        "command": state.command if views and not state.is_running else "",
        "report": make_address("/report", run=path) if state.is_run else "",
    }
