"""seatrial puts image classifiers through their sea trial: from checkpoint to engine, proved and measured."""

__version__ = "0.1.0"
