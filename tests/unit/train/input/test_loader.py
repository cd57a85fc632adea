import gc
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seatrial.data.images import LabelledImage
from seatrial.errors import DataError
from seatrial.recipes.training import Train
from seatrial.train.distributed.rank import RankInfo
from seatrial.train.input.augment import Augment
from seatrial.train.input.loader import SLOTS, Batch, Loader, SyntheticLoader

SIZE = (4, 6)
ALONE = RankInfo()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    """Eighteen noisy images; the label of each is its number, and so is a tenth of its mean."""
    folder = tmp_path_factory.mktemp("train")
    rng = np.random.default_rng(1)
    made = []
    for number in range(18):
        path = folder / f"{number}.png"
        pixels = 10 * number + rng.integers(0, 10, (12, 18, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        made.append(LabelledImage(path.name, path, number))
    return made


def make_loader(
    images: Sequence[LabelledImage], rank: RankInfo = ALONE, workers: int = 2, batch_size: int = 4, **settings: Any
) -> Loader:
    train = Train(batch_size=batch_size, min_scale=0.5, **settings)
    return Loader(images, Augment(train, SIZE, (0, 0, 0)), rank, workers)


def copy(batches: Iterator[Batch]) -> list[Batch]:
    return [Batch(batch.pixels.copy(), batch.labels, batch.images) for batch in batches]


def collect(loader: Loader, epoch: int = 0, first_step: int = 0) -> tuple[np.ndarray, np.ndarray]:
    with loader:
        batches = copy(loader.epoch(epoch, first_step))
    return np.stack([batch.pixels for batch in batches]), np.stack([batch.labels for batch in batches])


def test_every_image_comes_at_most_once_with_its_label(images: list[LabelledImage]) -> None:
    with make_loader(images) as loader:
        batches = copy(loader.epoch(0))
    assert len(batches) == loader.steps == 4 and loader.bad == {}
    labels = np.concatenate([batch.labels for batch in batches])
    assert labels.dtype == np.int64 and len(set(labels.tolist())) == 16
    assert [image.label for batch in batches for image in batch.images] == labels.tolist()
    for batch in batches:
        assert batch.pixels.shape == (4, *SIZE, 3) and batch.pixels.dtype == np.uint8
        np.testing.assert_array_equal(batch.pixels.reshape(4, -1).mean(axis=1) // 10, batch.labels)


@pytest.mark.parametrize(("repeats", "more"), [(1, (2, 4)), (3, (2, 5))])
def test_batches_are_the_same_whatever_the_workers(
    images: list[LabelledImage], repeats: int, more: tuple[int, ...]
) -> None:
    """Five workers are processes."""
    pixels, labels = collect(make_loader(images, workers=1, repeats=repeats))
    for workers in more:
        again, labels_again = collect(make_loader(images, workers=workers, repeats=repeats))
        np.testing.assert_array_equal(again, pixels)
        np.testing.assert_array_equal(labels_again, labels)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_what_processes_have_of_a_step_is_together_that_of_one(images: list[LabelledImage], size: int) -> None:
    pixels, labels = collect(make_loader(images, repeats=2), epoch=1)
    for rank in range(size):
        part, part_labels = collect(make_loader(images, RankInfo(rank, size), repeats=2), epoch=1)
        np.testing.assert_array_equal(part, pixels[:, rank::size])
        np.testing.assert_array_equal(part_labels, labels[:, rank::size])


@pytest.mark.parametrize("first", [1, 3, 4])
def test_an_epoch_goes_on_from_any_step(images: list[LabelledImage], first: int) -> None:
    pixels, labels = collect(make_loader(images))
    with make_loader(images) as loader:
        rest = copy(loader.epoch(0, first))
    assert len(rest) == 4 - first
    for batch, expected, expected_labels in zip(rest, pixels[first:], labels[first:], strict=True):
        np.testing.assert_array_equal(batch.pixels, expected)
        np.testing.assert_array_equal(batch.labels, expected_labels)


def test_seed_and_epoch_change_order_and_crops(images: list[LabelledImage]) -> None:
    drawn = []
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        pixels, labels = collect(make_loader(images, seed=seed), epoch)
        crops = dict(zip(labels.ravel().tolist(), (p.tobytes() for p in pixels.reshape(16, -1)), strict=True))
        drawn.append((labels.ravel().tolist(), crops))
    assert drawn[0][0] != drawn[1][0] != drawn[2][0] != drawn[0][0]
    # The same image, in whatever place, is cropped anew.
    for order, crops in drawn[1:]:
        both = set(order) & set(drawn[0][0])
        assert sum(crops[label] == drawn[0][1][label] for label in both) <= len(both) // 4


def test_an_image_repeated_is_cropped_anew_each_time(images: list[LabelledImage]) -> None:
    pixels, labels = collect(make_loader(images, repeats=4))
    for batch, found in zip(pixels, labels, strict=True):
        assert len(set(found.tolist())) == 1
        assert len({image.tobytes() for image in batch}) >= 3


def test_an_images_crop_does_not_depend_on_the_others(images: list[LabelledImage]) -> None:
    altered = [*images[:9], LabelledImage(images[9].id, images[10].path, 9), *images[10:]]
    pixels, labels = collect(make_loader(images))
    others, labels_again = collect(make_loader(altered))
    np.testing.assert_array_equal(labels, labels_again)
    same = [np.array_equal(a, b) for a, b in zip(pixels.reshape(16, -1), others.reshape(16, -1), strict=True)]
    assert same == [label != 9 for label in labels.ravel().tolist()]


def test_fewer_images_than_a_batch_make_one(images: list[LabelledImage]) -> None:
    with make_loader(images[:3]) as loader:
        assert [sorted(batch.labels.tolist()) for batch in loader.epoch(0)] == [[0, 1, 2]]


@pytest.mark.parametrize(("workers", "device"), [(2, "cuda"), (5, "cuda"), (2, "cpu")])
def test_a_batch_in_use_is_not_written_to(images: list[LabelledImage], workers: int, device: str) -> None:
    """Everything that may be filled meanwhile is, and the batch in hand stays as it was."""
    expected, _ = collect(make_loader(images, batch_size=2))
    with make_loader(images, workers=workers, batch_size=2, device=device) as loader:
        for epoch in range(2):
            found = []
            for batch in loader.epoch(0):
                for filling in list(loader._filling):
                    assert all(part.result().bad == {} for part in filling.parts)
                found.append(batch.pixels.copy())
            np.testing.assert_array_equal(np.stack(found), expected, err_msg=f"epoch {epoch}")


@pytest.mark.parametrize(("device", "slots"), [("cuda:1", SLOTS), ("npu", SLOTS), ("cpu", 1)])
def test_batches_are_filled_ahead_where_another_device_computes(
    images: list[LabelledImage], device: str, slots: int
) -> None:
    with make_loader(images, batch_size=1, device=device) as loader:
        for step, _ in enumerate(loader.epoch(0)):
            assert len(loader._filling) == min(slots, 18 - step)
            assert len({filling.slot for filling in loader._filling}) == len(loader._filling)


@pytest.mark.parametrize("workers", [2, 5])
def test_an_epoch_that_is_left_early_leaves_a_clean_loader(images: list[LabelledImage], workers: int) -> None:
    pixels, _ = collect(make_loader(images))
    loader = make_loader(images, workers=workers, device="cuda")
    epoch = loader.epoch(1)
    next(epoch)
    with pytest.raises(AssertionError, match="the epoch before was not closed"):
        next(loader.epoch(0))
    epoch.close()
    np.testing.assert_array_equal(np.stack([batch.pixels for batch in copy(loader.epoch(0))]), pixels)
    assert loader._pool is not None
    memory = loader._pool._memory
    loader.close()
    loader.close()
    assert not any(thread.name.startswith("decode") for thread in threading.enumerate())
    if workers == 5:
        assert memory is not None
        with pytest.raises(FileNotFoundError):
            SharedMemory(name=memory.name)


def test_a_loader_that_nobody_closes_ends_its_workers_all_the_same(images: list[LabelledImage]) -> None:
    loader = make_loader(images)
    next(loader.epoch(0))
    del loader
    gc.collect()
    assert not any(thread.name.startswith("decode") for thread in threading.enumerate())


def test_a_killed_worker_is_reported(images: list[LabelledImage]) -> None:
    with make_loader(images, workers=5, batch_size=2) as loader:
        epoch = loader.epoch(0)
        next(epoch)
        assert loader._pool is not None
        for process in list(loader._pool._pool._processes.values()):  # type: ignore[attr-defined]
            process.kill()
        with pytest.raises(DataError, match="a decode worker was killed; if memory ran out"):
            list(epoch)


def spoil(images: Sequence[LabelledImage], numbers: Sequence[int], folder: Path) -> list[LabelledImage]:
    """The same images, some of them empty files."""
    found = list(images)
    for number in numbers:
        path = folder / f"{number}.png"
        path.write_bytes(b"")
        found[number] = LabelledImage(path.name, path, number)
    return found


def test_a_broken_image_is_named(images: list[LabelledImage], tmp_path: Path) -> None:
    message = r"/7\.png is no image \(the file is empty\); mend or remove it, or give --on-bad-image skip$"
    with make_loader(spoil(images, [7], tmp_path), batch_size=18) as loader:
        with pytest.raises(DataError, match=message):
            list(loader.epoch(0))
        assert not loader._filling


def repeat(images: Sequence[LabelledImage], times: int) -> list[LabelledImage]:
    """Many images of few files."""
    return [LabelledImage(f"{time}-{image.id}", image.path, image.label) for time in range(times) for image in images]


@pytest.mark.parametrize(("workers", "size"), [(1, 1), (2, 1), (5, 1), (2, 2), (2, 3)])
def test_a_skipped_image_gives_its_place_to_the_next_whatever_the_workers(
    images: list[LabelledImage], workers: int, size: int, tmp_path: Path
) -> None:
    """300 images, three of them broken: 1 %, which may be."""
    many = repeat(images, 17)[:300]
    bad = spoil(many, [7, 80, 81], tmp_path)
    whole, _ = collect(make_loader(many, batch_size=60))
    found = np.zeros_like(whole)
    named: dict[str, str] = {}
    for rank in range(size):
        with make_loader(bad, RankInfo(rank, size), workers, 60, on_bad_image="skip") as loader:
            batches = copy(loader.epoch(0))
            named |= loader.bad
            for step, batch in enumerate(batches):
                found[step, rank::size] = batch.pixels
                assert batch.labels.tolist() == [image.label for image in batch.images]
                np.testing.assert_array_equal(batch.pixels.reshape(len(batch.labels), -1).mean(1) // 10, batch.labels)
    assert sorted(named) == ["7.png", "80.png", "81.png"]
    assert named["7.png"].endswith("7.png is no image (the file is empty)")
    changed = (found != whole).any(axis=(2, 3, 4))
    assert changed.sum() == 3
    collected, _ = collect(make_loader(bad, batch_size=60, on_bad_image="skip"))
    np.testing.assert_array_equal(found, collected)
    # Not a copy of its neighbour: cropped for its new place.
    for step, row in np.argwhere(changed):
        assert (found[step, row] != whole[step, (row + 1) % 60]).any()


def test_broken_neighbours_go_on_to_the_next_that_can_be_read(images: list[LabelledImage], tmp_path: Path) -> None:
    many = repeat(images, 17)[:300]
    with make_loader(many, batch_size=3) as loader:
        first = next(loader.epoch(0)).images
    at = [many.index(image) for image in first]
    for gone in ([0, 1], [2, 0]):
        bad = spoil(many, [at[row] for row in gone], tmp_path)
        with make_loader(bad, batch_size=3, on_bad_image="skip") as loader:
            batch = next(loader.epoch(0))
            (left,) = {0, 1, 2} - set(gone)
            assert [image.id for image in batch.images] == [first[left].id] * 3
            assert len({pixels.tobytes() for pixels in batch.pixels}) == 3
    none = make_loader(spoil(many, at, tmp_path), batch_size=3, on_bad_image="skip")
    with (
        none,
        pytest.raises(DataError, match="none of the 3 images of a step can be read; run `seatrial data check`"),
    ):
        next(none.epoch(0))


def test_too_many_broken_images_stop_the_training(images: list[LabelledImage], tmp_path: Path) -> None:
    message = (
        r"of 300 images, 4 cannot be read \('10.png', '2.png', '3.png', …\): at most 1% are skipped; run `seatrial"
    )
    bad = spoil(repeat(images, 17)[:300], [2, 3, 10, 90], tmp_path)
    with make_loader(bad, batch_size=100, on_bad_image="skip") as loader, pytest.raises(DataError, match=message):
        list(loader.epoch(0))


def test_of_few_images_one_may_be_broken(images: list[LabelledImage], tmp_path: Path) -> None:
    with make_loader(spoil(images, [5], tmp_path), batch_size=9, on_bad_image="skip") as loader:
        for epoch in range(2):
            assert len(list(loader.epoch(epoch))) == 2
        assert list(loader.bad) == ["5.png"]
    two = make_loader(spoil(images, [5, 6], tmp_path), batch_size=9, on_bad_image="skip")
    with two, pytest.raises(DataError, match=r"of 18 images, 2 cannot be read"):
        list(two.epoch(0))


def test_synthetic_batches_have_the_same_form_and_cost_nothing() -> None:
    settings = Train(batch_size=10, seed=3)
    loaders = [SyntheticLoader(95, 7, settings, (*SIZE, 3), RankInfo(rank, 3)) for rank in range(3)]
    batches = [list(loader.epoch(5, first_step=2)) for loader in loaders]
    assert [loader.steps for loader in loaders] == [9] * 3 and {len(found) for found in batches} == {7}
    assert [batch[0].pixels.shape for batch in batches] == [(4, *SIZE, 3), (3, *SIZE, 3), (3, *SIZE, 3)]
    for (first, *others), loader in zip(batches, loaders, strict=True):
        assert all(other is first for other in others) and loader.bad == {}
        assert first.pixels.dtype == np.uint8 and len(np.unique(first.pixels)) > 100
        assert first.labels.dtype == np.int64 and set(first.labels.tolist()) <= set(range(7))
        assert [image.label for image in first.images] == first.labels.tolist()
        loader.close()
    assert len({image.id for batch in batches for image in batch[0].images}) == 10
