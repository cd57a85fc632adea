"""The rows of all families; of patterns that both fit, the first counts."""

from seatrial.cli.compat import atc, export, postprocess, preprocess, training

TOOLS = (*preprocess.TOOLS, *export.TOOLS, *atc.TOOLS, *postprocess.TOOLS, *training.TOOLS)
