"""Whether charts can be drawn here, and if not, why; imports nothing that draws."""

import resource

from seatrial.extras import has_extra, write_install
from seatrial.report.language import say

RENDERER_BYTES = 72 * 2**30
"""Of addresses, of which vl-convert's JavaScript engine reserves 65 GiB; its memory is a tenth of one."""


def explain_no_charts() -> str:
    """Why a page has no charts, as it says it itself; empty where they can be drawn."""
    if not has_extra("report"):
        return say(
            "The charts are left out: what draws them is not installed. {command} adds it, and `seatrial report RUN` "
            "writes the page anew.",
            command=write_install("report"),
        )
    # Without its addresses the renderer does not fail, but ends the process.
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < RENDERER_BYTES:
        return say(
            "The charts are left out: drawing them takes 72 GiB of addresses, and a limit (ulimit -v) leaves this "
            "process fewer."
        )
    return ""
