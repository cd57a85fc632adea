"""Lines of progress."""

import sys

from seatrial.printable import make_printable


def print_line(stage: str, text: str) -> None:
    """A line on stderr."""
    print(f"{stage:>10}  {make_printable(text)}", file=sys.stderr, flush=True)
