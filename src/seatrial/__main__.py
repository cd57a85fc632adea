"""`python -m seatrial` and the `seatrial` command."""

import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from seatrial.cli import complete, run_cli
    from seatrial.cli.streams import prepare_streams

    prepare_streams()
    sys.exit(complete() if "_SEATRIAL_COMPLETE" in os.environ else run_cli(sys.argv[1:], announcing=True))


if __name__ == "__main__":
    main()
