"""Writes what the pages take from the code: docs/cli.md, docs/records.md, docs/schemas, the reference in docs/api.md.

And of results: the figures in docs/promises.md.

`python docs/write_reference.py` from the tree's root; a test says when it must be run again.
"""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from seatrial import api
from seatrial.cli.app import make_app
from seatrial.cli.examples import EXAMPLES
from seatrial.errors import ExitCode
from seatrial.store.files import write_text
from seatrial.workflow.schemas import SCHEMAS, make_schema

DOCS = Path(__file__).parent
BATTERY = DOCS.parent / "benchmarks" / "results" / "battery.json"
EXIT_CODES = ("## Exit codes", "", "| code | meaning |", "|---|---|")
RECORDS = """\
What a card may say and what each stored file holds, as JSON Schemas (draft 2020-12). A record's file has besides these
keys a `checksum`, the sha256 of all else; its `schema` names its version, and older versions are still read.
`seatrial recipes schema NAME` prints the same.
"""
MARK = "<!-- made by docs/write_reference.py -->\n"


def main() -> None:
    """Write every file that has changed."""
    for path, text in make_files().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            write_text(path, text)


def make_files() -> dict[Path, str]:
    """What each file should have in it."""
    parts = {DOCS / "api.md": write_reference(), DOCS / "promises.md": write_figures()}
    before = {page: page.read_text(encoding="utf-8").partition(MARK)[0] for page in parts}
    schemas = {
        DOCS / "schemas" / f"{name}.json": json.dumps(make_schema(name), indent=1, ensure_ascii=False) + "\n"
        for name in SCHEMAS
    }
    return {
        **{page: before[page] + MARK + "\n" + "\n".join(lines) + "\n" for page, lines in parts.items()},
        DOCS / "cli.md": "\n".join(write_commands()) + "\n",
        DOCS / "records.md": "\n".join(write_records()) + "\n",
        **schemas,
    }


def write_commands() -> Iterator[str]:
    """The page on the command line: exit codes, then each command with its options, groups before their commands."""
    app: Any = typer.main.get_command(make_app())
    yield from ("# The command line", "")
    yield "Every command with its arguments, options and defaults, as `--help` has them, and what an exit code says."
    yield from ("", MARK, *EXIT_CODES)
    yield from (f"| {code.value} | {escape(code.meaning)} |" for code in ExitCode)
    yield from ("", "What to do about each: [AGENTS.md](../AGENTS.md#exit-codes).", "")
    yield from write_command("seatrial", app)
    for name, command in app.commands.items():
        yield from write_command(f"seatrial {name}", command)
        for inner, each in getattr(command, "commands", {}).items():
            yield from write_command(f"seatrial {name} {inner}", each)


def write_command(name: str, command: Any) -> Iterator[str]:
    """The section of one command: what it does, then a table of its arguments and options."""
    context = typer.Context(command)
    yield from (f"## {name}", "", escape(command.help), "")
    rows = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    yield from ("| argument or option | |", "|---|---|")
    yield from (f"| `{row[0]}` | {escape(row[1])} |" for row in rows if row is not None)
    examples = [f"seatrial {words}" for words in EXAMPLES.get(name.removeprefix("seatrial "), ())]
    yield from ("", "```sh", *examples, "```", "") if examples else ("",)


def write_records() -> Iterator[str]:
    """The page on stored files: a row for each schema."""
    yield from ("# Cards and records", "", RECORDS, MARK, "| schema | of | keys |", "|---|---|---|")
    for name in SCHEMAS:
        made = make_schema(name)
        keys = ", ".join(f"`{key}`" for key in made["properties"] if key not in ("schema", "checksum"))
        yield f"| [{name}](schemas/{name}.json) | {escape(made['description'])} | {keys} |"


def escape(text: str) -> str:
    """A text in one line of a table."""
    line = " ".join(text.split())
    for sign in "|*_<":
        line = line.replace(sign, "&lt;" if sign == "<" else f"\\{sign}")
    return line


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


def write_figures() -> Iterator[str]:
    """A row for each attack of the battery, and where they were made."""
    figures = json.loads(BATTERY.read_text(encoding="utf-8"))
    yield from ("| | attack | cases | failed | seconds | seed | commit | |", "|---|---|--:|--:|--:|--:|---|---|")
    for each in figures:
        seed = "–" if each["seed"] is None else each["seed"]
        counts = f"{each['cases']:,} | {each['failed']:,} | {each['seconds']:.0f} | {seed} | {each['commit']}"
        yield f"| {each['promise']} | {escape(each['name'])} | {counts} | {escape(each['notes'])} |"
    yield from ("", f"Measured on: {'; '.join(sorted({each['machine'] for each in figures}))}.")


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
