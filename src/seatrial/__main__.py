"""`python -m seatrial` and the `seatrial` command."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from seatrial.cli import run_cli

    sys.exit(run_cli(sys.argv[1:], announcing=True))


if __name__ == "__main__":
    main()
