"""The socket of the local page: it listens before the pages are loaded, which may take seconds."""

import socket

from seatrial.errors import UsageError

ADDRESS = "127.0.0.1"
"""Of this machine alone; there is no option for another."""


def open_socket(port: int) -> socket.socket:
    """A socket that listens on this machine alone; port 0 takes a free one.

    Raises:
        UsageError: the port is taken, or needs rights that are not there.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
        # From now on connections wait until they are served.
        listening.listen()
    except OSError as error:
        listening.close()
        raise UsageError(
            f"--port {port} cannot be used ({error.strerror})", "give another one, or none for any that is free"
        ) from None
    return listening
