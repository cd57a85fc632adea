import io
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from seatrial.data import demo
from seatrial.data.demo import DemoData, draw_digit, make_demo, split_stratified
from seatrial.data.labels import read_image_list, read_labels
from seatrial.errors import EngineError, UsageError
from seatrial.progress import Update
from seatrial.recipes import load_recipe

COUNT = 190


def load_some() -> tuple[np.ndarray, np.ndarray]:
    loaded = load_digits()
    return loaded.images[:COUNT], loaded.target[:COUNT]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    """The demo of the first digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_load_digits", load_some)
        return make_demo(tmp_path_factory.mktemp("demo") / "data")


def test_each_class_gives_its_share() -> None:
    labels = np.repeat([0, 1, 2], [10, 7, 4])
    rng = np.random.default_rng(0)
    marked = split_stratified(labels[rng.permutation(21)], 0.3, rng)
    assert marked.sum() == 6
    shuffled = rng.permutation(labels)
    marked = split_stratified(shuffled, 0.3, np.random.default_rng(1))
    assert [int(marked[shuffled == label].sum()) for label in range(3)] == [3, 2, 1]
    np.testing.assert_array_equal(marked, split_stratified(shuffled, 0.3, np.random.default_rng(1)))
    assert (marked != split_stratified(shuffled, 0.3, np.random.default_rng(2))).any()


def test_the_whole_demo_holds_three_tenths_out() -> None:
    marked = split_stratified(load_digits().target, demo.HELD_OUT, np.random.default_rng(demo.SEED))
    assert (len(marked), int(marked.sum())) == (1797, 539)


def test_a_digit_is_the_same_bytes_for_a_seed() -> None:
    digit = load_digits().images[0]
    first, again, other = (draw_digit(digit, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again != other


def test_digits_differ_in_size_aspect_and_colour() -> None:
    digit = np.full((8, 8), 16.0)
    digit[:, :4] = 0
    sizes, aspects = set(), []
    for seed in range(60):
        image = Image.open(io.BytesIO(draw_digit(digit, np.random.default_rng(seed))))
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert 80 <= image.width <= 150 and 80 <= image.height <= 150
        sizes.add(image.size)
        aspects.append(image.width / image.height)
        pixels = np.asarray(image).astype(np.float64)
        paper, ink = pixels[:, : image.width // 4].mean((0, 1)), pixels[:, -image.width // 4 :].mean((0, 1))
        assert np.linalg.norm(paper - ink) > 110
    assert 0.84 <= min(aspects) < 0.95 and 1.08 < max(aspects) <= 1.19
    assert len(sizes) > 50


def test_both_layouts_are_read_back(made: DemoData) -> None:
    recipe = load_recipe(str(made.card))
    assert (recipe.network.classes, recipe.input_size) == (10, (64, 64))
    val = read_labels(made.val, made.labels, 10)
    train = read_labels(made.train, None, 10)
    assert len(val) + len(train) == COUNT
    targets = load_digits().target
    for image in (*val, *train):
        assert image.label == targets[int(image.path.stem.removeprefix("digit_"))]
    assert not {image.path.name for image in val} & {image.path.name for image in train}


def test_calibration_images_are_training_images(made: DemoData) -> None:
    listed = read_image_list(made.calibration)
    assert len(set(listed)) == 128 == demo.CALIBRATION
    assert {path.parent.parent for path in listed} == {made.train}


def test_a_finished_demo_is_found_again(made: DemoData) -> None:
    told: list[Update] = []
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
    assert make_demo(made.folder, told.append).folder == made.folder
    assert [update.note for update in told] == [f"already made: {made.folder}"]
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before


def test_an_altered_demo_is_made_again(made: DemoData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_load_digits", load_some)
    altered = DemoData(shutil.copytree(made.folder, tmp_path / "demo"))
    victim = next(altered.val.iterdir())
    victim.write_bytes(victim.read_bytes()[:-1])
    (altered.val / "stray.JPEG").write_bytes(b"")
    assert make_demo(altered.folder).folder == altered.folder
    names = {path.relative_to(made.folder) for path in made.folder.rglob("*")}
    assert {path.relative_to(altered.folder) for path in altered.folder.rglob("*")} == names
    for name in names:
        assert (made.folder / name).is_dir() or (made.folder / name).read_bytes() == (
            altered.folder / name
        ).read_bytes()


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("ten years")
    for folder in (tmp_path, tmp_path / "thesis"):
        with pytest.raises(UsageError, match="holds other files; choose a new folder"):
            make_demo(folder)
    assert (tmp_path / "thesis").read_text() == "ten years"


def test_the_library_of_digits_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(EngineError, match=r"scikit-learn, .*, is not installed; pip install 'seatrial\[demo\]'"):
        make_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
