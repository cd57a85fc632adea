"""What the page on plugins names is there, and the example keeps to it."""

import ast
import re
import tomllib

from pages import ROOT, read_page
from seatrial.engines import ENGINES, GROUP, base
from seatrial.engines.base import Capabilities, Engine, Session

PAGE = read_page("docs/plugins.md")
EXAMPLE = ROOT / "examples" / "plugin-engine"


def test_every_name_of_the_interface_is_there() -> None:
    methods = re.findall(r"^\| `(?:session\.)?(\w+)\(", PAGE, re.MULTILINE)
    assert methods == ["probe", "compile", "open", "run", "close"]
    assert all(hasattr(Engine, name) for name in methods[:3]) and all(hasattr(Session, name) for name in methods[3:])
    helpers = re.search(r"`seatrial\.engines\.base` do what every engine must: (.+?)\.\n", PAGE, re.DOTALL)
    assert helpers is not None
    names = re.findall(r"`(\w+)`", helpers[1])
    assert len(names) == 5 and all(callable(getattr(base, name)) for name in names)
    flags = re.search(r"`Capabilities` says of the graph \((.+?)\)", PAGE)
    assert flags is not None and set(re.findall(r"`(\w+)`", flags[1])) < set(Capabilities.__dataclass_fields__)


def test_the_page_and_the_example_use_the_group_that_is_read() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    own = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for project in (tomllib.loads(block)["project"], own):
        assert set(project["entry-points"]) == {GROUP}
        assert not set(project["entry-points"][GROUP]) & set(ENGINES)


def test_the_example_takes_no_private_name_of_ours() -> None:
    tree = ast.parse((EXAMPLE / "src" / "reference_engine.py").read_text(encoding="utf-8"))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert imported and not any(name.startswith("_") for name in imported)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    compile(block, "docs/plugins.md", "exec")
