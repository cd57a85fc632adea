"""Every format of label files, and what each refuses; the classes are read off the table by hand."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from class_cards import make_recipe
from seatrial.data import label_files, label_tables
from seatrial.data.classes import UNKNOWN, Classes
from seatrial.data.label_files import match_names, read_image_labels, read_label_file
from seatrial.data.name_index import NameIndex
from seatrial.errors import DataError
from seatrial.recipes.class_names import load_imagenet

IMAGES = ("a.JPEG", "b.JPEG", "c d.JPEG")
WNIDS, NAMES = load_imagenet()


PLAIN = Classes(3)
ANIMALS = Classes.of(make_recipe(["tench", "great white shark", "cock"], 3))
CRANES = Classes.of(make_recipe(["crane", "tench", "crane"], 3))
IMAGENET = Classes.of(make_recipe("imagenet-1k", 1000))
SHIFTED = Classes.of(make_recipe(None, 3, -1))


def read(text: str, folder: Path, classes: Classes, images: Sequence[str] = IMAGES) -> dict[str, int]:
    path = folder / "labels.txt"
    path.write_text(text)
    return read_image_labels(path, images, classes)


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("a.JPEG 2\nb.JPEG 0\nc d.JPEG 1\n", PLAIN),
        ("a 2\nb 0\nc d 1\n", PLAIN),
        ("val/a.JPEG 2\nval/b.JPEG 0\nval/c d.JPEG 1\n", PLAIN),
        ("./val/a 2\nval\\b 0\n/data/val/c d.JPEG 1\n", PLAIN),
        ("2\n0\n1\n", PLAIN),
        ("2\r\n\r\n0\r\n1", PLAIN),
        ("a.JPEG,2\nb.JPEG,0\nc d.JPEG,1\n", PLAIN),
        ("a.JPEG\t2\nb.JPEG\t0\nc d.JPEG\t1\n", PLAIN),
        ("2;a.JPEG\n0;b.JPEG\n1;c d.JPEG\n", PLAIN),
        ("filename,label\na.JPEG,2\nb.JPEG,0\nc d.JPEG,1\n", PLAIN),
        ('"Image ID","Class"\n"a","2"\n"b","0"\n"c d","1"\n', PLAIN),
        (",file_name,target,width\n0,a.JPEG,2,1\n1,b.JPEG,0,2\n2,c d.JPEG,1,0\n", PLAIN),
        ("picture,species\na.JPEG,2\nb.JPEG,0\nc d.JPEG,1\n", PLAIN),
        ("a.JPEG,500,2\nb.JPEG,400,0\nc d.JPEG,300,1\n", PLAIN),
        ("a.JPEG 3\nb.JPEG 1\nc d.JPEG 2\n", SHIFTED),
        ("3\n1\n2\n", SHIFTED),
        ("a.JPEG n03\nb.JPEG n01\n".replace("n0", "n0000000") + "c d.JPEG,n00000002\n".replace(",", " "), PLAIN),
        ("a.JPEG,n00000003\nb.JPEG,n00000001\nc d.JPEG,n00000002\n", PLAIN),
        ("a.JPEG cock\nb.JPEG tench\nc d.JPEG great white shark\n", ANIMALS),
        ("a Cock\nb Tench\nc d great_white_shark\n", ANIMALS),
        ("a.JPEG,cock\nb.JPEG,tench\nc d.JPEG,great white shark\n", ANIMALS),
        ("filename,label,class\na.JPEG,2,cock\nb.JPEG,0,tench\nc d.JPEG,1,great white shark\n", ANIMALS),
        ("a.JPEG\tn00000003\t0\t0\t9\t9\nb.JPEG\tn00000001\t0\t0\t9\t9\nc_d.JPEG\tn00000002\t1\t2\t3\t4\n", PLAIN),
    ],
)
def test_each_format_gives_the_same_classes(text: str, classes: Classes, tmp_path: Path) -> None:
    images = [name.replace(" ", "_") for name in IMAGES] if "c_d" in text else IMAGES
    assert read(text, tmp_path, classes, images) == dict(zip(images, (2, 0, 1), strict=True))


def test_other_names_and_numbers_serve_where_two_classes_share_a_name(tmp_path: Path) -> None:
    assert read("a.JPEG tench\n", tmp_path, CRANES, IMAGES[:1]) == {"a.JPEG": 1}
    assert read("a.JPEG 2\nb.JPEG 0\n", tmp_path, CRANES, IMAGES[:2]) == {"a.JPEG": 2, "b.JPEG": 0}


@pytest.mark.parametrize(
    "text",
    [
        "ImageId,PredictionString\nb,n01440764 0 0 9 9 n01440764 5 5 9 9 \na,n01443537 1 2 3 4\n",
        "a.JPEG n01443537\nb.JPEG n01440764\n",
        "a,n01443537\nb,n01440764\n",
        "a goldfish\nb tench\n",
        "id,wnid\na,n01443537\nb,n01440764\n",
    ],
)
def test_wordnet_ids_are_those_of_the_card(text: str, tmp_path: Path) -> None:
    assert read(text, tmp_path, IMAGENET, IMAGES[:2]) == {"a.JPEG": 1, "b.JPEG": 0}


@pytest.mark.parametrize(
    ("text", "classes", "told"),
    [
        ("2\n0\n", PLAIN, r"labels\.txt has 2 numbers without names, and there are 3 images; give a number"),
        ("a.JPEG,0\nb.JPEG,tench\nc d.JPEG,1\n", PLAIN, r"labels\.txt:2: 'b\.JPEG,tench' is not `NAME CLASS`; mend"),
        ("a tench\nb crane\n", CRANES, r"labels\.txt:2: 'crane' is the name of the classes 0 and 2; give each a"),
        ("a.JPEG tench\nb.JPEG salmon\n", ANIMALS, r"labels\.txt:2: 'salmon' is none of the card's classes; mend"),
        ("a.JPEG tench\nb.JPEG 1\n", ANIMALS, r"labels\.txt has names and numbers for classes; write one of them$"),
        ("a.JPEG n01440764\nb.JPEG n01443537\n", PLAIN, r"2 WordNet ids, the network 3 classes; write `names = "),
        ("a.JPEG n99999999\n", PLAIN, r"has 1 WordNet ids, the network 3 classes; write numbers for them$"),
        ("a.JPEG n01440764\n", UNKNOWN, r"has WordNet ids, and there is no card here that knows them; write numbers$"),
        ("a.JPEG 0\na 0\n", PLAIN, r"labels\.txt has 'a\.JPEG' and 'a', which are one image; remove one of the lines$"),
        ("a.JPEG,0\na.JPEG,1\n", PLAIN, r"labels\.txt:2: 'a\.JPEG' is listed twice; remove"),
        ("file,label\na.JPEG,0\nb.JPEG,0,1\n", PLAIN, r"labels\.txt:3: 'b\.JPEG,0,1' has 3 columns, the header 2"),
        (
            "ImageId,PredictionString\na,n01440764 0 0 9 9 n01443537 0 0 9 9\n",
            IMAGENET,
            r"labels\.txt:2: 'a' has boxes of n01440764 and n01443537; an image has one class$",
        ),
        ("ImageId,PredictionString\na,\n", IMAGENET, r"labels\.txt:2: 'a' has boxes of no class"),
    ],
)  # fmt: skip
def test_what_fits_no_format_is_refused_with_its_line(text: str, classes: Classes, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(text, tmp_path, classes)
    assert re.search(told, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("text", "classes", "told"),
    [
        (
            "file,label,class\na.JPEG,2,2\nb.JPEG,0,1\n",
            PLAIN,
            r"labels\.txt:3: 'b\.JPEG' is class 0 in column 2 as a number, and 1 in column 3 as a number; leave one",
        ),
        ("a.JPEG,2,1\nb.JPEG,0,1\n", PLAIN, r"labels\.txt:1: 'a\.JPEG' is class 2 in column 2 as a number, and 1 in"),
        (
            "a.JPEG 1\nb.JPEG 2\n",
            Classes.of(make_recipe(["1", "2", "3"], 3)),
            r"labels\.txt:1: 'a\.JPEG' is class 1 as a number, and 0 by the card's names",
        ),
    ],
)
def test_two_readings_that_differ_are_shown_on_one_image(
    text: str, classes: Classes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told):
        read(text, tmp_path, classes)


def test_the_heads_say_which_column_of_numbers_is_the_images(tmp_path: Path) -> None:
    images = [f"{number}.jpg" for number in range(4)]
    for table in (
        "label,id\n2,0\n0,1\n3,2\n1,3\n",
        "id,label\n0,2\n1,0\n2,3\n3,1\n",
        ",id,label\n0,1,0\n1,3,1\n2,0,2\n3,2,3\n",
    ):
        assert read(table, tmp_path, Classes(4), images) == dict(zip(images, (2, 0, 3, 1), strict=True))


def test_two_columns_of_numbers_without_heads_are_refused_where_either_may_be_the_images(tmp_path: Path) -> None:
    images = [f"{number}.jpg" for number in range(3)]
    with pytest.raises(DataError, match=r"'1' and '0' of one line may be an image and its class, or the other way"):
        read("1,0\n2,1\n0,2\n", tmp_path, PLAIN, images)
    assert read("1,0\n0,1\n2,2\n", tmp_path, PLAIN, images) == {"1.jpg": 0, "0.jpg": 1, "2.jpg": 2}
    assert read("1,0\n2,0\n0,2\n", tmp_path, PLAIN, images) == {"1.jpg": 0, "2.jpg": 0, "0.jpg": 2}


def test_numbers_without_names_are_refused_where_text_and_numbers_order_the_names_otherwise(tmp_path: Path) -> None:
    images = [f"{number}.jpg" for number in range(12)]
    with pytest.raises(DataError, match=r"'10\.jpg' has 0 where names are in the order of text, and 1 where"):
        read("0\n" * 10 + "1\n" * 2, tmp_path, PLAIN, images)
    assert read("2\n" * 12, tmp_path, PLAIN, images) == dict.fromkeys(images, 2)
    padded = [f"{number:02}.jpg" for number in range(12)]
    assert read("0\n" * 10 + "1\n" * 2, tmp_path, PLAIN, padded)["10.jpg"] == 1


def test_two_readings_that_agree_are_one(tmp_path: Path) -> None:
    digits = Classes.of(make_recipe(["0", "1", "2"], 3))
    assert read("file,label,class\na.JPEG,2,2\nb.JPEG,0,0\n", tmp_path, digits) == {"a.JPEG": 2, "b.JPEG": 0}


def test_the_devkits_numbers_are_refused_unless_its_meta_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ILSVRC's ids 1, 2, 3 are the third, first and second of the WordNet ids in their order."""
    images = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in (1, 2, 3)]
    path = tmp_path / "ILSVRC2012_validation_ground_truth.txt"
    path.write_text("1\n2\n3\n")
    with pytest.raises(DataError, match=r"has the devkit's numbers, 1\.\.1000, whose order .*data prepare --devkit"):
        read_label_file(path, images, PLAIN)
    rows = [(1, "n00000003", 0), (2, "n00000001", 0), (3, "n00000002", 0), (4, "n00000000", 3)]
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("num_children", "O")]
    savemat(tmp_path / "meta.mat", {"synsets": np.array(rows, dtype=kinds)})
    assert read_label_file(path, images, PLAIN) == dict(zip(images, (2, 0, 1), strict=True))
    path.write_text("1\n2\n4\n")
    with pytest.raises(DataError, match=r"ground_truth\.txt:3: this is no class of \S+meta\.mat"):
        read_label_file(path, images, PLAIN)
    # Under another name only a list of all images is the devkit's, and one that counts from 0 never is.
    plain = tmp_path / "other"
    plain.mkdir()
    (plain / "labels.txt").write_text("1\n2\n3\n")
    assert list(read_label_file(plain / "labels.txt", images, PLAIN).values()) == [1, 2, 3]
    monkeypatch.setattr(label_files, "DEVKIT_IMAGES", 3)
    with pytest.raises(DataError, match="the devkit's numbers"):
        read_label_file(plain / "labels.txt", images, PLAIN)
    (plain / "labels.txt").write_text("1\n2\n0\n")
    assert list(read_label_file(plain / "labels.txt", images, PLAIN).values()) == [1, 2, 0]


