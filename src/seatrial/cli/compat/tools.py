"""The rows of all families; of patterns that both fit, the first counts."""

from seatrial.cli.compat import postprocess, preprocess

TOOLS = (*preprocess.TOOLS, *postprocess.TOOLS)
