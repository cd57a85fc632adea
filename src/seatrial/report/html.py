"""The report as one HTML file that needs nothing else: no script, no font, no request."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from seatrial.printable import make_printable
from seatrial.report.drawable import explain_no_charts
from seatrial.report.formats import COMMAND
from seatrial.report.language import find_language
from seatrial.report.page import make_page
from seatrial.report.palette import ENGINES, write_variables
from seatrial.report.template import make_environment
from seatrial.report.translate import retell_markup, retell_values
from seatrial.results.run_folder import Run

if TYPE_CHECKING:
    from seatrial.report.charts import Chart


def write_html(run: Run, links: Sequence[tuple[str, str]] = ()) -> str:
    """The page with its charts.

    Args:
        links: words and address of each, to lead to other pages where it is shown among them.
    """
    environment = make_environment()
    environment.filters |= {"mark_code": _mark_code, "keep_units": _keep_units}
    no_charts = explain_no_charts()
    colours = {name: f"var(--{ENGINES[place % len(ENGINES)]})" for place, name in enumerate(run.engines)}
    light, dark = (Markup(write_variables(is_dark)) for is_dark in (False, True))
    template = environment.get_template("report.html.j2")
    shown = template.render(
        page=retell_values(make_page(run)),
        figures=() if no_charts else _draw_figures(run),
        no_charts=no_charts,
        colours=colours,
        light=light,
        dark=dark,
        language=find_language(),
        links=links,
    )
    return retell_markup(make_printable(shown, keep="\n\t"))


def _draw_figures(run: Run) -> "list[tuple[Chart, Markup]]":
    """The charts with their SVG, which comes from vl-convert; it escapes the names in it."""
    from seatrial.report.charts import draw_charts

    return [(chart, Markup(chart.svg)) for chart in draw_charts(run)]


def _mark_code(text: str) -> Markup:
    """Escaped text in which our own commands between backticks are code; names may have backticks too."""
    return Markup(COMMAND.sub(_write_code, str(escape(make_printable(text)))))


def _write_code(found: re.Match[str]) -> str:
    """A command whose options are not broken at their hyphens."""
    return f"<code>{_keep_whole(r'--[^ ]+', found[1])}</code>"


def _keep_units(heading: str) -> Markup:
    """An escaped heading in which no line ends before a short unit, nor after a sign."""
    return Markup(_keep_whole(r"\S+, \S{1,3}$|^× \S+", str(escape(heading))))


def _keep_whole(pattern: str, markup: str) -> str:
    """Markup in which what fits the pattern stays on one line."""
    return re.sub(pattern, r'<span class="whole">\g<0></span>', markup)
