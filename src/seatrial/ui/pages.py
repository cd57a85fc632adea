"""What all pages have: the templates, the links between them, and the answer to an error."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from seatrial import __version__
from seatrial.errors import DataError, ExitCode, SeatrialError
from seatrial.printable import make_printable
from seatrial.report.palette import write_variables
from seatrial.report.template import make_environment
from seatrial.ui.folders import make_address
from seatrial.ui.guard import read_query

STATUS: Mapping[ExitCode, int] = {ExitCode.USAGE: 404, ExitCode.INCONCLUSIVE: 409}
"""Of the answer to an error of ours, by its exit code; of the others it is 422."""


def get_query(request: Request) -> dict[str, str]:
    """The query of a request: see `guard.read_query`."""
    return read_query(request.scope)


@cache
def _make_templates() -> Environment:
    environment = make_environment("seatrial.ui", "templates")
    environment.filters["printable"] = make_printable
    environment.filters["code"] = mark_code
    environment.globals["address"] = make_address
    environment.globals["version"] = __version__
    return environment


def mark_code(text: str) -> Markup:
    """A text in which what stands in backticks is shown as code."""
    parts = [make_printable(part) for part in text.split("`")]
    if len(parts) % 2 == 0:  # One stands alone.
        return escape("`".join(parts))
    return Markup().join(Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in enumerate(parts))


def list_links(path: str) -> tuple[tuple[str, str], ...]:
    """Words and addresses of the pages about a run."""
    return (
        ("All runs", "/"),
        ("Report", make_address("/report", run=path)),
        ("Try an image", make_address("/image", run=path)),
        ("Work under way", make_address("/work", folder=path)),
        ("Compare", make_address("/", beside=path)),
    )


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page, or a piece of one; nothing of what is put into it can be markup or move a cursor."""
    return HTMLResponse(render_text(template, **values), status)


def render_text(template: str, **values: Any) -> str:
    """The same, as text."""
    text = _make_templates().get_template(f"{template}.html.j2").render(values)
    return make_printable(text, keep="\n\t")


def show_error(request: Request, error: Exception) -> Response:
    """The page for an error that is the user's to mend."""
    assert isinstance(error, SeatrialError)
    # Of an image, which is all data that these pages are given, what the command would say to do makes no sense here.
    text = f"{error.problem}; choose another file" if isinstance(error, DataError) else str(error)
    return _answer(request, STATUS.get(error.exit_code, 422), text, isinstance(error, DataError))


def show_refusal(request: Request, error: Exception) -> Response:
    """The page for a request that asks for nothing that there is."""
    status = getattr(error, "status_code", 400)
    return _answer(request, status, str(getattr(error, "detail", "")), status in (413, 422))


def _answer(request: Request, status: int, text: str, is_of_image: bool) -> Response:
    # A script of ours puts pieces of pages into pages.
    piece = Headers(scope=request.scope).get("x-piece") == "1"
    return render("error_piece" if piece else "error", status, text=text, is_of_image=is_of_image)


@cache
def make_style() -> str:
    """The style sheet: the colours and rules of reports, then what only these pages have."""
    light, dark = (f":root {{ {write_variables(is_dark)} color-scheme: light dark; }}" for is_dark in (False, True))
    own = files("seatrial.ui").joinpath("ui.css").read_text(encoding="utf-8")
    shared = files("seatrial.report").joinpath("page.css").read_text(encoding="utf-8")
    return f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n{shared}{own}"
