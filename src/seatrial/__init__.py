"""seatrial puts image classifiers through their sea trial: from checkpoint to engine, proved and measured."""

from seatrial.usage_reports import turn_off

__version__ = "0.1.0"

turn_off()