def test_a_name_that_several_images_could_be_is_none() -> None:
    ids = ["x/a.png", "y/a.png", "b.png", "b.jpg", "c.v1.png"]
    names = {"x/a.png": 0, "a.png": 1, "b": 2, "c.v1": 3, "b.png": 4}
    assert match_names(names, NameIndex(ids), Path("l")) == {
        "x/a.png": 0,
        "a.png": 1,
        "b": 2,
        "c.v1.png": 3,
        "b.png": 4,
    }


def test_a_million_lines_are_read_in_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up, not searched: of 20,000 lines each name is simplified or found a bounded number of times."""
    count = 20_000
    images = [f"{index:06d}.JPEG" for index in range(count)]
    path = tmp_path / "labels.csv"
    path.write_text("".join(f"{index:06d},{WNIDS[index % 1000]}\n" for index in range(count)))
    looked = []
    find = NameIndex.find
    monkeypatch.setattr(NameIndex, "find", lambda self, name: looked.append(name) or find(self, name))
    assert read_image_labels(path, images, IMAGENET) == {image: i % 1000 for i, image in enumerate(images)}
    assert len(looked) <= count + 2 * 2 * label_tables.SAMPLE


def test_a_line_that_no_label_has_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a.jpg 1\n" + "a " * 99_999)
    with pytest.raises(DataError, match=r"labels.txt:2: a line of more than 65,536 characters"):
        read_label_file(tmp_path / "labels.txt", ["a.jpg"], Classes(4))


def test_names_that_are_no_utf_8_are_labelled(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"im\xe9ge_0.jpg 1\nimage_1.jpg 2\n")
    names = ["im\udce9ge_0.jpg", "image_1.jpg"]
    assert read_label_file(tmp_path / "labels.txt", names, Classes(4)) == dict(zip(names, (1, 2), strict=True))
