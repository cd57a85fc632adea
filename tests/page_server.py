"""A real server of the local page, in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.ui.guard import PageAccess
from seatrial.ui.server import ADDRESS, PageServer, make_app, open_socket
from seatrial.ui.site import open_site


@contextmanager
def serve_pages(root: Path) -> Iterator[str]:
    """The address of the first page of a folder of runs, its token in it."""
    site, session, listening = open_site(root), PageAccess(), open_socket(0)
    port = listening.getsockname()[1]
    server = PageServer(site, make_app(site, session, port))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://{ADDRESS}:{port}/?token={session.token}"
    finally:
        site.close()
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()
