"""Tar archives that lead out of their folder, lie about themselves or never end, for each reader of tar archives."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
from collections.abc import Callable, Mapping

BLOCK = 512
END = bytes(2 * BLOCK)
PIXELS = b"\xff\xd8\xff" + bytes(600)
"""Begins as a JPEG does."""
Hostile = Callable[[str], bytes]
"""Makes an archive's blocks without its end, given the name of an image that its reader takes."""


def make_header(name: str, size: int = 0, **changes: object) -> bytes:
    """A member's header as Python writes it, long names before it."""
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in changes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape")


def patch_header(header: bytes, at: int, data: bytes) -> bytes:
    """Other bytes in a header, its checksum made right again."""
    patched = bytearray(header)
    patched[at : at + len(data)] = data
    patched[148:156] = b" " * 8
    patched[148:156] = f"{sum(patched):06o}\0 ".encode()
    return bytes(patched)


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def make_member(name: str, data: bytes = PIXELS) -> bytes:
    return make_header(name, len(data)) + pad(data)


def make_pax(records: Mapping[str, str | bytes], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header, whose records replace what the next header says."""
    text = b""
    for key, value in records.items():
        line = b" " + key.encode() + b"=" + (value if isinstance(value, bytes) else value.encode()) + b"\n"
        length = len(line) + 1
        while len(str(length)) + len(line) != length:
            length = len(str(length)) + len(line)
        text += str(length).encode() + line
    return make_header("pax", len(text), type=kind) + pad(text)


def make_link(kind: bytes, target: str) -> Hostile:
    return lambda name: make_header(name, type=kind, linkname=target) + make_member(f"{name}x")


def make_named(change: Callable[[str], str]) -> Hostile:
    return lambda name: make_member(change(name))


def make_sized(size: bytes) -> Hostile:
    """A member whose header has this in the field of its size."""
    return lambda name: patch_header(make_header(name, len(PIXELS)), 124, size) + pad(PIXELS)


def make_device(kind: bytes) -> Hostile:
    return lambda name: make_header(name, type=kind, devmajor=1, devminor=3) + make_member(f"{name}x")


def make_sparse(name: str) -> bytes:
    """The old GNU form: a file of 2^40 bytes of which a block is stored."""
    entry = b"%011o\0%011o\0" % (0, BLOCK)
    header = patch_header(make_header(name, BLOCK, type=tarfile.GNUTYPE_SPARSE), 386, entry)
    return patch_header(header, 483, b"\x80" + (1 << 40).to_bytes(11, "big")) + bytes(BLOCK)


def make_sparse_pax(name: str) -> bytes:
    records = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": name,
        "GNU.sparse.realsize": "9" * 12,
    }
    return make_pax(records) + make_member("GNUSparseFile.0/x", b"1\n0\n512\n" + bytes(1000))


MEMBERS: Mapping[str, Hostile] = {
    "parent folder": make_named(lambda name: f"../{name}"),
    "many parents": make_named(lambda name: "../" * 12 + f"tmp/{name}"),
    "absolute": make_named(lambda name: f"/tmp/battery-{name}"),
    "parent in the middle": make_named(lambda name: f"a/b/../../../{name}"),
    "parent at the end": make_named(lambda name: f"{name}/.."),
    "NUL in a PAX name": lambda name: make_pax({"path": f"{name}\0/../../x"}) + make_member(name),
    "PAX leads out": lambda name: make_pax({"path": f"../../{name}"}) + make_member(name),
    "global PAX leads out": lambda name: make_pax({"path": f"../../{name}"}, tarfile.XGLTYPE) + make_member(name),
    "PAX link": lambda name: make_pax({"linkpath": "/etc/passwd"}) + make_header(name, type=tarfile.SYMTYPE),
    "PAX of another size": lambda name: make_pax({"size": "99999999999"}) + make_member(name),
    "PAX of a negative size": lambda name: make_pax({"size": "-512"}) + make_member(name),
    "PAX of no number": lambda name: make_pax({"size": "nine"}) + make_member(name),
    "PAX cut": lambda name: make_header("pax", 40, type=tarfile.XHDTYPE) + pad(b"99 path=x") + make_member(name),
    "PAX of 2^30 bytes": lambda name: make_header("pax", 1 << 30, type=tarfile.XHDTYPE) + make_member(name),
    "long name of 2^30 bytes": lambda name: (
        make_header("x", 1 << 30, type=tarfile.GNUTYPE_LONGNAME) + make_member(name)
    ),
    "long name leads out": lambda name: make_member("../" * 80 + name),
    "PAX on PAX": lambda name: make_pax({"comment": "x"}) * 3000 + make_member(f"../{name}"),
    "symbolic link": make_link(tarfile.SYMTYPE, "/etc/passwd"),
    "symbolic link to a parent": make_link(tarfile.SYMTYPE, ".."),
    "hard link": make_link(tarfile.LNKTYPE, "/etc/passwd"),
    "link, then through it": lambda name: (
        make_header("a", type=tarfile.SYMTYPE, linkname="/tmp") + make_member(f"a/battery-{name}")
    ),
    "character device": make_device(tarfile.CHRTYPE),
    "block device": make_device(tarfile.BLKTYPE),
    "pipe": make_device(tarfile.FIFOTYPE),
    "type unknown": lambda name: make_header(name, len(PIXELS), type=b"Z") + pad(PIXELS),
    "multi-volume": lambda name: make_header(name, len(PIXELS), type=b"M") + pad(PIXELS),
    "sparse": make_sparse,
    "sparse by PAX": make_sparse_pax,
    "negative size": make_sized(b"\xff" * 12),
    "size of 2^80": make_sized(b"\x80" + b"\x7f" * 11),
    "size of no number": make_sized(b"zzzzzzzzzzz\0"),
    "size beyond the file": make_sized(b"77777777777\0"),
    "size of 64 bits": make_sized(b"\x80\0\0\0" + struct.pack(">Q", (1 << 63) - 1)),
    "empty name": lambda name: patch_header(make_header("x", len(PIXELS)), 0, bytes(100)) + pad(PIXELS),
    "line in a name": make_named(lambda name: f"a\n{name}"),
    "terminal code in a name": make_named(lambda name: f"\x1b[2J{name}"),
    "name that is no text": make_named(lambda name: f"\udcff{name}"),
    "twice": lambda name: make_member(name) * 2,
    "wrong checksum": lambda name: make_member(f"{name}x")[:BLOCK].replace(b"ustar", b"ustaz") + pad(PIXELS),
    "cut in a header": lambda name: make_member(name)[:300],
    "cut in the bytes": lambda name: make_header(name, 4096) + bytes(100),
    "goes on after its end": lambda name: make_member(name) + END + make_member(f"../{name}"),
    "garbage": lambda name: bytes(range(256)) * 40,
}
"""Each is refused by every reader of images in tar archives."""
COMPRESSED: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: b"\x28\xb5\x2f\xfd" + data,
    "zip": lambda data: b"PK\x03\x04" + data,
}


def make_bomb(size_bytes: int) -> bytes:
    """A gzip file of a thousandth of the bytes that come out of it, a tar archive's."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        file.write(make_header("ILSVRC2012_devkit_t12/data/meta.mat", size_bytes))
        for _ in range(size_bytes >> 20):
            file.write(bytes(1 << 20))
    return packed.getvalue()
