"""The server of the local page: its routes, and the process that answers on the loopback interface alone."""

import socket
from collections.abc import Callable, Sequence
from importlib.resources import files
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seatrial.errors import SeatrialError, UsageError
from seatrial.ui.compare_page import show_comparison
from seatrial.ui.guard import Guard, PageAccess
from seatrial.ui.image_page import show_image_page, show_prediction, show_steps
from seatrial.ui.list_page import show_list
from seatrial.ui.pages import make_style, show_error, show_refusal
from seatrial.ui.report_page import show_report
from seatrial.ui.site import Site
from seatrial.ui.work_page import show_work, stream_work

ADDRESS = "127.0.0.1"
"""Of this machine alone; there is no option for another."""
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


def open_socket(port: int) -> socket.socket:
    """A socket that listens on this machine alone; port 0 takes a free one.

    Raises:
        UsageError: the port is taken, or needs rights that are not there.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
        # From now on connections wait until they are served.
        listening.listen()
    except OSError as error:
        listening.close()
        raise UsageError(
            f"--port {port} cannot be used ({error.strerror})", "give another one, or none for any that is free"
        ) from None
    return listening


class PageServer(uvicorn.Server):
    """A server that ends its site when it ends itself."""

    def __init__(self, site: Site, app: Guard) -> None:
        super().__init__(
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
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._site = site

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End answers that go on and on, then the server."""
        self._site.stopping.set()
        super().handle_exit(sig, frame)
