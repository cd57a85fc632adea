"""Findings of axe-core on pages, light and dark, on a screen and a phone, and whether they ask anything of anywhere.

    npm install axe-core   # anywhere
    python benchmarks/accessibility.py --axe node_modules/axe-core/axe.min.js report.html board.html

A headless Chromium opens a copy of each page in which axe-core runs; the content security policy, which forbids that,
is taken out of the copy and printed. Exit code 1 where a finding is serious or critical, a page is wider than its
window, has no policy, or would load something.
"""

import argparse
import html
import json
import re
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from screenshots import DARK, find_browser

WIDTHS = (1200, 390)
GRAVE = ("serious", "critical")
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')
LOADS = ("src", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href")
RUN = """
const {scrollWidth, clientWidth} = document.documentElement;
axe.run({resultTypes: ["violations"]}).then((found) => parent.postMessage(JSON.stringify({
  version: found.testEngine.version, passes: found.passes.length, wide: scrollWidth, window: clientWidth,
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  violations: found.violations.map(({id, impact, nodes}) => ({id, impact, places: nodes.map((node) => node.html)})),
}), "*"));
"""
FRAME = """<!doctype html><meta name="color-scheme" content="light dark"><pre id="found"></pre>
<script>addEventListener("message", (event) => { document.querySelector("pre").textContent = event.data; });</script>
<iframe src="page.html" width="%d" height="900" style="border: 0"></iframe>
"""
"""A window has a least width, a frame has none."""


class Loads(HTMLParser):
    """What a page would load: all but pieces of itself, data and links that a reader clicks."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found = re.findall(r"""@import[^;]*|url\((?!["']?(?:#|data:))[^)]*\)""", page)
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = (*LOADS, *(("href",) if tag not in ("a", "area") else ()))
        values = [value for name, value in attrs if name in names and value]
        self.found += [f"{tag} {value[:80]}" for value in values if not value.startswith(("#", "data:"))]


def judge(page: Path, axe: str, width: int, is_dark: bool) -> dict[str, Any]:
    """What axe-core finds on a page, in a window of that width."""
    text = POLICY.sub("", page.read_text(encoding="utf-8"))
    # The last one: a page may hold the words in its own text.
    head, tail = text.rsplit("</body>", 1)
    with tempfile.TemporaryDirectory() as folder:
        copy, frame = (Path(folder) / name for name in ("page.html", "frame.html"))
        copy.write_text(f"{head}<script>{axe}</script><script>{RUN}</script></body>{tail}", encoding="utf-8")
        frame.write_text(FRAME % width, encoding="utf-8")
        command = [find_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [
            *([DARK] if is_dark else []),
            "--window-size=1300,1000",
            "--virtual-time-budget=60000",
            "--dump-dom",
            frame.as_uri(),
        ]
        shown = subprocess.run(command, check=True, capture_output=True, timeout=300, text=True).stdout
    found = re.search(r'<pre id="found">(.+?)</pre>', shown, re.DOTALL)
    if found is None:
        sys.exit(f"{page}: axe-core did not finish")
    judged: dict[str, Any] = json.loads(html.unescape(found[1]))
    return judged


def report(page: Path, axe: str) -> bool:
    """Print what is found on a page; whether anything of it is grave."""
    text = page.read_text(encoding="utf-8")
    policy = POLICY.search(text)
    loads = Loads(text).found
    print(f"{page.name}: policy {html.unescape(policy[1]) if policy else 'none'}; would load {loads or 'nothing'}")
    is_grave = bool(loads) or policy is None
    for width in WIDTHS:
        for is_dark in (False, True):
            judged = judge(page, axe, width, is_dark)
            found = judged["violations"]
            is_wide = judged["wide"] > judged["window"]
            is_grave |= is_wide or any(each["impact"] in GRAVE for each in found)
            window = f"{judged['window']} px{', page ' + str(judged['wide']) if is_wide else ''}"
            kinds = f"{judged['passes']} rules passed, {len(found) or 'none'} not"
            print(f"  {window}, {'dark' if judged['dark'] else 'light'}: axe-core {judged['version']}, {kinds}")
            for each in found:
                places = each["places"]
                print(f"    {each['impact']}: {each['id']}, {len(places)} places, such as {places[0][:120]}")
    return is_grave


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+")
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js of the npm package axe-core")
    given = parser.parse_args()
    axe = given.axe.read_text(encoding="utf-8")
    grave = [page.name for page in given.pages if report(page, axe)]
    print(f"grave: {', '.join(grave)}" if grave else f"{len(given.pages)} pages, nothing grave")
    sys.exit(bool(grave))


if __name__ == "__main__":
    main()
