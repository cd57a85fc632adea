import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from seatrial.errors import DataError, ParityError
from seatrial.evaluation import score
from seatrial.evaluation.score import Score, read_prediction, score_folder, write_result
from seatrial.metrics.topk import TopK
from seatrial.progress import Update


def write_text_row(path: Path, row: NDArray[np.floating]) -> None:
    """As ais_bench writes it: six decimals, a blank after each number, a line's end."""
    path.with_suffix(".txt").write_text("".join(f"{value:f} " for value in row) + "\n")


def write_floats(path: Path, row: NDArray[np.floating]) -> None:
    path.with_suffix(".bin").write_bytes(row.astype("<f4").tobytes())


def write_npy(path: Path, row: NDArray[np.floating]) -> None:
    np.save(path.with_suffix(".npy"), row[None].astype(np.float16))


WRITERS = [write_text_row, write_floats, write_npy]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "predictions").mkdir()
    return tmp_path / "predictions"


def write_labels(folder: Path, labels: dict[str, int]) -> Path:
    path = folder.parent / "val_label.txt"
    path.write_text("".join(f"{name}.JPEG {label}\n" for name, label in labels.items()))
    return path


def rank_of(rank: int, label: int, classes: int = 8) -> NDArray[np.float64]:
    """Scores that put `label` at `rank` (0 is first), all of them exact in float16."""
    order = [c for c in range(classes) if c != label]
    order.insert(rank, label)
    row = np.empty(classes)
    row[order] = np.arange(classes, 0, -1) / 8
    return row


def fill(folder: Path, ranks: list[int], write: Callable[[Path, NDArray[np.floating]], None] = write_text_row) -> Path:
    """A prediction for each rank and the label file of them all."""
    labels = {f"val_{index:04d}": index % 8 for index in range(len(ranks))}
    for (name, label), rank in zip(labels.items(), ranks, strict=True):
        write(folder / f"{name}_0", rank_of(rank, label))
    return write_labels(folder, labels)


@pytest.mark.parametrize("write", WRITERS)
def test_hits_are_counted_up_to_the_fifth_class(
    folder: Path, write: Callable[[Path, NDArray[np.floating]], None]
) -> None:
    labels = fill(folder, [0, 0, 1, 4, 5, 2], write)
    assert score_folder(folder, labels) == Score(8, TopK((2, 3, 4, 4, 5), 6), 0, ())


def test_the_result_is_the_guides_to_the_byte(tmp_path: Path) -> None:
    write_result(Score(1000, TopK((38770, 43560, 45365, 46275, 46850), 50_000), 0, ()), tmp_path / "result.json")
    assert (tmp_path / "result.json").read_bytes() == (
        b'{"title": "Overall statistical evaluation", "value": [{"key": "Number of images", "value": "50000"}, '
        b'{"key": "Number of classes", "value": "1000"}, {"key": "Top1 accuracy", "value": "77.54%"}, '
        b'{"key": "Top2 accuracy", "value": "87.12%"}, {"key": "Top3 accuracy", "value": "90.73%"}, '
        b'{"key": "Top4 accuracy", "value": "92.55%"}, {"key": "Top5 accuracy", "value": "93.7%"}]}'
    )


@pytest.mark.parametrize(
    ("hits", "count", "printed"),
    # 2.675 % is a tie that numpy rounds up and Python, which sees 2.67499…, down.
    [(0, 3, "0.0%"), (3, 3, "100.0%"), (1, 3, "33.33%"), (2, 3, "66.67%"), (1, 2, "50.0%"), (107, 4000, "2.68%")],
)
def test_shares_are_rounded_as_numpy_rounds(tmp_path: Path, hits: int, count: int, printed: str) -> None:
    write_result(Score(2, TopK((hits, count), count), 0, ()), tmp_path / "result.json")
    assert f'"Top1 accuracy", "value": "{printed}"' in (tmp_path / "result.json").read_text()


def test_few_classes_have_few_ranks(folder: Path, tmp_path: Path) -> None:
    for index, row in enumerate(([1.0, 0.0, 0.5], [0.0, 1.0, 0.5])):
        write_text_row(folder / f"a{index}_0", np.array(row))
    write_result(score_folder(folder, write_labels(folder, {"a0": 0, "a1": 2})), tmp_path / "r.json")
    text = (tmp_path / "r.json").read_text()
    assert '{"key": "Top3 accuracy", "value": "100.0%"}]}' in text
    assert '"Top1 accuracy", "value": "50.0%"' in text


