"""A comment for a pull request: three lines, the verdict first, and the table of engines."""

import re

from seatrial.report.doubt_tables import write_doubts
from seatrial.report.formats import escape, write_markdown_table
from seatrial.report.headline import write_speed, write_verdict
from seatrial.report.language import retell, say
from seatrial.report.numbers import write_count
from seatrial.report.tables import make_summary
from seatrial.report.translate import retell_values
from seatrial.results.run_folder import Run

_LINKING = re.compile(r"(?<=[@#!])(?=[\w])|(?<=:)(?=//)|(?<=\bwww)(?=\.)")
"""Where a name would become a mention, an issue or an address: `@somebody`, `#1`, `https://…`."""


def write_pr(run: Run) -> str:
    """The comment as Markdown in which no name becomes a link, a mention or markup."""
    verdict, speed = escape(retell(write_verdict(run))), escape(retell(write_speed(run)))
    table = write_markdown_table(retell_values(make_summary(run)).grid)
    text = "\n\n".join([f"**{verdict}**", speed, escape(_describe_basis(run)), table])
    return _LINKING.sub("<!-- -->", text) + "\n"


def _describe_basis(run: Run) -> str:
    """What the figures are of, and which doubts about them could change what."""
    machine = run.manifest.environment
    images = max((record.images for record in run.accuracy.values()), default=0)
    basis = say(
        "Recipe {recipe}, {images} images, on {cpu} with {cores} cores, seatrial {version}.",
        recipe=run.recipe.name,
        images=write_count(images),
        cpu=machine.cpu,
        cores=machine.cores,
        version=machine.versions.get("seatrial", "–"),
    )
    return retell(f"{basis} {retell(write_doubts(run).removesuffix(': see Doubts.'))}".strip())
