"""The server of the local page: its routes, and the process that answers on the loopback interface alone."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seatrial.errors import SeatrialError
from seatrial.ui.compare_page import show_comparison
from seatrial.ui.guard import Guard, PageAccess
from seatrial.ui.image_page import show_image_page, show_prediction, show_steps
from seatrial.ui.list_page import show_list
from seatrial.ui.pages import make_style, show_error, show_refusal
from seatrial.ui.report_page import show_report
from seatrial.ui.site import Site
from seatrial.ui.work_page import show_work, stream_work

CONNECTIONS = 64
GRACE_S = 2
"""For requests under way when the server ends."""


def make_app(site: Site, session: PageAccess, port: int) -> Guard:
    """The pages of a site, behind their guard."""
    routes: Sequence[tuple[str, Callable[[Request], Response]]] = (
        ("/", show_list),
        ("/report", show_report),
        ("/compare", show_comparison),
        ("/image", show_image_page),
        ("/work", show_work),
        ("/ui.css", _send_style),
        ("/ui.js", _send_script),
        ("/favicon.ico", _send_nothing),
    )
    pieces = (("/image/steps", show_steps), ("/image/engine", show_prediction))
    app = Starlette(
        routes=[
            *(Route(path, show) for path, show in routes),
            Route("/work/events", stream_work),
            *(Route(path, show, methods=["POST"]) for path, show in pieces),
        ],
        exception_handlers={SeatrialError: show_error, HTTPException: show_refusal},
    )
    app.state.site = site
    return Guard(app, session, port)


def _send_style(request: Request) -> Response:
    return Response(make_style(), media_type="text/css")


def _send_script(request: Request) -> Response:
    return Response(files("seatrial.ui").joinpath("ui.js").read_text(encoding="utf-8"), media_type="text/javascript")


def _send_nothing(request: Request) -> Response:
    return Response(status_code=204)


@contextmanager
def serve(site: Site, app: Guard, listening: socket.socket) -> Iterator[threading.Thread]:
    """A thread that answers requests to a socket; when the block is left, by Ctrl-C too, it ends, and its site with it.

    Not this thread: uvicorn would take Ctrl-C for itself, wait for requests under way, and log each that it breaks off.
    """
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="off",
            loop="asyncio",
            http="h11",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
        )
    )
    # A request that goes on for longer ends with this process.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        site.close()
        server.should_exit = True
        thread.join(GRACE_S)
        listening.close()
