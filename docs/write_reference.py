"""Writes what the pages take from the code: the reference in docs/api.md, and docs/schemas/*.json.

`python docs/write_reference.py` from the tree's root; a test says when it must be run again.
"""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

from seatrial import api
from seatrial.store.files import write_text
from seatrial.workflow.schemas import SCHEMAS, make_schema

DOCS = Path(__file__).parent
MARK = "<!-- made by docs/write_reference.py -->\n"


def main() -> None:
    """Write every file that has changed."""
    for path, text in make_files().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            write_text(path, text)


def make_files() -> dict[Path, str]:
    """What each file should have in it."""
    page = DOCS / "api.md"
    before = page.read_text(encoding="utf-8").partition(MARK)[0]
    schemas = {
        DOCS / "schemas" / f"{name}.json": json.dumps(make_schema(name), indent=1, ensure_ascii=False) + "\n"
        for name in SCHEMAS
    }
    return {page: before + MARK + "\n" + "\n".join(write_reference()) + "\n", **schemas}


def write_reference() -> Iterator[str]:
    """A section for each function, then the results with their fields."""
    for name in api.__all__:
        function = getattr(api, name)
        if inspect.isfunction(function):
            yield from (f"### {name}", "", "```text", *write_signature(name), "```", "")
            yield from (first_paragraph(function), "")
    yield from ("### What they return", "", "| class | has | is |", "|---|---|---|")
    for name in api.__all__:
        kind = getattr(api, name)
        if inspect.isclass(kind) and kind.__module__ == "seatrial.api.results":
            properties = [key for key, value in inspect.getmembers(kind) if isinstance(value, property)]
            names = dict.fromkeys([*kind.__dataclass_fields__, *properties])
            yield f"| `{name}` | {', '.join(f'`{each}`' for each in names)} | {first_paragraph(kind)} |"


def write_signature(name: str) -> Iterator[str]:
    """The call with every keyword and its default, filled to lines."""
    parameters = list(inspect.signature(getattr(api, name)).parameters.values())
    words = [
        f"{'*' if p.kind is p.VAR_POSITIONAL else '**' if p.kind is p.VAR_KEYWORD else ''}{p.name}"
        + ("" if p.default is p.empty else f"={json.dumps(p.default) if isinstance(p.default, str) else p.default}")
        for p in parameters
    ]
    first = next((place for place, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), None)
    if first is not None and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        words.insert(first, "*")
    line = f"{name}("
    for place, word in enumerate(words):
        piece = word + (", " if place < len(words) - 1 else ")")
        if len(line) + len(piece) > 110:
            yield line.rstrip()
            line = "    "
        line += piece
    yield line


def first_paragraph(of: object) -> str:
    """Of a docstring, in one line."""
    return " ".join((inspect.getdoc(of) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    main()
