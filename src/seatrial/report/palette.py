"""Colours of the page and of its charts, by light and by dark; a chart takes the page's by CSS variables."""

import re
from collections.abc import Mapping

PALETTE: Mapping[str, tuple[str, str]] = {
    "back": ("#ffffff", "#12161c"),
    "ink": ("#1f2328", "#e8ebef"),
    "muted": ("#59636e", "#a3adb9"),
    "pale": ("#8993a0", "#7d8894"),
    "rule": ("#dde1e6", "#323a44"),
    "soft": ("#f6f7f9", "#1b2129"),
    "link": ("#0550ae", "#79b8ff"),
    "pass": ("#116329", "#56d364"),
    "fail": ("#b3261e", "#ff8f87"),
    "inconclusive": ("#7d4e00", "#e3b341"),
    # By place in the run, the reference first: distinct to colour-blind eyes, each at least 3.5:1 on its ground.
    "engine-0": ("#3f4854", "#b7c0cc"),
    "engine-1": ("#0072b2", "#5ab4f0"),
    "engine-2": ("#d55e00", "#ff9a4d"),
    "engine-3": ("#00855f", "#3ecf9f"),
    "engine-4": ("#aa4499", "#e58ad6"),
    "engine-5": ("#8a6d00", "#d9b83f"),
    "engine-6": ("#4b3fb5", "#a79cff"),
    "engine-7": ("#882255", "#f08ab0"),
}
"""By name: on white, and on a dark ground."""
ENGINES = tuple(name for name in PALETTE if name.startswith("engine-"))
"""Names of the colours of engines."""
COLOURS = tuple(PALETTE[name][0] for name in ENGINES)
"""Those on white."""
_NAMES = {light: name for name, (light, _) in PALETTE.items()}


def write_variables(dark: bool) -> str:
    """The colours as CSS variables."""
    return " ".join(f"--{name}: {shades[dark]};" for name, shades in PALETTE.items())


def follow_page(svg: str) -> str:
    """An SVG whose colours of the palette are the page's variables."""
    return re.sub(
        r'"(#[0-9a-f]{6})"',
        lambda match: f'"var(--{_NAMES[match[1]]},{match[1]})"' if match[1] in _NAMES else match[0],
        svg,
    )
