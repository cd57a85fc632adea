"""The page on the API and its notebook are run; the reference and the schemas are those of the code."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pages import ROOT, read_page
from seatrial.workflow.schemas import SCHEMAS
from tiny_trial import TinyTrial

NOTEBOOK = json.loads((ROOT / "docs" / "examples" / "api.ipynb").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def place(tiny_trial: TinyTrial, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the page's names exist; the notebook finds the run of the page done."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "imagenet").symlink_to(tiny_trial.folder)
    (folder / "my-card.toml").symlink_to(tiny_trial.card)
    (folder / "my-weights.pth").symlink_to(tiny_trial.checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_the_page_is_run_from_top_to_bottom(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", read_page("docs/api.md").partition("## Every function")[0], re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "PASS" in shown and "there is no engine 'onnxruntim' did you mean 'onnxruntime'?" in shown


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell as a notebook does; returns the value of a last line that is an expression."""
    *_, last = re.split(r"\n(?=\S)", source.rstrip())
    if re.match(r"[)\]}]", last):  # The end of an expression over several lines.
        start = max(source.rfind("\napi."), 0)
        last = source[start:].strip()
    exec(compile(source[: source.rindex(last)], "api.ipynb", "exec"), names)
    return eval(compile(last, "api.ipynb", "eval"), names)


def test_the_cells_of_the_notebook_run_in_their_order(place: Path) -> None:
    """In one namespace, as nbclient, which would start a kernel, is not among what the tests need."""
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    values = [run_cell("".join(cell["source"]), names) for cell in cells]
    assert len(values) == 5 and values[1][2] == "PASS"
    shown = [value._repr_html_() for place, value in enumerate(values) if place != 1]
    assert all("<table>" in each for each in shown)
    assert not any(cell["outputs"] for cell in cells)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "docs" / "write_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_and_the_schemas_are_those_of_the_code(reference: ModuleType) -> None:
    made = reference.make_files()
    stale = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `python docs/write_reference.py`"
    assert {path.stem for path in (ROOT / "docs" / "schemas").iterdir()} == set(SCHEMAS)
