"""Images that are odd, damaged or none at all: each kind's bytes, and what must come of it."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from bomb_image import make_bomb

SIZE = (40, 30)


def draw(width: int = SIZE[0], height: int = SIZE[1]) -> Image.Image:
    """A smooth picture with some noise."""
    rng = np.random.default_rng([width, height])
    coarse = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int64)
    return Image.fromarray((smooth + rng.integers(-9, 9, smooth.shape)).clip(0, 255).astype(np.uint8))


def encode(kind: str, mode: str = "RGB", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """The picture in a format and a mode of Pillow's."""
    file = io.BytesIO()
    draw(*size).convert(mode).save(file, kind, **options)
    return file.getvalue()


def encode_16_bits(kind: str) -> bytes:
    """A slope in grey of 16 bits."""
    file = io.BytesIO()
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 54).save(file, kind)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, its checksum included."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(depth: int, colour: int, samples: int, interlaced: int = 0) -> bytes:
    """A PNG of 8 × 8 pixels of zeros; an interlaced one has 15 rows in 7 passes."""
    widths = (1, 1, 2, 2, 2, *[4] * 6, *[8] * 4) if interlaced else [8] * 8
    rows = [(depth * samples * width + 7) // 8 for width in widths]
    data = b"".join(b"\0" + bytes(row) for row in rows)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, depth, colour, 0, 0, interlaced))
    palette = chunk(b"PLTE", bytes(3 << depth)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + head + palette + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def make_arithmetic_jpeg() -> bytes:
    """A grey JPEG of 8 × 8 pixels with arithmetic coding, every coefficient zero: such need not a byte of data."""
    table = b"\xff\xdb\0\x43\0" + bytes([16] * 64)
    frame = b"\xff\xc9\0\x0b\x08\0\x08\0\x08\1\1\x11\0"
    return b"\xff\xd8" + table + frame + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + b"\xff\xd9"


def animate(kind: str) -> bytes:
    """Three frames, of which the first counts."""
    file = io.BytesIO()
    frames = [draw(), draw().rotate(90), draw().rotate(180)]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


def turn(kind: str) -> bytes:
    """With an EXIF that says to turn it by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(kind, exif=exif)


def set_jpeg_size(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2) + width.to_bytes(2) + data[at + 4 :]


def set_png_size(width: int, height: int) -> bytes:
    """A PNG whose header claims another size, with the right checksum."""
    data = encode("PNG")
    head = struct.pack(">II", width, height) + data[24:29]
    return data[:8] + chunk(b"IHDR", head) + data[33:]


JPEG, PNG, GIF, BMP = encode("JPEG", quality=90), encode("PNG"), encode("GIF"), encode("BMP")
TIFF, WEBP, PPM = encode("TIFF"), encode("WEBP"), encode("PPM")
PROGRESSIVE = encode("JPEG", progressive=True)
READ = "read"
"""What comes of an image that is decoded; all else is part of a refusal."""
KINDS: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "JPEG": (lambda: JPEG, READ),
    "JPEG, progressive": (lambda: PROGRESSIVE, READ),
    "JPEG, grey": (lambda: encode("JPEG", "L"), READ),
    "JPEG, CMYK": (lambda: encode("JPEG", "CMYK"), READ),
    "JPEG, CMYK, progressive": (lambda: encode("JPEG", "CMYK", progressive=True), READ),
    "JPEG, RGB in the file": (lambda: encode("JPEG", keep_rgb=True), READ),
    "JPEG, arithmetic coding": (make_arithmetic_jpeg, READ),
    "JPEG, restart markers": (lambda: encode("JPEG", restart_marker_blocks=1), READ),
    "JPEG, turned by its EXIF": (lambda: turn("JPEG"), READ),
    "JPEG, ICC profile": (lambda: encode("JPEG", icc_profile=b"a profile" * 99), READ),
    "JPEG, 1 × 1": (lambda: encode("JPEG", size=(1, 1)), READ),
    "JPEG, 65,500 × 1": (lambda: encode("JPEG", size=(65_500, 1)), READ),
    "JPEG, 1 × 65,500": (lambda: encode("JPEG", size=(1, 65_500)), READ),
    "JPEG, chroma of a quarter": (lambda: encode("JPEG", subsampling=2), READ),
    "JPEG, then much else": (lambda: JPEG + bytes(range(256)) * 99, READ),
    "JPEG, then a JPEG": (lambda: JPEG + JPEG, READ),
    "JPEG, several (MPO)": (lambda: animate("MPO"), READ),
    "JPEG, cut off": (lambda: JPEG[:-150], "damaged"),
    "JPEG, without its end": (lambda: JPEG[:-2], "damaged"),
    "JPEG, cut off, and an end": (lambda: JPEG[:-150] + b"\xff\xd9", "damaged"),
    "JPEG, cut off, and zeros": (lambda: JPEG[:-150] + bytes(150), "damaged"),
    "JPEG, progressive, half of it": (lambda: PROGRESSIVE[: len(PROGRESSIVE) // 2] + b"\xff\xd9", "damaged"),
    "JPEG, its first bytes": (lambda: JPEG[:3], "a.jpg is"),
    "JPEG, only the header": (lambda: JPEG[: JPEG.index(b"\xff\xda")], "a.jpg is"),
    "JPEG, another size": (lambda: set_jpeg_size(JPEG, 80, 60), "damaged"),
    "JPEG, no size": (lambda: set_jpeg_size(JPEG, 0, 0), "a.jpg is"),
    "JPEG, four billion pixels": (lambda: set_jpeg_size(JPEG, 65_500, 65_500), "refused (it has "),
    "PNG": (lambda: PNG, READ),
    "PNG, grey": (lambda: encode("PNG", "L"), READ),
    "PNG, grey with alpha": (lambda: encode("PNG", "LA"), READ),
    "PNG, alpha": (lambda: encode("PNG", "RGBA"), READ),
    "PNG, palette": (lambda: encode("PNG", "P"), READ),
    "PNG, palette with alpha": (lambda: encode("PNG", "P", transparency=b"\x80\xff\0"), READ),
    "PNG, one bit": (lambda: encode("PNG", "1"), READ),
    "PNG, two bits": (lambda: make_png(2, 0, 1), READ),
    "PNG, four bits of a palette": (lambda: make_png(4, 3, 1), READ),
    "PNG, 16 bits of grey": (lambda: encode_16_bits("PNG"), READ),
    "PNG, 16 bits of RGB": (lambda: make_png(16, 2, 3), READ),
    "PNG, 16 bits of RGB with alpha": (lambda: make_png(16, 6, 4), READ),
    "PNG, interlaced": (lambda: make_png(8, 2, 3, interlaced=1), READ),
    "PNG, animated": (lambda: animate("PNG"), READ),
    "PNG, turned by its EXIF": (lambda: turn("PNG"), READ),
    "PNG, ICC profile": (lambda: encode("PNG", icc_profile=b"a profile" * 99), READ),
    "PNG, 65,535 × 1": (lambda: encode("PNG", size=(65_535, 1)), READ),
    "PNG, half of it": (lambda: PNG[: len(PNG) // 2], "damaged"),
    "PNG, a flipped bit": (lambda: PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], "checksum mismatch"),
    "PNG, another size": (lambda: set_png_size(80, 60), "damaged"),
    "PNG, no size": (lambda: set_png_size(0, 0), "a.jpg is"),
    "PNG, a bomb": (make_bomb, "refused (it has "),
    "PNG, a bit depth of 3": (lambda: make_png(3, 0, 1), "a.jpg is"),
    "GIF": (lambda: GIF, READ),
    "GIF, animated": (lambda: animate("GIF"), READ),
    "GIF, transparent": (lambda: encode("GIF", "P", transparency=0), READ),
    "GIF, half of it": (lambda: GIF[: len(GIF) // 2], "damaged"),
    "BMP": (lambda: BMP, READ),
    "BMP, palette": (lambda: encode("BMP", "P"), READ),
    "BMP, half of it": (lambda: BMP[: len(BMP) // 2], "damaged"),
    "TIFF": (lambda: TIFF, READ),
    "TIFF, deflated": (lambda: encode("TIFF", compression="tiff_adobe_deflate"), READ),
    "TIFF, LZW": (lambda: encode("TIFF", compression="tiff_lzw"), READ),
    "TIFF, JPEG inside": (lambda: encode("TIFF", compression="jpeg"), READ),
    "TIFF, CMYK": (lambda: encode("TIFF", "CMYK"), READ),
    "TIFF, several pages": (lambda: animate("TIFF"), READ),
    "TIFF, 16 bits of grey": (lambda: encode_16_bits("TIFF"), READ),
    "TIFF, floats": (lambda: encode("TIFF", "F"), "floating-point samples"),
    "TIFF, 32 bits": (lambda: encode("TIFF", "I"), "signed samples of 32 bits"),
    "TIFF, half of it": (lambda: TIFF[: len(TIFF) // 2], "a.jpg is"),
    "WebP": (lambda: WEBP, READ),
    "WebP, lossless with alpha": (lambda: encode("WEBP", "RGBA", lossless=True), READ),
    "WebP, animated": (lambda: animate("WEBP"), READ),
    "WebP, half of it": (lambda: WEBP[: len(WEBP) // 2], "a.jpg is"),
    "PPM": (lambda: PPM, READ),
    "PPM, as text": (lambda: b"P3 2 1 255 1 2 3 4 5 6\n", READ),
    "PPM, 16 bits of grey": (lambda: encode_16_bits("PPM"), READ),
    "PPM, half of it": (lambda: PPM[: len(PPM) // 2], "damaged"),
    "PPM, a size of a thousand digits": (lambda: b"P6 " + b"9" * 1000 + b" 1 255\n", "a.jpg is"),
    "SVG": (lambda: b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "web page or XML"),
    "a web page": (lambda: b"<!DOCTYPE html><html>404</html>", "web page or XML"),
    "text": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "no image"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
    "PDF": (lambda: b"%PDF-1.4\n1 0 obj\n", "no image"),
    "JPEG 2000": (lambda: encode("JPEG2000"), "no image"),
    "an icon": (lambda: encode("ICO"), "no image"),
    "TGA": (lambda: encode("TGA"), "no image"),
    "AVIF's first bytes": (lambda: b"\0\0\0\x20ftypavif" + bytes(20), "no image"),
    "an archive": (lambda: b"PK\3\4" + bytes(60), "no image"),
    "zeros": (lambda: bytes(4096), "no image"),
    "nothing": (lambda: b"", "the file is empty"),
}
"""What makes each kind's bytes, and what comes of it: `READ`, or words of the refusal of `a.jpg`."""
