"""A real server of the local page, in a thread of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.ui.guard import PageAccess
from seatrial.ui.listen import ADDRESS, open_socket
from seatrial.ui.server import make_app, serve
from seatrial.ui.site import open_site


@contextmanager
def serve_pages(root: Path) -> Iterator[str]:
    """The address of the first page of a folder of runs, its token in it."""
    site, session, listening = open_site(root), PageAccess(), open_socket(0)
    port = listening.getsockname()[1]
    with serve(site, make_app(site, session, port), listening) as thread:
        yield f"http://{ADDRESS}:{port}/?token={session.token}"
    thread.join(30)
    assert not thread.is_alive()