def test_names_of_both_tools_are_known(folder: Path) -> None:
    write_text_row(folder / "ILSVRC2012_val_00000001_0", rank_of(0, 3))
    write_text_row(folder / "ILSVRC2012_val_00000002_1", rank_of(1, 4))
    labels = write_labels(folder, {"ILSVRC2012_val_00000001": 3, "ILSVRC2012_val_00000002": 4})
    assert score_folder(folder, labels).counts == TopK((1, 2, 2, 2, 2), 2)


def test_of_equal_scores_the_lower_class_comes_first(folder: Path) -> None:
    write_text_row(folder / "a_0", np.array([0.0, 2.0, 2.0, 2.0]))
    write_text_row(folder / "b_0", np.array([2.0, 0.0, 0.0, 0.0]))
    assert score_folder(folder, write_labels(folder, {"a": 3, "b": 2})).counts == TopK((0, 0, 2, 2), 2)


def test_a_network_with_a_background_class_has_labels_one_higher(folder: Path) -> None:
    for name, label in (("a", 0), ("b", 999)):
        row = np.zeros(1001)
        row[label + 1] = 1
        write_floats(folder / f"{name}_0", row)
    found = score_folder(folder, write_labels(folder, {"a": 0, "b": 999}))
    assert (found.classes, found.counts.hits[0]) == (1001, 2)


def test_parts_are_counted_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = fill(folder, [0, 1, 0, 6, 0])
    whole = score_folder(folder, labels)
    monkeypatch.setattr(score, "CHUNK", 2)
    updates: list[Update] = []
    assert score_folder(folder, labels, progress=updates.append) == whole
    assert [update.done for update in updates] == [2, 4, 5]


def test_missing_predictions_are_an_error_that_counts_them(folder: Path) -> None:
    labels = fill(folder, [0, 0, 0, 1])
    (folder / "val_0001_0.txt").unlink()
    (folder / "val_0002_0.txt").unlink()
    with pytest.raises(DataError, match=r"2 of 4 labelled images have no prediction .* first val_0001"):
        score_folder(folder, labels)
    found = score_folder(folder, labels, allow_partial=True)
    assert (found.counts, found.missing) == (TopK((1, 2, 2, 2, 2), 2), 2)


def test_foreign_files_are_named_and_left_out(folder: Path) -> None:
    labels = fill(folder, [0, 1])
    for name in ("sumary.json", "readme.txt", "padding_infer_fake_file_0.txt", ".val_0001_0.txt", "val_0003_0.log"):
        (folder / name).write_text("{}")
    (folder / "deep_0.txt").mkdir()
    notes: list[str] = []
    found = score_folder(folder, labels, progress=lambda update: notes.append(update.note))
    assert found.counts.count == 2
    assert found.foreign == (
        ".val_0001_0.txt", "deep_0.txt", "padding_infer_fake_file_0.txt", "readme.txt", "sumary.json", "val_0003_0.log",
    )  # fmt: skip
    assert "6 files" in notes[0] and ".val_0001_0.txt" in notes[0]


def test_a_prediction_without_a_label_is_an_error(folder: Path) -> None:
    labels = fill(folder, [0, 1])
    write_text_row(folder / "other_0", rank_of(0, 0))
    with pytest.raises(DataError, match=r"1 predictions in .* have no label, first other_0\.txt"):
        score_folder(folder, labels, allow_partial=True)


def test_two_predictions_for_an_image_are_an_error(folder: Path) -> None:
    labels = fill(folder, [0, 1])
    write_text_row(folder / "val_0001_1", rank_of(0, 0))
    with pytest.raises(DataError, match=r"val_0001_0\.txt and val_0001_1\.txt .* both predictions for 'val_0001'"):
        score_folder(folder, labels)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e39"])
def test_what_is_no_number_never_counts(folder: Path, value: str) -> None:
    labels = fill(folder, [0, 1, 0])
    (folder / "val_0002_0.txt").write_text(f"5 0 0 0 0 0 0 {value} \n")
    with pytest.raises(ParityError, match=r"gives NaN or infinity, first for val_0002_0\.txt"):
        score_folder(folder, labels)


