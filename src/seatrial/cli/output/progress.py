"""Progress and results for a person: bars on a terminal, plain lines elsewhere, tables on stdout."""

import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from seatrial.cli.output.lines import print_line as print_line
from seatrial.printable import escape_json, make_printable
from seatrial.progress import Progress, silent
from seatrial.report.formats import Grid, write_columns

_quiet: ContextVar[bool] = ContextVar("nothing but errors goes to stderr", default=False)
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only errors and the result.")]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def be_quiet() -> None:
    """Show no progress until the command ends."""
    _quiet.set(True)


@contextmanager
def one_command() -> Iterator[None]:
    """Keep `be_quiet` to the command of the block."""
    token = _quiet.set(_quiet.get())
    try:
        yield
    finally:
        _quiet.reset(token)


def shows_progress(verb: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The verb with an option --quiet; `announce` may say that it has begun before its words are read."""

    @wraps(verb)
    def run(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        token = _quiet.set(bool(options.pop("quiet", False)) or _quiet.get())
        try:
            return verb(*arguments, **options)
        finally:
            clear_announcement()
            _quiet.reset(token)

    signature = inspect.signature(verb)
    quiet = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet)
    run.__annotations__ = {**verb.__annotations__, "quiet": Quiet}
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), quiet])  # type: ignore[attr-defined]
    _showing.add(run)
    return run


_showing: set[Callable[..., Any]] = set()
"""The verbs that show progress."""


def announce(app: typer.Typer, words: Sequence[str]) -> None:
    """Say that the verb of a command line has begun, if it shows progress: to load what it needs may take seconds.

    On a terminal the next line takes its place.
    """
    verb = _find_verb(app, [word for word in words if not word.startswith("-")])
    if not verb or {"-q", "--quiet", "-h", "--help"} & {*words}:
        return
    if sys.stderr.isatty():
        print(f"{verb:>10}  loading …", end="\r", file=sys.stderr, flush=True)
        _stands.append(verb)
    else:
        print_line(verb, "begun")


def _find_verb(app: typer.Typer, names: Sequence[str]) -> str:
    """The name of the verb that the first words name; empty of one that shows no progress, or of none."""
    for command in app.registered_commands if names else ():
        callback = command.callback
        name = command.name or (callback.__name__.replace("_", "-") if callback else "")
        if name == names[0]:
            return name if callback in _showing else ""
    groups = (g.typer_instance for g in app.registered_groups if names and g.name == names[0] and g.typer_instance)
    return next((_find_verb(group, names[1:]) for group in groups), "")


def clear_announcement() -> None:
    """Take away that a verb has begun, before anything else goes to the terminal."""
    if _stands:
        _stands.clear()
        print("\x1b[2K", end="\r", file=sys.stderr, flush=True)


_stands: list[str] = []
"""What stands on the terminal for the moment."""


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Show updates on stderr until the block ends; there goes what the user's code or a library prints meanwhile."""
    from seatrial.cli.output.receivers import show_bars, show_lines

    if _quiet.get():
        with redirect_stdout(sys.stderr):
            yield silent
        return
    clear_announcement()
    with show_bars() if sys.stderr.isatty() else show_lines() as progress, redirect_stdout(sys.stderr):
        yield progress


def print_error(message: str) -> None:
    """The one line on stderr that says why a command failed, whatever a library put into its message."""
    clear_announcement()
    print("seatrial: " + make_printable(" ".join(message.split())), file=sys.stderr)


def print_lines(*lines: object) -> None:
    """Lines on stdout, none of which has a line end of its own: what a file is called begins no line."""
    clear_announcement()
    print("\n".join(make_printable(str(line)) for line in lines), flush=True)


def print_text(text: str) -> None:
    """Finished text on stdout, in which only our own line ends are control characters."""
    clear_announcement()
    print(make_printable(text, keep="\n"))


def print_file(text: str) -> None:
    """The content of a text file on stdout, as it is but for control characters."""
    clear_announcement()
    print(make_printable(text, keep="\n\t"), end="")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> None:
    """A table on stdout; the columns in `left` are left aligned, the rest right."""
    print_grid(Grid(header, rows, left))


def print_grid(grid: Grid) -> None:
    """A table on stdout."""
    clear_announcement()
    print(write_columns(grid))


def print_json(value: Any) -> None:
    """One JSON document on stdout; records and dataclasses become objects.

    What a terminal would not show, or its encoding lacks, is written as an escape of JSON.
    """
    clear_announcement()
    shown = json.dumps(value, indent=1, ensure_ascii=not _takes_unicode(), default=_to_plain)
    print(escape_json(shown))


def _takes_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def _to_plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
