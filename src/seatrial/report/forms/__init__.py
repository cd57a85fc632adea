"""Other forms of a run, from the same records: the table of formats, and what writes one of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from seatrial.errors import UsageError
from seatrial.report.language import ENGLISH, speaking
from seatrial.results.run_folder import Run
from seatrial.store.files import refuse_other_kind


@dataclass(frozen=True, slots=True)
class Form:
    """A format that a run can be written in."""

    place: str
    """MODULE:FUNCTION, which makes a text of a `Run`."""
    suffix: str
    """Of its files."""
    what: str
    translated: bool = False
    """It can be in any of `language.LANGUAGES`."""


FORMS: Mapping[str, Form] = {
    "html": Form("seatrial.report.html:write_html", ".html", "the page with its charts", translated=True),
    "md": Form(
        "seatrial.report.markdown:write_markdown", ".md", "the page without its charts, as Markdown", translated=True
    ),
    "guide": Form(
        "seatrial.report.forms.guide.write:write_guide",
        ".md",
        "the README of an Ascend ModelZoo guide",
        translated=True,
    ),
    "card": Form(
        "seatrial.report.forms.card:write_card", ".md", "a model card for the Hugging Face hub", translated=True
    ),
    "pr": Form("seatrial.report.forms.pr:write_pr", ".md", "a comment for a pull request", translated=True),
    "junit": Form("seatrial.report.forms.junit:write_junit", ".xml", "gates as tests, for CI"),
    "csv": Form("seatrial.report.forms.csv:write_csv", ".csv", "a row for each engine and batch size"),
    "json": Form("seatrial.report.forms.json:write_json", ".json", "every figure by name"),
    "badge": Form("seatrial.report.forms.badge:write_badge", ".svg", "an SVG for a README"),
}
"""By the word after `--format`; a new one is a file in this folder and a row here."""


def check_form(name: str, output: Path | None = None) -> Form:
    """The form called `name`, which may be written to `output`.

    Raises:
        UsageError: there is no such format, or `output` is a file of another kind.
    """
    if name not in FORMS:
        raise UsageError(f"there is no format '{name}'", f"formats: {', '.join(FORMS)}")
    if output is not None:
        refuse_other_kind(output, FORMS[name].suffix)
    return FORMS[name]


def write_form(run: Run, name: str, language: str = ENGLISH) -> str:
    """A run in the format called `name`.

    Raises:
        UsageError: there is no such format or language, or the format is in English only.
    """
    form = check_form(name)
    with speaking(language):
        if language != ENGLISH and not form.translated:
            raise UsageError(f"format {name} is in English only", "leave --language out")
        module, _, function = form.place.partition(":")
        write: Callable[[Run], str] = getattr(import_module(module), function)
        return write(run)
