"""How class folders are numbered, and that every layout of a set is read, or refused where it could be two things."""

import re
from pathlib import Path

import pytest

from class_cards import make_recipe
from seatrial.data.classes import Classes, check_classes, name_by_folders, number_folders
from seatrial.data.images import LabelledImage
from seatrial.data.labels import list_images, read_labels
from seatrial.data.sources import read_images
from seatrial.data.sources.training_set import read_training_set
from seatrial.errors import DataError
from seatrial.foreign.parse import is_number
from seatrial.progress import Update
from seatrial.recipes.class_names import load_imagenet

WNIDS, NAMES = load_imagenet()
IMAGENET = make_recipe("imagenet-1k", 1000)
CRANES = Classes.of(make_recipe(["Crane", "tench", "crane"], 3))
JPEG = b"\xff\xd8\xff"


def number(folders: list[str], classes: Classes) -> tuple[dict[str, int], list[str]]:
    notes: list[str] = []
    return number_folders(sorted(folders), classes, "root", notes.append), notes


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(JPEG)
    return root


def test_numbers_are_no_text() -> None:
    numbers, notes = number([str(n) for n in range(12)], Classes(12))
    assert numbers == {str(n): n for n in range(12)}
    assert notes == [
        "the class folders of root are numbers, and taken as such: '10' is class 10, where earlier versions, and "
        "whatever sorts names as text, have 2"
    ]
    assert number([f"{n:02d}" for n in range(12)], Classes(12)) == ({f"{n:02d}": n for n in range(12)}, [])
    shifted = Classes(12, offset=-1)
    assert number([f"{n:02d}" for n in range(1, 13)], shifted)[0] == {f"{n:02d}": n - 1 for n in range(1, 13)}


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ({"dog/1.jpg": 1, "cat/1.jpg": 0, "cat/2.jpg": 0}, ("cat", "dog")),
        ({"val/dog, \n'b'/1.jpg": 1, "val/猫/1.jpg": 0}, ("猫", "dog, \n'b'")),
        ({"1/1.jpg": 1, "0/1.jpg": 0}, ()),
        ({"1.jpg": 1, "0.jpg": 0}, ()),
        ({"cat/1.jpg": 0}, ()),
        ({"cat/1.jpg": 0, "cat/2.jpg": 1}, ()),
        ({"a b/1.jpg": 0, "A_b/1.jpg": 1}, ()),
        ({"cat/1.jpg": -1, "dog/1.jpg": -1}, ()),
    ],
)
def test_folders_name_the_classes_where_each_has_one(ids: dict[str, int], names: tuple[str, ...]) -> None:
    images = [LabelledImage(name, Path(name), label) for name, label in ids.items()]
    assert name_by_folders(images, 2) == names


def test_names_and_wordnet_ids_are_the_cards() -> None:
    animals = Classes.of(make_recipe(["tench", "great white shark", "cock"], 3))
    numbers, notes = number(["Cock", "great_white_shark", "tench"], animals)
    assert numbers == {"Cock": 2, "great_white_shark": 1, "tench": 0}
    assert notes == ["the class folders of root are in the order of the card's names, not of text"]
    numbers, notes = number(list(WNIDS[3::5]), Classes.of(IMAGENET))
    assert numbers == {wnid: 3 + 5 * place for place, wnid in enumerate(WNIDS[3::5])}
    assert notes == ["root has 200 of the network's 1,000 classes, known by the card's names"]
    assert number(list(WNIDS), Classes.of(IMAGENET)) == ({wnid: place for place, wnid in enumerate(WNIDS)}, [])
    assert number(["n2", "n10"], Classes(2)) == ({"n10": 0, "n2": 1}, [])


@pytest.mark.parametrize(
    ("folders", "classes", "told"),
    [
        (list(WNIDS[:200]), Classes(1000), r'200 class folders \(.*\), the network 1000 classes; write `names = "'),
        (
            ["a", "b"],
            Classes.of(IMAGENET),
            r"2 class folders \('a', 'b'\), the network 1000 classes: none is called as one of the card's classes;",
        ),
        (["b", "a", "c"], Classes(2), r"has 3 class folders \('a', 'b', 'c'\), the network 2 classes; give"),
        ([*"012", "10", "3"], Classes(3), r"the network 3 classes: 2 are no class \('3', '10'\); give"),
        (["1", "7"], Classes(3, -1), r": 1 are no class \('7'\), 2 classes have no folder \('2', '3'\)"),
        ([*WNIDS[:9], "train", "val"], Classes(9), r"9 classes: 2 are no WordNet ids \('train', 'val'\)"),
        (["crane", "tench"], CRANES, r"root: 'crane' is the name of the classes 0 and 2; give each a name"),
        (["tench", "salmon"], Classes.of(IMAGENET), r"1 class folders are none of the card's classes \('salmon'\)"),
        (["tench", "n01440764"], Classes.of(IMAGENET), r"'n01440764' and 'tench' of root are both class 0; put them"),
        (["1", "01"], Classes(2), r"'01' and '1' of root are both class 1"),
        (
            ["1", "2", "3"],
            Classes(3),
            r"folder in root has class 3 \(1 folders\), .* 0\.\.2; .* '3' is no class as it is, and class 2 with",
        ),
        (["10", "20", "30"], Classes(3), r"the name of a folder in root has class 10 \(1 folders\), the network has"),
        (["0", "1", "2"], Classes(3, offset=-1), r"has class -1 .*; `\[labels\] offset = -1` of the card makes 0"),
    ],
)  # fmt: skip
def test_folders_that_fit_no_order_are_refused(folders: list[str], classes: Classes, told: str) -> None:
    with pytest.raises(DataError) as caught:
        number(folders, classes)
    assert re.search(told, str(caught.value)), str(caught.value)


