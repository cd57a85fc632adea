import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax

from full_disk import limited_files
from seatrial.errors import NotComparable, RefusedFile, StorageError, UsageError
from seatrial.metrics.calibration import log_sum_exp
from seatrial.metrics.topk import rank_top
from seatrial.store.predictions import Predictions, check_same_images, load_names, write_parts


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


@pytest.mark.parametrize(("count", "k"), [(40, 5), (1, 2), (3, 1)])
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
    for of_prepared, column, form in (
        (False, "content", ""),
        (True, "content_prepared", ""),
        (True, "content_prepared", "uint8 32×32×3 a1b2"),
    ):
        replace(draw_predictions(), of_prepared=of_prepared, form=form).save(tmp_path / "torch.parquet")
        assert column in pq.read_schema(tmp_path / "torch.parquet").names
        assert Predictions.load(tmp_path / "torch.parquet").of_prepared is of_prepared
        assert Predictions.load(tmp_path / "torch.parquet").form == form


def test_confidences_are_the_softmax_of_all_scores(tmp_path: Path) -> None:
    logits = np.random.default_rng(1).normal(0, 3, (40, 100)).astype(np.float32)
    classes, scores = rank_top(logits)
    denominators = log_sum_exp(logits).astype(np.float32)
    saved = replace(draw_predictions(), classes=classes, scores=scores, log_denominators=denominators)
    saved.save(tmp_path / "torch.parquet")
    loaded = Predictions.load(tmp_path / "torch.parquet")
    assert loaded.log_denominators is not None and loaded.log_denominators.dtype == np.float32
    np.testing.assert_array_equal(loaded.log_denominators, denominators)
    expected = np.take_along_axis(softmax(logits.astype(np.float64), axis=1), classes.astype(np.int64), axis=1)
    found = loaded.take(np.array([3, 1])).confidences()
    assert found is not None and found.shape == (2, 5)
    np.testing.assert_allclose(found, expected[[3, 1]], rtol=1e-5)


def test_confidences_of_probabilities_are_these_and_of_an_older_version_not_stored(tmp_path: Path) -> None:
    shares = np.tile(np.array([0.5, 0.25, 0.125, 0.0, 0.0], np.float32), (40, 1))
    for form in ("", "uint8 32×32×3 a1b2"):
        replace(draw_predictions(), scores=shares, of_probabilities=True, form=form).save(tmp_path / "a.parquet")
        loaded = Predictions.load(tmp_path / "a.parquet")
        assert loaded.of_probabilities and loaded.form == form and loaded.log_denominators is None
        np.testing.assert_array_equal(loaded.confidences(), shares)
    draw_predictions().save(tmp_path / "b.parquet")
    assert Predictions.load(tmp_path / "b.parquet").confidences() is None


def test_names_of_the_best_classes_are_for_other_readers(tmp_path: Path) -> None:
    saved, plain = draw_predictions(), tmp_path / "plain.parquet"
    names = [f"猫 {number}, 'a\n\x1b[31m'" for number in range(1000)]
    for path in (tmp_path / "a.parquet", tmp_path / "b.parquet"):
        write_parts(path, [saved.take(np.arange(30)), saved.take(np.arange(30, 40))], names)
    saved.save(plain)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert_equal(Predictions.load(tmp_path / "a.parquet"), saved)
    assert "names" not in pq.read_schema(plain).names
    expected = [[names[place] for place in row] for row in saved.classes.tolist()]
    assert pq.read_table(tmp_path / "a.parquet")["names"].to_pylist() == expected
    # Each name is stored once in a part, however many images have it.
    column = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(4)
    assert column.path_in_schema == "names.list.element" and "RLE_DICTIONARY" in column.encodings


def test_names_are_found_of_the_classes_that_are_among_the_best(tmp_path: Path) -> None:
    saved = draw_predictions(3, 2)
    write_parts(tmp_path / "a.parquet", [saved], [f"name {number}" for number in range(1000)])
    found = load_names(tmp_path / "a.parquet")
    assert found == {place: f"name {place}" for place in sorted(set(saved.classes.ravel().tolist()))}
    saved.save(tmp_path / "b.parquet")
    assert load_names(tmp_path / "b.parquet") == {}


def test_the_same_predictions_are_the_same_bytes(tmp_path: Path) -> None:
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
        with pytest.raises(RefusedFile, match=r"torch\.parquet is no file of predictions \(.+\)"):
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
    with pytest.raises(RefusedFile, match=r"other\.parquet is no file of predictions .*; evaluate again"):
        Predictions.load(tmp_path / "other.parquet")


