"""`seatrial ui`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.output.progress import print_lines
from seatrial.errors import UsageError

Runs = Annotated[Path, typer.Argument(metavar="[RUNS_DIR]", help="A folder with run folders in it, at any depth.")]
Port = Annotated[int, typer.Option(help="Port on this machine; default: any that is free.", min=0, max=65535)]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the address only.")]


def ui(folder: Runs = Path("."), port: Port = 0, no_browser: NoBrowser = False) -> int:
    """Serve a local page: list, compare and follow runs, read reports, try an image; Ctrl-C ends it."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "give a folder with run folders in it")
    # The other library of the extra: what is missing is said before an address is.
    import uvicorn  # noqa: F401

    from seatrial.ui.guard import PageAccess
    from seatrial.ui.listen import ADDRESS, open_socket

    session, listening = PageAccess(), open_socket(port)
    port = listening.getsockname()[1]
    address = f"http://{ADDRESS}:{port}/?token="
    print_lines(f"{address}{session.token}")
    if not no_browser:
        _open_browser(f"{address}{session.make_once()}")
    # Whoever comes from now on waits while the pages are loaded.
    from seatrial.ui.server import make_app, serve
    from seatrial.ui.site import open_site

    site = open_site(folder)
    with serve(site, make_app(site, session, port), listening) as thread:
        thread.join()
    raise RuntimeError("the server ended by itself")


def _open_browser(address: str) -> None:
    """Show an address where there is a screen: without one a browser would take the terminal."""
    import webbrowser

    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)
