"""The verdict as a badge for a README, in the form that shields.io made usual: an SVG that needs nothing else."""

from seatrial.report.forms.rows import NOT_JUDGED
from seatrial.report.forms.xml import quote, write_text
from seatrial.report.numbers import write_points
from seatrial.results.run_folder import Run

LABEL = "seatrial"
COLOURS = {"PASS": "#116329", "FAIL": "#b3261e", "INCONCLUSIVE": "#7d4e00", NOT_JUDGED: "#59636e"}
"""White on each has a contrast of 5:1 or more."""
_NARROW, _WIDE = "Iijlt.,: −-", "ABCDEFGHJKLMNOPQRSTUVWXYZmw"
_PADDING = 6


def write_badge(run: Run) -> str:
    """The badge: the outcome, and the largest drop of any engine."""
    outcome = run.verdict.outcome if run.verdict else NOT_JUDGED
    drops = [record.versus.drop_pp for record in run.accuracy.values() if record.versus]
    message = f"{outcome}, drop {write_points(max(drops))} pp" if drops and run.verdict else outcome
    left, right = (_measure(text) + 2 * _PADDING for text in (LABEL, message))
    whole = f"{LABEL}: {message}"
    font = "Verdana,Geneva,DejaVu Sans,sans-serif"
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{_measure(text)}">{write_text(text)}</text>'
        for x, text in ((_PADDING, LABEL), (left + _PADDING, message))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f"aria-label={quote(whole)}><title>{write_text(whole)}</title>"
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#1f2328"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{COLOURS[outcome]}"/></g>'
        f'<g fill="#fff" font-family="{font}" font-size="11">{texts}</g></svg>\n'
    )


def _measure(text: str) -> int:
    """The width of a text in pixels, roughly as in Verdana at 11 px; the badge stretches it to exactly that."""
    return round(sum(4 if c in _NARROW else 8.2 if c in _WIDE else 6.8 for c in text))
