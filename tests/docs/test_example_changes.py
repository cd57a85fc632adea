"""The example changes of CONTRIBUTING.md still apply, and touch as many places as its table says."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "changes").glob("*.diff"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| .+ \| \d+ \| (\d+) \| .+\]\(docs/changes/(.+?)\) \|$", CONTRIBUTING, re.MULTILINE)


def test_the_table_has_every_example() -> None:
    assert [name for _, name in ROWS] == [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_still_applies(path: Path) -> None:
    # Whatever repository this folder may lie in is not asked.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(ROOT.parent)}
    command = ["git", "apply", "--check", "-C1", str(path)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(("places", "name"), ROWS)
def test_the_table_counts_the_files_of_the_source(places: str, name: str) -> None:
    files = re.findall(r"^\+\+\+ b/(\S+)", (ROOT / "docs" / "changes" / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert len([file for file in files if file.startswith("src/")]) == int(places)
    assert any(file.startswith("tests/") for file in files)
