from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from full_disk import limited_files
from seatrial.errors import NotComparable, RefusedFile, StorageError, UsageError
from seatrial.store.predictions import Predictions, check_same_images


def draw_predictions(count: int = 40, k: int = 5, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    classes = (rng.integers(0, 1000, (count, 1)) + rng.permutation(1000)[:k]) % 1000
    return Predictions(
        ids=tuple(f"näh/{row:04d}.png" for row in range(count)),
        labels=rng.integers(0, 1000, count, dtype=np.int32),
        classes=classes.astype(np.int32),
        scores=-np.sort(-rng.standard_normal((count, k)).astype(np.float32), axis=1),
        contents=rng.integers(0, 2**64, count, dtype=np.uint64),
    )


def assert_equal(a: Predictions, b: Predictions) -> None:
    assert a.ids == b.ids
    for field in ("labels", "classes", "scores", "contents"):
        ours, theirs = getattr(a, field), getattr(b, field)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("count", "k"), [(40, 5), (1, 2), (0, 5)])
def test_predictions_come_back_as_they_were_saved(count: int, k: int, tmp_path: Path) -> None:
    saved = draw_predictions(count, k)
    saved.save(tmp_path / "torch.parquet")
    assert_equal(Predictions.load(tmp_path / "torch.parquet"), saved)


def test_predictions_of_an_older_version_have_no_contents(tmp_path: Path) -> None:
    saved = replace(draw_predictions(), contents=None)
    saved.save(tmp_path / "torch.parquet")
    assert pq.read_schema(tmp_path / "torch.parquet").names == ["id", "label", "classes", "scores"]
    assert Predictions.load(tmp_path / "torch.parquet").contents is None


def test_contents_of_files_and_of_preprocessed_images_are_told_apart(tmp_path: Path) -> None:
    for of_prepared, column in ((False, "content"), (True, "content_prepared")):
        replace(draw_predictions(), of_prepared=of_prepared).save(tmp_path / "torch.parquet")
        assert column in pq.read_schema(tmp_path / "torch.parquet").names
        assert Predictions.load(tmp_path / "torch.parquet").of_prepared is of_prepared


def test_the_same_answers_are_the_same_bytes(tmp_path: Path) -> None:
    draw_predictions(2000).save(tmp_path / "a.parquet")
    draw_predictions(2000).save(tmp_path / "b.parquet")
    draw_predictions(2000, seed=1).save(tmp_path / "c.parquet")
    a, b, c = ((tmp_path / f"{name}.parquet").read_bytes() for name in "abc")
    assert a == b != c


def test_a_flipped_bit_or_a_missing_end_never_passes(tmp_path: Path) -> None:
    saved = draw_predictions()
    path = tmp_path / "torch.parquet"
    saved.save(path)
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), 29):
        spoiled = bytearray(whole)
        spoiled[at] ^= 1 << at % 8
        path.write_bytes(spoiled)
        try:
            assert_equal(Predictions.load(path), saved)  # a bit that carries nothing
        except RefusedFile:
            refused += 1
    assert refused > len(whole) / 29 / 2
    for length in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(RefusedFile, match=r"torch\.parquet holds no predictions \(.+\)"):
            Predictions.load(path)


LISTS = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4], pa.int32()), 2)


@pytest.mark.parametrize(
    "table",
    [
        {"name": ["a", "b"], "top": [1, 2]},
        {"id": ["a", "b"], "label": ["cat", "dog"], "classes": LISTS, "scores": LISTS},
        {"id": ["a", "b"], "label": [1, 2], "classes": [1, 2], "scores": LISTS},
        {"id": ["a", "b"], "label": [1, 2], "classes": [[1, 2], [3]], "scores": LISTS},
    ],
)
def test_a_table_of_something_else_is_refused(table: dict[str, object], tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "other.parquet")
    with pytest.raises(RefusedFile, match=r"other\.parquet holds no predictions"):
        Predictions.load(tmp_path / "other.parquet")


def test_what_is_not_there_says_what_writes_it(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.parquet"):
        with pytest.raises(UsageError, match=rf"there are no predictions {path}; `seatrial evaluate` writes them"):
            Predictions.load(path)


def test_a_full_disk_leaves_the_old_predictions(tmp_path: Path) -> None:
    path = tmp_path / "torch.parquet"
    draw_predictions().save(path)
    before = path.read_bytes()
    with pytest.raises(StorageError, match="cannot be written"), limited_files(8192):
        draw_predictions(5000).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_predictions_on_the_same_images_compare() -> None:
    check_same_images(draw_predictions(), draw_predictions(), ("torch", "openvino"))


def test_other_images_or_labels_do_not_compare() -> None:
    saved = draw_predictions(4)
    fewer = saved.take(np.arange(1, 4))
    told = r"torch and openvino were evaluated on other images \(1 only in the first, 0 only in the second\)"
    with pytest.raises(NotComparable, match=told):
        check_same_images(saved, fewer, ("torch", "openvino"))
    relabelled = replace(saved, labels=saved.labels + 1)
    with pytest.raises(NotComparable, match="torch and openvino were evaluated with other labels"):
        check_same_images(saved, relabelled, ("torch", "openvino"))
