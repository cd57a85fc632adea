"""What a process that dies does; here so that a spawned one finds it by name."""

from pathlib import Path


def die(address: str, resource: str | None, channel: object, log: Path) -> None:
    """Leave a log, as a process that talked to Ray would, and end without a word to its parent."""
    log.write_text("begun\nit was the end\n\n")