def test_a_record_in_the_place_of_predictions_is_answered_with_the_file_to_give(tmp_path: Path) -> None:
    (tmp_path / "torch.json").write_text("{}")
    with pytest.raises(RefusedFile, match=r"torch\.json is no file of predictions .*; give the \.parquet file of"):
        Predictions.load(tmp_path / "torch.json")


def spoil(**changes: object) -> dict[str, pa.Array]:
    """Columns of three images of which 'b' is wrong in one thing."""
    columns = {
        "id": ["a", "b", "c"],
        "label": [0, 1, 2],
        "classes": [[0, 1], [1, 2], [2, 0]],
        "scores": [[2.0, 1.0], [3.0, 3.0], [1.0, -1.0]],
        **changes,
    }
    kinds = {"id": pa.string(), "label": pa.int32(), "content": pa.uint64()}
    kinds |= {
        # Before 25.0 pyarrow writes no lists of a fixed size of which one is missing.
        "classes": pa.list_(pa.int32(), *([] if None in columns["classes"] else [2])),
        "scores": pa.list_(pa.float32(), 2),
        "logits": pa.list_(pa.float32(), 3),
    }
    return {name: pa.array(values, kinds.get(name)) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scores": [[2, 1], [float("nan"), 1], [1, 0]]}, "image 'b' has a score that is no finite number; evaluate"),
        ({"scores": [[2, 1], [float("inf"), 1], [1, 0]]}, "image 'b' has a score that is no finite number; evaluate"),
        (
            {"scores": [[2, 1], [1, 2], [0, 1]]},
            r"image 'b' has scores that are not sorted, the best first \(and 1 more\)",
        ),
        ({"classes": [[0, 1], [1, 1], [2, 0]]}, "image 'b' names a class twice"),
        ({"classes": [[0, 1], [1, -1], [2, 0]]}, "image 'b' names a class below 0"),
        ({"id": ["a", "b", "b"]}, "image 'b' is there twice"),
        ({"label": [0, -1, 2]}, "image 'b' has a label below 0"),
        ({"label": [0, None, 2]}, "is no file of predictions .column 'label' has rows without a value"),
        ({"classes": [[0, 1], None, [2, 0]]}, "made.parquet is no file of predictions"),
        ({"scores": [[2, 1], [3, None], [1, 0]]}, "a list lacks a value"),
        ({"id": [], "label": [], "classes": [], "scores": []}, "has predictions of no image"),
        (
            {"logits": [[2, 1, 0], [0, 3, 3], [1, 0, 2]], "classes": [[0, 1], [1, 3], [2, 0]]},
            "'b' names a class above 2",
        ),
        ({"logits": [[2, 1, 0], [0, 3, 3], [1, 0, 2]], "label": [0, 3, 2]}, "'b' has a label above 2, the last class"),
        (
            {"log_denominator": [3.0, float("nan"), 2.0]},
            "image 'b' has a log_denominator that is no finite number of at least its best score",
        ),
        ({"log_denominator": [3.0, 2.9, 2.0]}, "image 'b' has a log_denominator that is no finite number"),
        ({"log_denominator": [3.0, float("inf"), 2.0]}, "image 'b' has a log_denominator that is no finite number"),
        ({"log_denominator": [3.0, None, 2.0]}, "column 'log_denominator' has rows without a value"),
        ({"weight": [1, 2, 3]}, "it has a column 'weight', and predictions have id, label, classes, scores"),
    ],
)
def test_what_no_classifier_gives_is_refused(change: dict[str, object], told: str, tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    pq.write_table(pa.table(spoil()), path)
    assert Predictions.load(path, 3).ids == ("a", "b", "c")
    pq.write_table(pa.table(spoil(**change)), path)
    with pytest.raises(RefusedFile, match=told):
        Predictions.load(path)


def test_as_many_classes_as_scores_and_no_more_than_the_network_has(tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    pq.write_table(pa.table(spoil()), path)
    with pytest.raises(RefusedFile, match=r"image 'b' names a class above 1, the last one \(and 1 more\)"):
        Predictions.load(path, 2)
    wide = {**spoil(), "classes": pa.array([[0, 1, 2]] * 3, pa.list_(pa.int32(), 3))}
    pq.write_table(pa.table(wide), path)
    with pytest.raises(RefusedFile, match="3 classes and 2 scores for each image"):
        Predictions.load(path)


def test_predictions_are_in_the_order_of_their_ids_whoever_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    pq.write_table(pa.table({name: column[::-1] for name, column in spoil(content=[7, 8, 9]).items()}), path)
    found = Predictions.load(path)
    assert (found.ids, found.labels.tolist()) == (("a", "b", "c"), [0, 1, 2])
    assert found.classes.tolist() == [[0, 1], [1, 2], [2, 0]] and found.contents is not None
    assert found.contents.tolist() == [7, 8, 9]


def test_what_is_not_there_says_what_writes_it(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.parquet"):
        with pytest.raises(
            UsageError, match=rf"there is no file of predictions {path}; `seatrial evaluate` writes one"
        ):
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
    told = r"torch and openvino were evaluated on different images \(1 only in the first, 0 only in the second\)"
    with pytest.raises(NotComparable, match=told):
        check_same_images(saved, fewer, ("torch", "openvino"))
    relabelled = replace(saved, labels=saved.labels + 1)
    with pytest.raises(NotComparable, match="torch and openvino were evaluated with different labels"):
        check_same_images(saved, relabelled, ("torch", "openvino"))


def test_other_files_under_the_same_ids_do_not_compare() -> None:
    saved = draw_predictions(4)
    assert saved.contents is not None
    others = replace(saved, contents=saved.contents ^ np.array([0, 1, 0, 1], np.uint64))
    told = (
        r"the image behind 2 of 4 ids is another one for torch than for openvino, first 'näh/0001\.png'; evaluate both"
    )
    with pytest.raises(NotComparable, match=told):
        check_same_images(saved, others, ("torch", "openvino"))
    # Of an older version nothing is known, and bins differ from the files that they were made of.
    check_same_images(saved, replace(others, contents=None), ("torch", "openvino"))
    check_same_images(saved, replace(others, of_prepared=True), ("torch", "openvino"))
    # Floats and pixels of the same files have other bytes.
    pixels, floats = (replace(saved, of_prepared=True, form=form) for form in ("uint8 32×32×3 a", "float32 3×32×32 b"))
    check_same_images(pixels, replace(floats, contents=others.contents), ("torch", "openvino"))
    unknown = replace(saved, of_prepared=True)
    check_same_images(unknown, replace(unknown, contents=others.contents), ("torch", "openvino"))
    with pytest.raises(NotComparable, match=told):
        check_same_images(pixels, replace(pixels, contents=others.contents), ("torch", "openvino"))


def test_one_score_for_every_class_of_every_image_is_no_prediction(tmp_path: Path) -> None:
    saved = draw_predictions()
    replace(saved, scores=np.zeros_like(saved.scores)).save(tmp_path / "zero.parquet")
    with pytest.raises(RefusedFile, match="one score for all its classes"):
        Predictions.load(tmp_path / "zero.parquet")
    tied = saved.scores.copy()
    tied[0] = 1.0
    replace(saved, scores=tied).save(tmp_path / "tied.parquet")
    assert len(Predictions.load(tmp_path / "tied.parquet").ids) == 40, "one tie is rounding"


def test_lists_of_one_length_do_whatever_arrow_calls_them(tmp_path: Path) -> None:
    saved = draw_predictions()
    saved.save(tmp_path / "fixed.parquet")
    table = pq.read_table(tmp_path / "fixed.parquet")
    for name in ("classes", "scores"):
        lists = pa.array(table[name].to_pylist())
        table = table.set_column(table.column_names.index(name), name, lists)
    pq.write_table(table, tmp_path / "lists.parquet")
    assert_equal(Predictions.load(tmp_path / "lists.parquet"), saved)


def test_ids_and_names_that_are_no_utf_8_come_back(tmp_path: Path) -> None:
    ids, names = ("kaf\udce9/a\udcff.jpg", "b\uefff.jpg"), ("\udce9", "b", "c")
    given = Predictions(ids, None, *rank_top(np.float32([[3, 2, 1], [1, 3, 2]]), 2))
    write_parts(tmp_path / "p.parquet", [given], names)
    assert set(Predictions.load(tmp_path / "p.parquet").ids) == set(ids)
    assert load_names(tmp_path / "p.parquet") == dict(enumerate(names))


def test_neither_writing_nor_reading_loads_pandas(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    draw_predictions().save(tmp_path / "before.parquet")
    again = (
        "import sys; from pathlib import Path; from seatrial.store.predictions import Predictions; "
        "read = Predictions.load(Path(sys.argv[1])); read.save(Path(sys.argv[2])); print('pandas' in sys.modules)"
    )
    paths = [str(tmp_path / name) for name in ("before.parquet", "after.parquet")]
    done = subprocess.run([sys.executable, "-c", again, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
    assert Path(paths[0]).read_bytes() == Path(paths[1]).read_bytes()


def test_memory_that_runs_out_while_reading_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_predictions().save(tmp_path / "a.parquet")

    def read(*_: object, **__: object) -> None:
        raise pa.lib.ArrowMemoryError("malloc of size 3136 failed")

    monkeypatch.setattr(pq.ParquetFile, "read", read)
    with pytest.raises(MemoryError):
        Predictions.load(tmp_path / "a.parquet")
