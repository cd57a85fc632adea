"""Ways to fill a row of a decode pool; here so that spawned processes find them by name."""

import os

import numpy as np

from seatrial.errors import DataError


def fill_number(row: np.ndarray, number: int) -> None:
    """Ones are broken."""
    row[:] = number
    if number == 1:
        raise DataError("one is broken", "take two")


def fill_group(row: np.ndarray, _: object) -> None:
    """The process group of whoever fills it."""
    row[:] = os.getpgrp()