def test_an_offset_that_gives_no_class_is_named() -> None:
    check_classes([("a", 0), ("b", 2)], Classes(3, -1), "labels.txt")
    with pytest.raises(DataError, match=r"labels\.txt has class -1 \(1 images\).* makes 0 of 'c' that: change it"):
        check_classes([("a", 0), ("c", -1)], Classes(3, -1), "labels.txt")


LAYOUTS = {
    "an only folder": ["imgs/a.jpg", "imgs/b.jpg"],
    "class folders": ["x/a.jpg", "y/b.jpg"],
    "folders in class folders": ["x/images/a.jpg", "y/images/b.jpg"],
    "two only folders": ["data/imgs/a.jpg", "data/imgs/b.jpg"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_label_file_finds_images_deeper(layout: str, tmp_path: Path) -> None:
    root = touch(tmp_path / "val", *LAYOUTS[layout])
    labels = tmp_path / "labels.txt"
    labels.write_text("a.jpg 1\nb 0\n")
    wanted = [("a.jpg", root / LAYOUTS[layout][0], 1), ("b.jpg", root / LAYOUTS[layout][1], 0)]
    for images in (read_labels(root, labels, 2), read_images(root, labels, 2).images):
        assert [(image.id, image.path, image.label) for image in images] == wanted
    assert list_images(root) == [path for _, path, _ in wanted]


def test_images_of_one_name_are_labelled_by_path(tmp_path: Path) -> None:
    root = touch(tmp_path / "val", "x/a.jpg", "y/a.jpg")
    (tmp_path / "labels.csv").write_text("file,label\nx/a.jpg,1\ny/a,0\n")
    assert [(i.id, i.label) for i in read_labels(root, tmp_path / "labels.csv", 2)] == [("x/a.jpg", 1), ("y/a.jpg", 0)]


def test_images_at_two_depths_are_not_taken(tmp_path: Path) -> None:
    root = touch(tmp_path / "val", "x/a.jpg", "y/more/b.jpg")
    with pytest.raises(DataError, match=r"1 images that would be left out \('y/more/b\.jpg'\)"):
        list_images(root)


@pytest.mark.parametrize("prefix", ["", "train/"])
@pytest.mark.parametrize("suffix", ["", "images/"])
def test_class_folders_may_lie_deeper(prefix: str, suffix: str, tmp_path: Path) -> None:
    root = touch(tmp_path, f"{prefix}n1/{suffix}a.jpg", f"{prefix}n2/{suffix}a.jpg")
    wanted = [("n1/a.jpg", 0), ("n2/a.jpg", 1)]
    for images in (read_labels(root, None, 2), read_images(root, None, 2).images):
        assert [(image.id, image.label) for image in images] == wanted


def test_a_train_and_a_val_are_no_two_classes(tmp_path: Path) -> None:
    root = touch(tmp_path, "train/n1/a.jpg", "train/n2/a.jpg", "val/n1/b.jpg", "val/n2/b.jpg")
    told = r"class folder \S+/train holds no images itself: 2 lie deeper \('n1/a\.jpg', 'n2/a\.jpg'\)"
    with pytest.raises(DataError, match=told):
        read_labels(root, None, 2)


def test_tiny_imagenets_layout(tmp_path: Path) -> None:
    """Its WordNet ids are the classes in their order: 200 there, two here."""
    touch(tmp_path, "train/n01/images/n01_0.JPEG", "train/n02/images/n02_0.JPEG".replace("n02", "n02"))
    for short in ("n01", "n02"):
        (tmp_path / "train" / short).rename(tmp_path / "train" / f"n000000{short[1:]}")
        (tmp_path / "train" / f"n000000{short[1:]}" / f"{short}_boxes.txt").write_text("x\t0\t0\t1\t1\n")
    touch(tmp_path, "val/images/val_0.JPEG", "val/images/val_1.JPEG")
    rows = "val_0.JPEG\tn00000002\t0\t32\t44\t62\nval_1.JPEG\tn00000001\t52\t55\t57\t59\n"
    (tmp_path / "val" / "val_annotations.txt").write_text(rows)
    train, val = read_training_set(tmp_path, 2)
    assert [(image.id, image.label) for image in train] == [("n00000001/n01_0.JPEG", 0), ("n00000002/n02_0.JPEG", 1)]
    assert [(image.id, image.label) for image in val] == [("val_0.JPEG", 1), ("val_1.JPEG", 0)]
    notes: list[Update] = []
    assert read_labels(tmp_path / "val" / "images", None, 2, notes.append) == val
    assert read_labels(tmp_path / "val", None, 2) == val
    assert notes[0].note == f"labels are from {tmp_path / 'val' / 'val_annotations.txt'}"


def test_a_subset_is_evaluated_by_the_cards_classes(tmp_path: Path) -> None:
    root = touch(tmp_path, f"{WNIDS[7]}/a.jpg", f"{WNIDS[999]}/b.jpg")
    notes: list[str] = []
    images = read_images(root, None, IMAGENET, progress=lambda update: notes.append(update.note)).images
    assert [image.label for image in images] == [7, 999]
    assert notes == [f"{root} has 2 of the network's 1,000 classes, known by the card's names"]


def test_folders_by_other_names_than_the_cards_are_said_to_be_in_the_order_of_text() -> None:
    classes = Classes.of(make_recipe(["one", "two", "x"], 3))
    numbers, said = number(["c x", "a x", "b x"], classes)
    assert numbers == {"a x": 0, "b x": 1, "c x": 2}
    assert "none of the class folders of root" in said[0] and "'a x' is class 0 one" in said[0]


def test_a_number_of_thousands_of_digits_is_no_class() -> None:
    assert is_number("17") and not is_number("9" * 6000)
