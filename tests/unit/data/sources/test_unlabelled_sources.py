"""Every kind of source without its classes, and folders in which labels may have been forgotten."""

import tarfile
from pathlib import Path

import pytest
from PIL import Image

from fake_engine import make_recipe
from seatrial.data.bins.write import BinForm, write_bins
from seatrial.data.images import UNLABELLED, are_labelled, hash_listing
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.data.sources import read_images, read_unlabelled
from seatrial.data.sources.pack_file import write_pack
from seatrial.data.unlabelled import read_folder_set
from seatrial.errors import DataError, UsageError
from seatrial.progress import silent
from seatrial.recipes.schema import Mode

NAMES = ("a.png", "b.png", "c.png")
PIXELS = Mode.read({"preprocess": [{"step": "resize", "size": [4, 6]}]}, "test")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images in `val`, and this as the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "val").mkdir()
    for index, name in enumerate(NAMES):
        Image.new("RGB", (6, 4), (index,) * 3).save(tmp_path / "val" / name)
    return tmp_path


def list_ids(source: str) -> list[str]:
    images = read_unlabelled(source).images
    assert {image.label for image in images} == {UNLABELLED} and not are_labelled(images)
    assert all(image.read() for image in images)
    return [image.id for image in images]


def write_tar(path: Path, **members: str) -> None:
    with tarfile.open(path, "w") as archive:
        for member, file in members.items():
            archive.add(file, member.replace("_", "."))


def test_a_folder_has_its_names_and_class_folders_lose_their_classes(here: Path) -> None:
    assert list_ids("val") == list(NAMES)
    for name in NAMES:
        (here / "train" / name[0]).mkdir(parents=True)
        (here / "val" / name).rename(here / "train" / name[0] / name)
    assert list_ids("train") == list(NAMES)
    assert read_images("train", None, 3).images[0].id == "a/a.png"
    (here / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no images"):
        read_unlabelled("empty")


def test_lists_may_have_classes_or_not(here: Path) -> None:
    Path("plain.txt").write_text("val/b.png\nval/a.png\n")
    Path("classes.txt").write_text("val/b.png 1\nval/a.png 0\n")
    assert list_ids("plain.txt") == list_ids("classes.txt") == ["val/a.png", "val/b.png"]
    Path("all.info").write_text("0 val/a.png 6 4\n1 val/b.png 6 4\n")
    assert list_ids("all.info") == ["a.png", "b.png"]
    Path("plain.txt").write_text("val/gone.png\n")
    with pytest.raises(DataError, match="not there"):
        read_unlabelled("plain.txt")


def test_archives_bins_and_packs_lose_theirs(here: Path) -> None:
    Path("one.cls").write_text("1")
    write_tar(here / "shard.tar", a_png="val/a.png", a_cls="one.cls", b_png="val/b.png")
    assert list_ids("shard.tar") == ["a.png", "b.png"]
    write_bins(BinForm(PIXELS, "rgb"), sorted(Path("val").iterdir()), Path("bins"), 1)
    assert list_ids("bins") == ["a.bin", "b.bin", "c.bin"]
    Path("labels.txt").write_text("".join(f"{name} {index}\n" for index, name in enumerate(NAMES)))
    labelled = read_images("val", Path("labels.txt"), 4)
    write_pack(labelled, make_pipeline(make_recipe()), Path("val.pack"), 1)
    assert list_ids("val.pack") == list(NAMES)
    # Another set than the labelled one, so that nothing that was stored for that is taken for this.
    assert hash_listing(read_unlabelled("val").images) != hash_listing(labelled.images)
    assert read_unlabelled("val.pack").identify() != read_images("val.pack", None, 4).identify()


@pytest.mark.parametrize(
    "text", ["a.png 0\nb.png 1\nc.png 2\n", "id,label\nb,dog\na,cat\n", '{"images": [{"file_name": "x/c.png"}]}']
)
@pytest.mark.parametrize("place", ["val/truth.csv", "truth.json"])
def test_a_file_that_names_the_images_may_have_been_forgotten(text: str, place: str, here: Path) -> None:
    recipe = make_recipe()
    assert not are_labelled(read_folder_set(Path("val"), None, recipe, False, silent))
    Path(place).write_text(text)
    with pytest.raises(DataError, match=rf"give --labels {place}, or --no-labels"):
        read_folder_set(Path("val"), None, recipe, False, silent)
    assert len(read_folder_set(Path("val"), None, recipe, True, silent)) == 3
    with pytest.raises(UsageError, match="give one of them"):
        read_folder_set(Path("val"), Path(place), recipe, True, silent)


def test_other_texts_beside_the_images_are_no_labels(here: Path) -> None:
    Path("readme.txt").write_text("Pictures of the harbour, taken in May.\n")
    Path("other.csv").write_text("z.png,1\n")
    assert len(read_folder_set(Path("val"), None, make_recipe(), False, silent)) == 3
