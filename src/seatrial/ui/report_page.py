"""A run's report, written from its records when it is looked at."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from seatrial.ui.folders import find_run
from seatrial.ui.pages import get_query, list_links
from seatrial.ui.site import get_site

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""A report has its styles in it, and no script is let in."""


def show_report(request: Request) -> Response:
    """A run's report under links to the other pages about it."""
    site, path = get_site(request), get_query(request).get("run", "")
    folder = find_run(site.root, path)
    text = site.reports.write(folder, list_links(path))
    return HTMLResponse(text.encode("utf-8", "replace"), headers={"Content-Security-Policy": POLICY})
