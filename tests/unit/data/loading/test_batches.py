import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import make_recipe
from seatrial.data.loading import batches
from seatrial.data.loading.batches import iterate_batches, load_batch
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.errors import DataError


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Thirteen images, the n-th all of value n."""
    folder = tmp_path_factory.mktemp("flat")
    made = [folder / f"{value}.png" for value in range(13)]
    for value, path in enumerate(made):
        Image.new("RGB", (6, 4), (value,) * 3).save(path)
    return made


@pytest.mark.parametrize(("size", "workers"), [(1, 1), (4, 1), (4, 3), (13, 2), (50, 2)])
def test_batches_come_in_order_and_only_the_last_is_smaller(size: int, workers: int, paths: list[Path]) -> None:
    found = list(iterate_batches(paths, make_pipeline(make_recipe()), size, workers))
    assert [len(batch) for batch in found] == [min(size, 13 - start) for start in range(0, 13, size)]
    together = np.concatenate(found)
    assert together.shape == (13, 4, 6, 3) and together.dtype == np.uint8
    np.testing.assert_array_equal(together[:, 0, 0, 0], np.arange(13))
    np.testing.assert_array_equal(together, load_batch(paths, make_pipeline(make_recipe())))


def test_no_images_have_no_batches() -> None:
    assert list(iterate_batches([], make_pipeline(make_recipe()), 4, 2)) == []


def test_an_image_is_cropped_to_the_networks_input(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(make_pipeline(make_recipe()).load(tmp_path / "a.png"), pixels[2:6, 2:8])


def test_a_broken_image_is_named_after_the_batches_before_it(paths: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"GIF89a")
    threads = threading.active_count()
    stream = iterate_batches([*paths[:6], broken, *paths[6:]], make_pipeline(make_recipe()), 3, 2)
    assert [len(next(stream)), len(next(stream))] == [3, 3]
    with pytest.raises(DataError, match=r"broken\.png is "):
        next(stream)
    assert threading.active_count() == threads


def count_started(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    started = 0
    lock = threading.Lock()
    load = batches.load_batch

    def counted(*arguments: object) -> np.ndarray:
        nonlocal started
        with lock:
            started += 1
        return load(*arguments)

    monkeypatch.setattr(batches, "load_batch", counted)
    return lambda: started


def test_few_batches_are_prepared_ahead(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    started = count_started(monkeypatch)
    workers = 2
    for taken, _ in enumerate(iterate_batches(paths * 10, make_pipeline(make_recipe()), 1, workers), start=1):
        assert started() <= taken + 2 * workers
    assert started() == 130


def test_a_reader_that_stops_leaves_no_threads(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    started = count_started(monkeypatch)
    threads = threading.active_count()
    stream = iterate_batches(paths * 10, make_pipeline(make_recipe()), 1, 2)
    next(stream)
    assert threading.active_count() > threads
    stream.close()
    assert threading.active_count() == threads
    assert started() <= 5
