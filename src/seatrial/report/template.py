"""The templates of pages: what is put into one is escaped, and what it lacks is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def make_environment() -> Environment:
    """What reads the templates of this folder."""
    return Environment(
        loader=PackageLoader("seatrial.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
