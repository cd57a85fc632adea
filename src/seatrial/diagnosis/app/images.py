"""The images of a kit, drawn so that each fault of a program shows in some of them, whatever machine draws them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 224
"""Sizes below are for networks that take images of this side; for others they grow and shrink with it."""
EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True, slots=True)
class Drawing:
    """One image of a kit."""

    mode: str
    """Of Pillow, but RGB;16 and the like for what a mode does not say."""
    width: int
    height: int
    kind: str
    """Of the file: PNG, JPEG, TIFF, BMP."""
    orientation: int = 1
    """What EXIF says: how the picture is to be turned."""

    @property
    def suffix(self) -> str:
        """Of the file's name."""
        return {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "BMP": ".bmp"}[self.kind]


DRAWINGS = (
    Drawing("RGB", 640, 427, "PNG"),
    Drawing("RGB", 427, 640, "PNG"),
    Drawing("RGB", 500, 375, "JPEG"),
    Drawing("RGB", 375, 500, "JPEG"),
    Drawing("RGB", 333, 501, "PNG"),
    Drawing("RGB", 501, 334, "JPEG"),
    Drawing("RGB", 499, 499, "PNG"),
    Drawing("RGB", 256, 256, "PNG"),
    Drawing("RGB", 224, 224, "PNG"),
    Drawing("RGB", 225, 227, "JPEG"),
    Drawing("RGB", 257, 511, "BMP"),
    Drawing("RGB", 61, 64, "PNG"),
    Drawing("RGB", 97, 53, "JPEG"),
    Drawing("RGB", 720, 180, "PNG"),
    Drawing("RGB", 150, 601, "JPEG"),
    Drawing("RGB", 11, 23, "PNG"),
    Drawing("L", 453, 307, "PNG"),
    Drawing("L", 301, 405, "JPEG"),
    Drawing("1", 320, 240, "PNG"),
    Drawing("P", 401, 299, "PNG"),
    Drawing("I;16", 351, 263, "PNG"),
    Drawing("RGBA", 480, 321, "PNG"),
    Drawing("RGBA", 299, 450, "PNG"),
    Drawing("LA", 360, 361, "PNG"),
    Drawing("CMYK", 450, 350, "JPEG"),
    Drawing("CMYK", 311, 419, "TIFF"),
    Drawing("RGB", 420, 280, "JPEG", 6),
    Drawing("RGB", 400, 300, "JPEG", 3),
    Drawing("RGB", 281, 421, "JPEG", 8),
    Drawing("RGB", 520, 390, "JPEG", 2),
    Drawing("RGB", 611, 409, "JPEG"),
    Drawing("RGB", 389, 583, "PNG"),
)


def draw_kit(side: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each image, for a network that takes images of `side`."""
    for index, drawing in enumerate(DRAWINGS):
        scale = side / SIDE
        size = max(3, round(drawing.width * scale)), max(3, round(drawing.height * scale))
        pixels = _draw(np.random.default_rng(index), *size, period=max(2, round(7 * scale)))
        turned = f"-turned{drawing.orientation}" if drawing.orientation > 1 else ""
        mode = drawing.mode.replace(";", "").lower()
        yield f"{index:02d}-{mode}-{size[0]}x{size[1]}{turned}{drawing.suffix}", _write(pixels, drawing)


def _draw(rng: np.random.Generator, width: int, height: int, period: int) -> NDArray[np.uint8]:
    """Smooth colours with grain, saturated blocks, fine stripes: nothing in it is the same when turned or swapped."""
    coarse = rng.integers(0, 256, (max(2, height // 24 + 2), max(2, width // 24 + 2), 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    pixels = (smooth + rng.integers(-12, 13, smooth.shape)).clip(0, 255)
    rows, columns = np.mgrid[:height, :width]
    stripes = ((rows + 2 * columns) // period % 3 == 0) & (columns > width * 0.55) & (rows < height * 0.5)
    pixels[stripes] = 255 - pixels[stripes]
    for block in range(6):
        top, left = int(rng.integers(0, height)), int(rng.integers(0, width))
        colour = [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 0), (255, 255, 255), (0, 0, 0)][block]
        pixels[top : top + height // 5 + 1, left : left + width // 6 + 1] = colour
    return pixels.astype(np.uint8)


def _write(pixels: NDArray[np.uint8], drawing: Drawing) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    image = Image.fromarray(pixels)
    if drawing.mode == "I;16":
        # Not 257 times a byte: what is scaled by 256 shows too.
        grey = np.asarray(image.convert("L")).astype(np.uint16)
        image = Image.fromarray(grey * 256 + grey[::-1, ::-1])
    elif drawing.mode in ("RGBA", "LA"):
        image = image.convert(drawing.mode)
        rows, columns = np.mgrid[: image.height, : image.width]
        image.putalpha(Image.fromarray(((rows * 5 + columns * 3) % 256).astype(np.uint8)))
    elif drawing.mode == "CMYK":
        # Half of what the colours share is black ink.
        inks = 255 - pixels.astype(np.int16)
        black = inks.min(axis=2, keepdims=True) // 2
        image = Image.fromarray(np.concatenate([inks - black, black], axis=2).astype(np.uint8), "CMYK")
    elif drawing.mode != "RGB":
        image = image.convert(drawing.mode)
    options = {"quality": 90, "subsampling": 2} if drawing.kind == "JPEG" and drawing.mode == "RGB" else {}
    if drawing.orientation > 1:
        exif[EXIF_ORIENTATION] = drawing.orientation
        image.save(file, drawing.kind, exif=exif, **options)
    else:
        image.save(file, drawing.kind, **options)
    return file.getvalue()
