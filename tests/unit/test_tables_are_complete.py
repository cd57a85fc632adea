"""What is in a file of its own but in no table, and what is offered but never read, would be ignored in silence."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import seatrial
from seatrial.bench.vendor_logs import READERS
from seatrial.engines import ENGINES
from seatrial.models.build import OURS
from seatrial.recipes.schema import Gates
from seatrial.recipes.training import Train
from seatrial.report.forms import FORMS

SOURCES = Path(seatrial.__file__).parent
CLASS = r"^class (\w+)(.*?):(?:  # [^\n]*)?\n(.*?)(?=^\S|\Z)"
"""Its name, its bases and its body."""


def read_folder(folder: str) -> dict[str, str]:
    """The text of each file of a folder, by the name of its module."""
    return {
        ".".join(("seatrial", *path.relative_to(SOURCES).with_suffix("").parts)).removesuffix(".__init__"): (
            path.read_text(encoding="utf-8")
        )
        for path in sorted((SOURCES / folder).rglob("*.py"))
    }


def find_classes(folder: str, *members: str) -> Iterator[str]:
    """Classes of a folder in whose text every one of `members` is, but protocols."""
    for module, text in read_folder(folder).items():
        for name, bases, body in re.findall(CLASS, text, re.MULTILINE | re.DOTALL):
            if "Protocol" not in bases and all(member in body for member in members):
                yield f"{module}:{name}"


def test_every_engine_is_in_the_table() -> None:
    assert set(find_classes("engines", "def probe(", "def compile(", "def open(")) == set(ENGINES.values())


def test_no_engine_may_import_another() -> None:
    config = tomllib.loads((SOURCES.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    (modules,) = [c["modules"] for c in config["tool"]["importlinter"]["contracts"] if c["type"] == "independence"]
    places = [place.partition(":")[0] for place in ENGINES.values()]
    assert len(modules) == len(places)
    assert all(any(f"{place}.".startswith(f"{module}.") for module in modules) for place in places)


def test_every_network_of_ours_is_in_the_table() -> None:
    assert set(find_classes("models", "def __init__(self, classes: int)")) == set(OURS.values())


def test_every_reader_of_logs_is_in_the_table() -> None:
    readers = {name for name, text in read_folder("bench/vendor_logs").items() if "\nREADER = " in text}
    assert readers == {f"seatrial.bench.vendor_logs.{name}" for name in READERS}


def test_every_chart_is_drawn() -> None:
    text = (SOURCES / "report" / "charts.py").read_text(encoding="utf-8")
    charts = re.findall(r"^def (draw_\w+)\(run: Run\) -> Chart", text, re.MULTILINE)
    drawn = re.findall(r"(draw_\w+)\(run\)", text.partition("def draw_charts")[2].partition("\n\n\n")[0])
    assert len(charts) >= 4 and sorted(charts) == sorted(drawn)


def test_every_form_of_a_run_is_in_the_table() -> None:
    forms = {
        f"{module}:{name}"
        for module, text in read_folder("report/forms").items()
        for name in re.findall(r"^def (write_\w+)\(run: Run\) -> str", text, re.MULTILINE)
    }
    assert forms == {form.place for form in FORMS.values() if ".forms." in form.place}


def test_every_verb_is_a_command() -> None:
    app = (SOURCES / "cli" / "app.py").read_text(encoding="utf-8")
    verbs = [name.rpartition(".")[2] for name, text in read_folder("cli").items() if text.startswith('"""`seatrial ')]
    assert len(verbs) >= 17
    assert [name for name in verbs if not re.search(rf"\(.*\b{name}\.({name}|app)\b", app)] == []


@pytest.mark.parametrize("name", Train.model_fields)
def test_every_training_setting_is_read(name: str) -> None:
    text = "".join(text for folder in ("train", "workflow") for text in read_folder(folder).values())
    assert re.search(rf"\b(settings|train)\.{name}\b", text)


@pytest.mark.parametrize("name", Gates.model_fields)
def test_every_gate_is_judged(name: str) -> None:
    assert any(f"gates.{name}" in text for folder in ("compare", "workflow") for text in read_folder(folder).values())
