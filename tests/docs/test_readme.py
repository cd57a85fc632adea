"""What the README and the pages that go on from it say is run: every `seatrial` command, on files of the names used."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden_logs import LOGS
from guide_folders import write_guide
from onnx_graphs import write_linear
from pages import read_commands
from seatrial import __version__
from seatrial.cli import run_cli
from tiny_trial import CLASSES, make_trial

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FAST = ("--bench-duration", "0.01", "--bench-samples", "2", "--batch-size", "1")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the README's names exist: a card, a checkpoint, images and labels."""
    folder = tmp_path_factory.mktemp("readme")
    trial = make_trial(folder / "imagenet")
    trial.card.rename(folder / "my-card.toml")
    trial.checkpoint.rename(folder / "my-weights.pth")
    write_linear(folder / "my-model.onnx", classes=CLASSES)
    shutil.copy(LOGS / "trtexec-8.6.log", folder)
    write_guide(folder / "guides" / "SmallNet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


PAGES = (
    "README.md",
    "docs/step-by-step.md",
    "docs/guides.md",
    "docs/guide-formats.md",
    "docs/foreign-graphs.md",
    "docs/models.md",
)
COMMANDS = [words for page in PAGES for words in read_commands(page)]


def test_the_pages_have_commands_of_every_stage() -> None:
    verbs = {words[0] for words in COMMANDS}
    assert {"run", "recipes", "train", "export", "quantize", "compile", "evaluate", "bench", "report", "data"} <= verbs


@pytest.mark.parametrize("words", COMMANDS, ids=lambda w: " ".join(w)[:40])
def test_a_command_of_the_pages_runs(words: list[str], place: Path) -> None:
    measures = {"run": FAST, "bench": ("--duration", "0.01", "--min-samples", "2", "--processes", "1")}.get(
        words[0], ()
    )
    # Of a network that knows nothing no verdict is given.
    assert run_cli([*words, *measures]) == (7 if "my-model.onnx" in words else 0)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120
    without_code = re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    paragraphs = [block for block in re.split(r"\n\s*\n", without_code) if not block.lstrip().startswith(("|", "#"))]
    assert max(len(block.strip().splitlines()) for block in paragraphs) <= 5


def list_facts(text: str) -> dict[str, list[str]]:
    """What a translation leaves as it is: code, links but for those between the two languages, tables, figures."""
    blocks = re.findall(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    words = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", prose)
    return {
        "blocks": blocks,
        "code": sorted(re.findall(r"`[^`\n]+`", prose)),
        "links": [link for link in re.findall(r"\]\(([^)]+)\)", prose) if not link.startswith("README")],
        "rows": [str(line.count("|")) for line in prose.splitlines() if line.startswith("|")],
        "figures": re.findall(r"\d[\d.,]*\d|\d", words),
        "headings": re.findall(r"^#+(?= )", prose, re.MULTILINE),
    }


def test_the_chinese_readme_says_the_same() -> None:
    chinese = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    assert list_facts(chinese) == list_facts(README)
    assert "(README.zh-CN.md)" in README and "(README.md)" in chinese


def test_version_and_changelog_agree() -> None:
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None and newest.group(1) in (__version__, "Unreleased")
