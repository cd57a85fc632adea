"""Names of images as a label file may give them."""

from collections.abc import Sequence

import pytest

from seatrial.data import name_index
from seatrial.data.name_index import NameIndex

FLAT = ("a.jpg", "b.v1.png", "c", "d.png", "d.jpg", ".hidden", "e.")
FOLDERS = ("x/a.jpg", "y/b.png", "z/b.png", "c.v1/d")


@pytest.mark.parametrize("most", [16, 0])
@pytest.mark.parametrize(
    ("ids", "name", "found"),
    [
        *((FLAT, name, name) for name in FLAT),
        (FLAT, "a", "a.jpg"),
        (FLAT, "val/a.jpg", "a.jpg"),
        (FLAT, "val\\a", "a.jpg"),
        (FLAT, "b.v1", "b.v1.png"),
        (FLAT, "b", None),
        (FLAT, "d", None),
        (FLAT, "e", "e."),
        (FLAT, "", ".hidden"),
        (FLAT, "f", None),
        (FOLDERS, "a", "x/a.jpg"),
        (FOLDERS, "x/a", "x/a.jpg"),
        (FOLDERS, "other/x/a.jpg", "x/a.jpg"),
        (FOLDERS, "b", None),
        (FOLDERS, "y/b", "y/b.png"),
        (FOLDERS, "d", "c.v1/d"),
        (FOLDERS, "c", None),
    ],
)
def test_a_name_is_found_by_suffixes_or_by_a_table_alike(
    ids: Sequence[str], name: str, found: str | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_index, "MOST_SUFFIXES", most)
    assert NameIndex(ids).find(name) == found


@pytest.mark.parametrize(
    "ids", [("a.jpg", "b.c.jpg"), ("a.jpg", "b.png"), ("a.jpg", "x/b.jpg"), ("a", "b"), FLAT, FOLDERS]
)
def test_all_names_are_found_as_one_by_one(ids: Sequence[str]) -> None:
    index = NameIndex(ids)
    names = ["a", "a.jpg", "val/a", "b", "b.c", "x\\\\b", "d", "none", "", *ids]
    assert index.find_all(names) == [index.find(name) or name for name in names]
