"""What the page on sources of images says is run."""

import re
import tarfile
from collections.abc import Iterator
from io import BytesIO

import pytest

from pages import read_commands, read_page
from seatrial.cli import run_cli
from seatrial.data.image_files import IMAGE_SUFFIXES
from seatrial.data.sources import read_images
from tiny_trial import make_trial

PAGE = read_page("docs/data.md")


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("data")
    trial = make_trial(folder / "imagenet")
    trial.card.rename(folder / "my-card.toml")
    (folder / "shards").mkdir()
    for index, line in enumerate(trial.labels.read_text().splitlines()):
        name, label = line.split()
        with tarfile.open(folder / "shards" / f"val-{index % 2:03d}.tar", "a") as archive:
            archive.add(trial.images / name, f"{index:06d}.jpg")
            told = tarfile.TarInfo(f"{index:06d}.cls")
            told.size = len(label)
            archive.addfile(told, BytesIO(label.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands("docs/data.md"), ids=lambda words: " ".join(words)[:50])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    assert run_cli(words) == 0
    assert len(read_images(words[-1], None, 4).images) == 24


def test_the_suffixes_of_images_are_those_that_we_know() -> None:
    (told,) = re.findall(r"the image: (.*)", PAGE)
    assert {f".{suffix}" for suffix in told.split(", ")} | {".pgm", ".tiff"} == set(IMAGE_SUFFIXES)
