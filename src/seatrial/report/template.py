"""The templates of pages: what is put into one is escaped, and what it lacks is an error."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from seatrial.printable import make_printable


def make_environment(package: str = "seatrial.report", folder: str = "") -> Environment:
    """What reads the templates in a folder of a package of ours; this one's unless another is given."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        finalize=_make_plain,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _make_plain(value: Any) -> Any:
    """A text on one line; what is markup already is ours."""
    return make_printable(value) if type(value) is str else value
