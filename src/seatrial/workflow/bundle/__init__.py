"""The parts of a package: `predict.py`, which needs no seatrial, the kit of expected answers, and its README."""
