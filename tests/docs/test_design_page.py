"""The page on the design has the layers of the import contract and the interfaces of the code."""

import re
import tomllib

from pages import ROOT, read_page

PAGE = read_page("docs/design.md")


def test_the_layers_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    shown = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1].splitlines() == contract["layers"]


def test_the_interfaces_are_those_of_the_code() -> None:
    source = (ROOT / "src" / "seatrial" / "engines" / "base.py").read_text(encoding="utf-8")
    shown = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    lines = [line.removesuffix(" ...") for line in shown[1].splitlines() if line]
    assert len(lines) == 9
    assert [line for line in lines if line not in source] == []


def test_the_folders_of_tests_are_there() -> None:
    folders = re.findall(r"^\| `(tests/\w+)` \|", PAGE, re.MULTILINE)
    assert len(folders) == 7
    assert all((ROOT / folder).is_dir() for folder in folders)
