"""The templates of pages: what is put into one is escaped, and what it lacks is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def make_environment(package: str = "seatrial.report", folder: str = "") -> Environment:
    """What reads the templates in a folder of a package of ours; this one's unless another is given."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
