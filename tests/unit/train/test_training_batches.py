from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import make_recipe
from seatrial.data.labels import LabelledImage
from seatrial.errors import DataError
from seatrial.train.batches import count_steps, iterate_epoch

RECIPE = make_recipe(train={"batch_size": 4, "min_scale": 0.5, "flip": True})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    """Eighteen noisy images; the label of each is its number, and so is its mean."""
    folder = tmp_path_factory.mktemp("train")
    rng = np.random.default_rng(1)
    made = []
    for number in range(18):
        path = folder / f"{number}.png"
        pixels = 10 * number + rng.integers(0, 10, (12, 18, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        made.append(LabelledImage(path.name, path, number))
    return made


def collect(
    images: list[LabelledImage], seed: int = 0, epoch: int = 0, workers: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    batches = list(iterate_epoch(images, RECIPE, seed, epoch, workers))
    assert {len(labels) for _, labels in batches} == {4}
    return np.concatenate([pixels for pixels, _ in batches]), np.concatenate([labels for _, labels in batches])


@pytest.mark.parametrize(("images", "batch_size", "steps"), [(18, 4, 4), (16, 4, 4), (3, 4, 1), (1257, 32, 39)])
def test_what_is_left_over_is_dropped(images: int, batch_size: int, steps: int) -> None:
    assert count_steps(images, batch_size) == steps


def test_every_image_comes_at_most_once_with_its_label(images: list[LabelledImage]) -> None:
    pixels, labels = collect(images)
    assert pixels.shape == (16, 4, 6, 3) and pixels.dtype == np.uint8 and labels.dtype == np.int64
    assert len(set(labels.tolist())) == 16
    np.testing.assert_array_equal(pixels.reshape(16, -1).mean(axis=1) // 10, labels)


def test_batches_are_the_same_whatever_the_workers(images: list[LabelledImage]) -> None:
    pixels, labels = collect(images, workers=1)
    for workers in (2, 5):
        again, labels_again = collect(images, workers=workers)
        np.testing.assert_array_equal(again, pixels)
        np.testing.assert_array_equal(labels_again, labels)


def test_seed_and_epoch_change_order_and_crops(images: list[LabelledImage]) -> None:
    _, labels = collect(images)
    for other in (collect(images, seed=1), collect(images, epoch=1)):
        assert (other[1] != labels).any()
    # The same image, in whatever place, is cropped anew.
    drawn = {}
    for epoch in range(2):
        pixels, found = collect(images, epoch=epoch)
        drawn[epoch] = {label: image for label, image in zip(found.tolist(), pixels, strict=True)}
    both = drawn[0].keys() & drawn[1].keys()
    assert sum(np.array_equal(drawn[0][label], drawn[1][label]) for label in both) <= len(both) // 4


def test_an_images_crop_does_not_depend_on_the_others(images: list[LabelledImage]) -> None:
    altered = [*images[:9], LabelledImage(images[9].id, images[10].path, 9), *images[10:]]
    pixels, labels = collect(images)
    others, labels_again = collect(altered)
    np.testing.assert_array_equal(labels, labels_again)
    same = [np.array_equal(a, b) for a, b in zip(pixels, others, strict=True)]
    assert same == [label != 9 for label in labels.tolist()]


def test_fewer_images_than_a_batch_make_one(images: list[LabelledImage]) -> None:
    batches = list(iterate_epoch(images[:3], RECIPE, 0, 0, 2))
    assert [sorted(labels.tolist()) for _, labels in batches] == [[0, 1, 2]]


def test_a_broken_image_is_named(images: list[LabelledImage], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    broken = [LabelledImage("broken.png", tmp_path / "broken.png", 0)] * 4
    with pytest.raises(DataError, match=r"broken\.png is no image \(the file is empty\)"):
        list(iterate_epoch([*images[:4], *broken], RECIPE, 0, 0, 2))