@pytest.mark.parametrize(("count", "refused"), [(9, False), (10, True)])
def test_the_same_prediction_to_many_images_is_an_error(folder: Path, count: int, refused: bool) -> None:
    labels = write_labels(folder, {f"a{index}": index % 2 for index in range(count)})
    for index in range(count):
        write_text_row(folder / f"a{index}_0", np.eye(8)[0])
    if not refused:
        assert score_folder(folder, labels).counts == TopK((5, 9, 9, 9, 9), 9)
        return
    with pytest.raises(ParityError, match=r"all 10 predictions in .* are the same"):
        score_folder(folder, labels)


def test_the_same_prediction_to_images_of_one_class_is_none(folder: Path) -> None:
    labels = write_labels(folder, {f"a{index}": 1 for index in range(12)})
    for index in range(12):
        write_text_row(folder / f"a{index}_0", rank_of(0, 1))
    assert score_folder(folder, labels).counts.hits[0] == 12


def test_predictions_of_unequal_length_are_an_error(folder: Path) -> None:
    labels = fill(folder, [0, 0])
    (folder / "val_0001_0.txt").write_text("1 2 3\n")
    with pytest.raises(DataError, match=r"val_0001_0\.txt has 3 numbers, val_0000_0\.txt has 8"):
        score_folder(folder, labels)


def npy_bytes(array: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a_0.txt", b"", "has 0 numbers"),
        ("a_0.txt", b"\n \n", "has 0 numbers"),
        ("a_0.txt", b"0.5\n", "has 1 numbers"),
        ("a_0.txt", b"0.5 0,7\n", "could not convert string to float: '0,7'"),
        ("a_0.txt", b"0.5 0.7\n0.1 0.2\n", "2 rows where one image has one"),
        ("a_0.txt", "0.5 ½\n".encode(), "codec can't decode"),
        ("a_0.bin", b"", "has 0 numbers"),
        ("a_0.bin", b"\0" * 4002, "not whole float32 numbers"),
        ("a_0.npy", b"", "is no prediction"),
        ("a_0.npy", npy_bytes(np.zeros((2, 5))), r"shape \(2, 5\) are not one row"),
        ("a_0.npy", npy_bytes(np.array(["a", "b"])), "are not one row"),
        ("a_0.npy", npy_bytes(np.zeros((1, 10)))[:-8], "is no prediction"),
    ],
)
def test_a_file_that_is_no_prediction_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name[:3]}.*{problem}"):
        read_prediction(tmp_path / name)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a_0.npy", np.array([{"a": 1}, 2], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        read_prediction(tmp_path / "a_0.npy")


def test_a_label_beyond_the_classes_is_an_error(folder: Path) -> None:
    write_text_row(folder / "a_0", rank_of(0, 0))
    with pytest.raises(DataError, match=r"class 8 .* classes 0\.\.7"):
        score_folder(folder, write_labels(folder, {"a": 8}))


def test_two_labels_for_a_name_are_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a.JPEG 0\na.png 1\n")
    with pytest.raises(DataError, match="two labels for 'a'"):
        score_folder(folder, tmp_path / "labels.txt")


def test_a_folder_without_predictions_is_an_error(folder: Path) -> None:
    labels = write_labels(folder, {"a": 0})
    with pytest.raises(DataError, match="has no predictions"):
        score_folder(folder, labels, allow_partial=True)
    with pytest.raises(DataError, match="there is no folder"):
        score_folder(folder / "none", labels)


def test_the_same_score_for_every_class_is_no_prediction(folder: Path) -> None:
    labels = write_labels(folder, {f"a{index}": index % 2 for index in range(9)})
    for index in range(9):
        write_text_row(folder / f"a{index}_0", np.zeros(8) if index == 4 else np.eye(8)[index % 2])
    with pytest.raises(ParityError, match=r"every class the same score, first for a4_0\.txt"):
        score_folder(folder, labels)
    # Of two classes, rounded scores tie now and then.
    for index in range(9):
        write_text_row(folder / f"a{index}_0", np.zeros(2) if index == 4 else np.eye(2)[index % 2])
    assert score_folder(folder, labels).counts == TopK((9, 9), 9)
