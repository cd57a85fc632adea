"""benchmarks/origins.py: the photographs are labelled by what they show, and int8 is calibrated with others."""

from pathlib import Path
from types import ModuleType

import pytest

from seatrial.data.labels import read_labels
from seatrial.models.sources import resolve_recipe
from seatrial.recipes.class_names import name_class
from seatrial.store.files import hash_file

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def photographs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("skimage")
    monkeypatch.syspath_prepend(BENCHMARKS)
    import origins_photographs

    return origins_photographs


def test_pictures_are_labelled_by_what_they_show(photographs: ModuleType, tmp_path: Path) -> None:
    photographs.COPIES = 1
    photographs.write_pictures(tmp_path)
    recipe = resolve_recipe(photographs.LIKE)
    images = read_labels(tmp_path / "photographs", tmp_path / "photographs.txt", recipe)
    assert {image.id: name_class(recipe, image.label) for image in images} == {
        "camera.png": "872 tripod",
        "chelsea.png": "281 tabby",
        "china.jpg": "698 palace",
        "coffee.png": "967 espresso",
        "rocket.jpg": "657 missile",
    }
    assert not set(photographs.LABELLED) & set(photographs.UNLABELLED)
    calibration = sorted((tmp_path / "calibration").iterdir())
    assert len(calibration) == len(photographs.UNLABELLED)
    before = [hash_file(path) for path in calibration]
    photographs.write_pictures(tmp_path)
    assert [hash_file(path) for path in calibration] == before


def test_the_users_files_are_as_short_as_is_said(photographs: ModuleType) -> None:
    assert len(photographs.NETS.replace("\n\n", "\n").splitlines()) == 3
    assert len(photographs.CARD.splitlines()) == 2
