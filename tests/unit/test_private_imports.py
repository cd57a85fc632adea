"""Private modules of libraries come and go: none is needed to start, and those that are used at all are listed here."""

import ast
from pathlib import Path

import pytest

import seatrial

SOURCES = Path(seatrial.__file__).parent
USED = {
    (
        "cli/completion.py",
        "typer._completion_shared",
    ),  # Its scripts for shells; without it they stay typer's.
    ("engines/torch/session.py", "torch._inductor"),  # Its setting `freezing` has no public switch.
    ("engines/torch/session.py", "torch._C._dynamo.eval_frame"),  # Frees what was compiled for one session.
}


def find_private(tree: ast.AST) -> list[str]:
    """Modules of other packages whose path has a part that begins with an underscore."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    private = {name for name in names if any(part[:1] == "_" and part[:2] != "__" for part in name.split("."))}
    # What is imported from a private module is told by its module.
    return sorted(name for name in private if not any(name.startswith(f"{other}.") for other in private))


def test_no_private_module_is_imported_but_those_that_are_known() -> None:
    found = set()
    for path in sorted(SOURCES.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {(path.relative_to(SOURCES).as_posix(), name) for name in find_private(tree) if "seatrial" not in name}
        at_start = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        assert find_private(at_start) == [], path
    assert found == USED


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("from typer._click.exceptions import ClickException", ["typer._click.exceptions"]),
        ("import torch._inductor.config", ["torch._inductor.config"]),
        ("from torch import _foreach_norm", ["torch._foreach_norm"]),
        ("from __future__ import annotations\nimport torch.nn", []),
    ],
)
def test_they_are_found(source: str, private: list[str]) -> None:
    assert find_private(ast.parse(source)) == private
