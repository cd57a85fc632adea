"""The rows of all families; of patterns that both fit, the first counts."""

from seatrial.cli.compat import atc, device, export, inference, postprocess, preprocess, setup, training, trtexec

TOOLS = (
    *preprocess.TOOLS,
    *export.TOOLS,
    *atc.TOOLS,
    *inference.TOOLS,
    *postprocess.TOOLS,
    *training.TOOLS,
    *trtexec.TOOLS,
    *device.TOOLS,
    *setup.TOOLS,
)
