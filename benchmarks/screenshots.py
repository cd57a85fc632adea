"""Pictures of a run's report, taken by a headless Chromium: docs/report.png, and others to look at.

    python benchmarks/screenshots.py demo-run [--output docs/report.png] [--all FOLDER]

`seatrial demo` makes the run. With --all a folder gets the whole page, light and dark, as on a screen and a phone.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
DARK = "--blink-settings=preferredColorScheme=0"
COLOURS = 128
"""Of the palette: a report has few."""


def find_browser() -> str:
    """The first browser that is installed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        sys.exit(f"no browser: install one of {', '.join(BROWSERS)}, such as `apt-get install chromium`")
    return found


def take(page: Path, output: Path, size: tuple[int, int], *more: str) -> None:
    """Write a picture of the page, as a PNG of few colours."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        command = [find_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *more]
        command += [f"--window-size={size[0]},{size[1]}", f"--screenshot={shot}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        picture = Image.open(shot).convert("RGB")
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(output, optimize=True)
    print(f"{output}: {picture.width} x {picture.height}, {output.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--output", type=Path, default=Path("docs/report.png"))
    parser.add_argument("--size", default="1200,1560", help="width and height of the picture")
    parser.add_argument("--all", type=Path)
    given = parser.parse_args()
    page = given.run / "report.html"
    if not page.is_file():
        sys.exit(f"there is no {page}: `seatrial report {given.run}` writes it")
    width, height = map(int, given.size.split(","))
    if given.all is None:
        take(page, given.output, (width, height))
        return
    given.all.mkdir(parents=True, exist_ok=True)
    for device, size in (("screen", (1200, 7000)), ("phone", (390, 12000))):
        take(page, given.all / f"{device}-light.png", size)
        take(page, given.all / f"{device}-dark.png", size, DARK)


if __name__ == "__main__":
    main()
