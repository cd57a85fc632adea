"""A browser's part in the tests of the local page: it has the cookie, and asks for pages of a folder of runs."""

from pathlib import Path

from starlette.testclient import TestClient

from seatrial.ui.guard import PageAccess
from seatrial.ui.server import make_app
from seatrial.ui.site import Site, open_site

PORT = 8123
HOST = f"http://127.0.0.1:{PORT}"


def open_client(root: Path, site: Site | None = None) -> TestClient:
    """A client that has been let in."""
    session = PageAccess()
    client = TestClient(make_app(site or open_site(root), session, PORT), base_url=HOST)
    assert client.get("/", params={"token": session.token}).status_code == 200
    return client
