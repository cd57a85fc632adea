"""Damage that decoders paint over: what libjpeg only warns about, passes that never came, PNG's checksums.

Pillow shows none of libjpeg's warnings and simplejpeg raises the last one, so simplejpeg's decode is the detector.
`benchmarks/jpeg_damage.py` compares it with djpeg.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
"""How such files begin."""
SURPLUS = "surplus zeros before the end marker, which no pixel is made of"
UNCHECKED = "a kind of JPEG that can be decoded, but not checked for damage"
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT")
_SOF = {0xC0: False, 0xC1: False, 0xC2: True, 0xC9: False, 0xCA: True}
"""Frames that libjpeg decodes: sequential or progressive, Huffman or arithmetic; whether they are progressive."""
_SOS, _EOI, _APP0, _APP14, _COM = 0xDA, 0xD9, 0xE0, 0xEE, 0xFE
_BARE = (0x01, 0xD8)
"""Markers without a segment, besides `_EOI` and the restart markers."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The next marker after the data of a scan, whose own are stuffed or restart it."""
_WARNING = re.compile("Corrupt JPEG data|Premature end|Inconsistent progression|Unknown Adobe|Invalid SOS")
"""How libjpeg's warnings begin (jerror.h, JWRN_*); whatever else simplejpeg says, it cannot decode the file."""
_OF_METADATA = re.compile("unknown JFIF revision|bad ICC marker")
"""Warnings of segments that no pixel is made of."""
_LEFT_OVER = re.compile("Corrupt JPEG data: [0-9]+ extraneous bytes before marker 0xd9")


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What a JPEG's header says."""

    width: int
    height: int
    components: bytes
    """The ids of its components."""
    progressive: bool
    complete: bool
    """The first scan has everything that there is, as nearly always."""

    @property
    def colorspace(self) -> str:
        """What simplejpeg decodes it to: RGB, or CMYK if there are four components."""
        return "CMYK" if len(self.components) == 4 else "RGB"


def read_frame(data: bytes) -> JpegFrame | None:
    """The header of a JPEG; None if this is none, or of a kind that libjpeg does not decode to 8 bits."""
    if not data.startswith(JPEG):
        return None
    size = None
    for marker, at in _walk(data):
        if marker in _SOF and data[at + 2 : at + 3] == b"\x08" and len(data) > at + 8:
            size = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 3 : at + 5])
            components, progressive = data[at + 8 : at + 8 + 3 * data[at + 7] : 3], _SOF[marker]
        elif marker == _SOS and size is not None:
            whole = not progressive and data[at + 2 : at + 3] == bytes([len(components)])
            return JpegFrame(*size, components, progressive, whole)
    return None


def decode_strictly(
    data: bytes, frame: JpegFrame, padded: bool = False
) -> tuple[NDArray[np.uint8] | None, str | None, str | None]:
    """Decode a JPEG, unless it is damaged.

    Args:
        padded: RGB with a fourth byte that means nothing.

    Returns:
        Pixels (height, width, 3 or 4), which are Pillow's own, or None where simplejpeg cannot read the file; the
        damage, or None; and what is to be noted, or None.
    """
    pixels: NDArray[np.uint8] | None = None
    damage, note = None, None
    try:
        # Pillow's defaults: exact IDCT and smooth chroma upsampling.
        colorspace = "RGBX" if padded and frame.colorspace == "RGB" else frame.colorspace
        pixels = simplejpeg.decode_jpeg(data, colorspace, fastdct=False, fastupsample=False)
    except ValueError as error:
        damage, note = _judge(data, frame, str(error))
    if damage is None and not frame.complete:
        damage = _find_missing_passes(data, frame)
    return pixels, damage, note


def find_png_damage(data: bytes) -> str | None:
    """What is wrong with the chunks of a PNG that its pixels are made of: Pillow does not look at their checksums."""
    at, view = len(PNG), memoryview(data)
    while at + 8 <= len(data):
        kind, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if kind in PIXEL_CHUNKS:
            if end > len(data):
                return f"chunk {kind.decode()} is cut off"
            if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
                return f"checksum mismatch of chunk {kind.decode()}"
        at = end
    return None


def _judge(data: bytes, frame: JpegFrame, warning: str) -> tuple[str | None, str | None]:
    """Damage and note of what simplejpeg raised; what does no harm is taken out, as it may hide another warning."""
    bare, note = data, None
    if _OF_METADATA.search(warning):
        bare = _drop_metadata(data)
    elif not _WARNING.match(warning):
        return None, UNCHECKED
    elif _LEFT_OVER.match(warning):
        bare, note = _drop_surplus(data), SURPLUS
    if bare == data:
        return warning, None
    _, damage, another = decode_strictly(bare, frame)
    return damage, note or another


def _drop_metadata(data: bytes) -> bytes:
    """A JPEG without segments that no pixel depends on; of the application's only Adobe's is kept, for its colours."""
    kept, last = [], 0
    for marker, at in _walk(data):
        if marker == _SOS:
            break
        if (_APP0 <= marker < _APP0 + 16 and marker != _APP14) or marker == _COM:
            kept.append(data[last : at - 2])
            last = at + int.from_bytes(data[at : at + 2])
    return b"".join([*kept, data[last:]])


def _drop_surplus(data: bytes) -> bytes:
    """A JPEG without the zeros before its end marker: it then decodes without a warning if they were surplus.

    If blocks were made of them, as where zeros fill a hole, it ends too early without them. Other bytes than zeros
    are not told from those that are left over when a decoder has lost its place in damaged data, so they stay.
    """
    end = next((at - 2 for marker, at in _walk(data) if marker == _EOI), len(data))
    start = len(data[:end].rstrip(b"\0"))
    # A zero after 0xff belongs to it.
    start += data[start - 1 : start] == b"\xff" and start < end
    return data[:start] + data[end:]


def _find_missing_passes(data: bytes, frame: JpegFrame) -> str | None:
    """What a JPEG of several scans lacks: decoders make do with the passes that there are."""
    bits_left = {component: np.full(64, 255) for component in frame.components}
    for marker, at in _walk(data):
        if marker != _SOS:
            continue
        count = int.from_bytes(data[at + 2 : at + 3])
        first, last, bits = 0, 63, 0
        if frame.progressive and at + 5 + 2 * count < len(data):
            first, last, bits = data[at + 3 + 2 * count], data[at + 4 + 2 * count], data[at + 5 + 2 * count] & 15
        for component in data[at + 3 : at + 3 + 2 * count : 2]:
            if component in bits_left:
                bits_left[component][first : last + 1] = bits
    lacking = sum(bool(bits.any()) for bits in bits_left.values())
    return f"the last passes of {lacking} of {len(bits_left)} components are missing" if lacking else None


def _walk(data: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG up to its end, each with where its segment begins: its length, then its content."""
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        marker, at = data[found.end() - 1], found.end()
        yield marker, at
        if marker == _EOI:
            return
        if marker not in _BARE:
            at += int.from_bytes(data[at : at + 2])
