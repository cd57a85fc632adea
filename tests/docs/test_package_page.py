"""What the page on packages says is run, on the miniature trial."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import read_commands, read_page
from seatrial.cli import run_cli
from seatrial.store.package import PackageManifest

PAGE = "docs/package.md"


@pytest.fixture(scope="module", autouse=True)
def place(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "trial").symlink_to(tiny_run)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_the_commands_of_the_page_run(place: Path) -> None:
    for words in read_commands(PAGE):
        assert run_cli(words) == 0
    (block,) = re.findall(r"```\n(bundle/.*?)```", read_page(PAGE), re.DOTALL)
    drawn = [line.removeprefix("bundle/").split()[0] for line in block.splitlines()]
    files = {"manifest.json", *PackageManifest.load(place / "bundle" / "manifest.json").files}
    assert len(drawn) >= 8
    for name in {*drawn} - {"classes.txt"}:
        assert any(path.startswith(name) for path in files), name
    assert (place / "bundle-openvino" / "manifest.json").is_file()
