"""Pictures of a run's report, taken by a headless Chromium: docs/report.png, and others to look at.

    python benchmarks/screenshots.py demo-run [--output docs/report.png]
    python benchmarks/screenshots.py RUN board.html … --all FOLDER

`seatrial demo` makes the run. With --all a folder gets each whole page: light and dark, as on a screen and a phone,
and as printed, where poppler's pdftoppm is installed. Chinese needs a font, such as Debian's fonts-noto-cjk.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DARK = "--blink-settings=preferredColorScheme=0"
COLOURS = 256
"""Of the palette: a report has few."""
TALLEST, AT_ONCE = 32_000, 16_000
"""Pixels of a picture, and of as much as a browser takes at once."""
LEAST_WIDTH = 600
"""Of a window; a frame in it may be narrower."""
WINDOWS = (("screen", 1200), ("phone", 390))
ABREAST, GAP = 4, 8
"""Printed sheets side by side in a picture, and pixels between them."""
FRAME = """<!doctype html><meta name="color-scheme" content="light dark"><body style="margin: 0; overflow: hidden">
<iframe src="%s" width="%d" height="%d" style="border: 0; display: block; margin-top: %dpx"></iframe>
"""


def find_browser() -> str:
    """The first browser that is installed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit(f"no browser: install one of {', '.join(BROWSERS)}, such as `apt-get install chromium`")
    return found


def run_browser(page: Path, *more: str) -> None:
    """Open a page without a window and do with it what the switches say."""
    command = [find_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *more]
    subprocess.run([*command, page.resolve().as_uri()], check=True, capture_output=True, timeout=120)


def take(page: Path, output: Path, size: tuple[int, int], *more: str) -> None:
    """Write a picture of the top of the page, as a PNG of few colours."""
    (width, height), source = size, page.resolve().as_uri()
    whole = Image.new("RGB", size)
    with tempfile.TemporaryDirectory() as folder:
        frame, shot = Path(folder) / "frame.html", Path(folder) / "page.png"
        for top in range(0, height, AT_ONCE):
            rows = min(AT_ONCE, height - top)
            frame.write_text(FRAME % (source, width, height, -top), encoding="utf-8")
            run_browser(frame, f"--window-size={max(width, LEAST_WIDTH)},{rows}", f"--screenshot={shot}", *more)
            whole.paste(Image.open(shot).convert("RGB").crop((0, 0, width, rows)), (0, top))
    save_picture(whole, output)


def save_picture(picture: Image.Image, output: Path) -> None:
    """Write a PNG of few colours without the empty rest at its bottom."""
    rows = np.asarray(picture)
    used = np.flatnonzero((rows != rows[-1]).any(axis=(1, 2)))
    picture = picture.crop((0, 0, picture.width, min(picture.height, int(used[-1]) + 30 if len(used) else 1)))
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(output, optimize=True)
    cut = ", cut off" if picture.height == TALLEST else ""
    print(f"{output}: {picture.width} x {picture.height}{cut}, {output.stat().st_size / 1000:.0f} kB")


def take_print(page: Path, output: Path) -> None:
    """Write what a printer gets, page by page in one picture."""
    with tempfile.TemporaryDirectory() as folder:
        pdf = Path(folder) / "page.pdf"
        run_browser(page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
        subprocess.run(["pdftoppm", "-r", "70", "-png", pdf, Path(folder) / "sheet"], check=True, timeout=120)
        sheets = [Image.open(path).convert("RGB") for path in sorted(Path(folder).glob("sheet*.png"))]
        width, height = (side + GAP for side in sheets[0].size)
        whole = Image.new("RGB", (width * min(len(sheets), ABREAST), height * -(-len(sheets) // ABREAST)), "grey")
        for place, sheet in enumerate(sheets):
            whole.paste(sheet, (place % ABREAST * width, place // ABREAST * height))
        whole.quantize(COLOURS, dither=Image.Dither.NONE).save(output, optimize=True)
    print(f"{output}: {len(sheets)} sheets")


def take_all(page: Path, folder: Path, name: str) -> None:
    """Write every picture of a page."""
    for window, width in WINDOWS:
        take(page, folder / f"{name}-{window}-light.png", (width, TALLEST))
        take(page, folder / f"{name}-{window}-dark.png", (width, TALLEST), DARK)
    if shutil.which("pdftoppm"):
        take_print(page, folder / f"{name}-print.png")
    else:
        print(f"{page}: not printed, as there is no pdftoppm (`apt-get install poppler-utils`)")


def find_page(given: Path) -> Path:
    """The page of a run folder, or the page itself."""
    page = given / "report.html" if given.is_dir() else given
    if not page.is_file():
        sys.exit(f"there is no {page}: `seatrial report {given}` writes it")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+", help="run folders, or pages")
    parser.add_argument("--output", type=Path, default=Path("docs/report.png"))
    parser.add_argument("--size", default="1200,1560", help="width and height of the picture")
    parser.add_argument("--all", type=Path)
    given = parser.parse_args()
    pages = [find_page(each) for each in given.pages]
    width, height = map(int, given.size.split(","))
    if given.all is None:
        take(pages[0], given.output, (width, height))
        return
    given.all.mkdir(parents=True, exist_ok=True)
    for page in pages:
        take_all(page, given.all, page.parent.name if page.name == "report.html" else page.stem)


if __name__ == "__main__":
    main()
