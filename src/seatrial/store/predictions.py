"""Predictions: per image its label, if known, its five best classes and their scores, as Parquet sorted by id."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seatrial.errors import DataError, NotComparable, RefusedFile, UsageError
from seatrial.foreign.names import restore_name, store_name
from seatrial.metrics.calibration import SUM_TOLERANCE
from seatrial.store.files import hash_bytes, hash_value, replacing

COLUMNS = ("id", "classes", "scores")
"""Columns that every file of predictions has."""
LABEL = "label"
"""The column that a file of predictions without labels lacks."""
CONTENT = ("content", "content_prepared")
"""The column of `Predictions.contents`: of the image files, or of preprocessed images."""
DENOMINATOR, NAMES = "log_denominator", "names"
"""The column of `Predictions.log_denominators`; that of the names of `Predictions.classes`, for other readers."""

_FORM = "form"
"""Of the metadata of `CONTENT`: `Predictions.form`."""
_KIND, _PROBABILITIES = "kind", "probabilities"
"""Of the metadata of `scores`: `Predictions.of_probabilities`."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions for n images, in the order of their ids."""

    ids: tuple[str, ...]
    labels: NDArray[np.int32] | None
    """(n,); None where the images have none, so that nothing is right or wrong: see `known_labels`."""
    classes: NDArray[np.int32]
    """(n, k), best first."""
    scores: NDArray[np.float32]
    """(n, k), the logits of `classes`."""
    log_denominators: NDArray[np.float32] | None = None
    """(n,), the log of the softmax's denominator over all classes; None of an older file, or of probabilities."""
    of_probabilities: bool = False
    """The network ends in a softmax, so that its scores are probabilities already."""
    logits: NDArray[np.float32] | None = None
    """(n, classes) where they were kept."""
    contents: NDArray[np.uint64] | None = None
    """(n,), what identifies the bytes of each image file: `files.hash_content`; None of an older file."""
    of_prepared: bool = False
    """`contents` are of preprocessed images (bins) instead, as their image files are not recorded."""
    form: str = ""
    """Type, shape and preprocessing of these; empty where they are not recorded of all: then no others compare."""

    def save(self, path: Path) -> None:
        """Write as Parquet, whole or not at all; the same bytes for the same predictions."""
        write_parts(path, [self])

    def known_labels(self, name: str) -> NDArray[np.int32]:
        """The labels (n,) of the images, which whatever counts what is right needs.

        Args:
            name: what the predictions are called.

        Raises:
            DataError: they have none.
        """
        if self.labels is None:
            raise DataError(
                f"{name} has no labels, so which of its predictions are right is not known",
                "give --labels FILE, or evaluate again with labels",
            )
        return self.labels

    def take(self, rows: NDArray[np.integer]) -> "Predictions":
        """Some of the predictions, in the order of `rows`."""
        optional = {name: getattr(self, name) for name in ("labels", "log_denominators", "logits", "contents")}
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            classes=self.classes[rows],
            scores=self.scores[rows],
            **{name: values[rows] for name, values in optional.items() if values is not None},
        )

    def confidences(self) -> NDArray[np.float64] | None:
        """The confidence 0..1 of each of `classes`, (n, k); None where it is not stored."""
        scores = self.scores.astype(np.float64)
        if self.of_probabilities:
            return np.clip(scores, 0, 1)
        if self.log_denominators is None:
            return None
        # Rounded to float32 the denominator may lie a little below what it is.
        return np.minimum(1, np.exp(scores - self.log_denominators[:, None]))

    def hash_contents(self) -> str | None:
        """Hash of ids and image files; None where the files are not recorded."""
        if self.contents is None or self.of_prepared:
            return None
        return hash_value([list(self.ids), [f"{content:016x}" for content in self.contents.tolist()]])

    @classmethod
    def load(cls, path: Path, classes: int | None = None) -> "Predictions":
        """Read predictions, their logits left out, in the order of their ids; whoever wrote them, they are checked.

        Args:
            classes: of the network, where it is known; else as many as the stored logits have.

        Raises:
            UsageError: there is no such file.
            RefusedFile: it is no Parquet file, damaged, one of something else, or has values that no classifier gives.
        """
        if not path.is_file():
            raise UsageError(f"there is no file of predictions {path}", "`seatrial evaluate` writes one")
        try:
            # Not `read_table`, which loads pandas where it is installed.
            # No threads, not to buffer either: Arrow ends the whole process where the system starts none.
            with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
                schema = file.schema_arrow
                table = file.read(columns=_choose_columns(schema), use_threads=False)
            predictions = _from_table(table)
        except MemoryError:  # Arrow's is one of its other exceptions too.
            raise
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            reason = str(error).partition("\n")[0][:120]
            fix = "evaluate again" if path.suffix == ".parquet" else "give the .parquet file of `seatrial evaluate`"
            raise RefusedFile(f"{path} is no file of predictions ({reason})", fix) from None
        width = schema.field("logits").type.list_size if "logits" in schema.names else None
        _check_predictions(predictions, path, classes or width)
        return predictions


def write_parts(path: Path, parts: Iterable[Predictions], names: Sequence[str] = ()) -> None:
    """Write predictions that come in parts as one Parquet file, a row group each, whole or not at all.

    Args:
        names: of all classes, in their order; none where the card has none.
    """
    with replacing(path) as temporary:
        writer = None
        for part in parts:
            table = _to_table(part, names)
            writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd", write_page_checksum=True)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _to_table(part: Predictions, names: Sequence[str]) -> pa.Table:
    columns: dict[str, Any] = {"id": _from_texts(part.ids)}
    if part.labels is not None:
        columns[LABEL] = _from_array(part.labels, np.int32)
    metadata: dict[str, dict[bytes | str, bytes | str]] = (
        {"scores": {_KIND: _PROBABILITIES}} if part.of_probabilities else {}
    )
    for name, matrix in {"classes": part.classes, "scores": part.scores}.items():
        columns[name] = _to_lists(_from_array(matrix, matrix.dtype), matrix.shape[1])
    if part.log_denominators is not None:
        columns[DENOMINATOR] = _from_array(part.log_denominators, np.float32)
    if names:
        coded = pa.DictionaryArray.from_arrays(_from_array(part.classes, np.int32), _from_texts(names))
        columns[NAMES] = _to_lists(coded.cast(pa.string()), part.classes.shape[1])
    if part.logits is not None:
        columns["logits"] = _to_lists(_from_array(part.logits, np.float32), part.logits.shape[1])
    if part.contents is not None:
        columns[CONTENT[part.of_prepared]] = _from_array(part.contents, np.uint64)
        if part.form:
            metadata[CONTENT[part.of_prepared]] = {_FORM: part.form}
    table = pa.table(columns)
    schema = table.schema
    for name, words in metadata.items():
        place = schema.get_field_index(name)
        schema = schema.set(place, schema.field(place).with_metadata(words))
    return pa.Table.from_arrays(table.columns, schema=schema)


def _from_array(values: NDArray[Any], kind: Any) -> Any:
    """All numbers of an array in one column; pyarrow's own `array` loads pandas where it is installed."""
    flat = np.ascontiguousarray(values, dtype=kind).ravel()
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [None, pa.py_buffer(flat.data)])


def _from_texts(texts: Sequence[str]) -> Any:
    """Names as a column, for the same reason."""
    encoded = [store_name(text).encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(ends.data), pa.py_buffer(b"".join(encoded)))


def _to_lists(values: Any, width: int) -> Any:
    return pa.FixedSizeListArray.from_arrays(values, width)


def _choose_columns(schema: pa.Schema) -> list[str]:
    """The columns to read; ValueError where there are others than those that `save` writes, such as a misspelt one."""
    foreign = set(schema.names) - {*COLUMNS, LABEL, *CONTENT, DENOMINATOR, NAMES, "logits"}
    if foreign:
        raise ValueError(f"it has a column '{min(foreign)}', and predictions have id, label, classes, scores")
    return [*COLUMNS, *(name for name in (LABEL, DENOMINATOR, *CONTENT) if name in schema.names)]


def _from_table(table: pa.Table) -> Predictions:
    empty = [name for name in table.column_names if table[name].null_count]
    if empty:
        raise ValueError(f"column '{empty[0]}' has rows without a value")
    ids, classes, scores = (table[name] for name in COLUMNS)
    content = next((name for name in CONTENT if name in table.column_names), None)
    predictions = Predictions(
        tuple(restore_name(str(image)) for image in _cast(ids, pa.string()).to_pylist()),
        _read_column(table, LABEL, pa.int32()),
        _to_matrix(classes, pa.int32()),
        _to_matrix(scores, pa.float32()),
        _read_column(table, DENOMINATOR, pa.float32()),
        _read_metadata(table, "scores", _KIND) == _PROBABILITIES,
        contents=None if content is None else _read_column(table, content, pa.uint64()),
        of_prepared=content == CONTENT[True],
        form="" if content is None else _read_metadata(table, content, _FORM),
    )
    if predictions.classes.shape != predictions.scores.shape:
        raise ValueError(
            f"{predictions.classes.shape[1]} classes and {predictions.scores.shape[1]} scores for each image"
        )
    order = sorted(range(len(predictions.ids)), key=predictions.ids.__getitem__)
    return predictions if order == list(range(len(order))) else predictions.take(np.array(order, dtype=np.int64))


def _read_column(table: pa.Table, name: str, kind: Any) -> NDArray[Any] | None:
    return _to_array(table[name], kind) if name in table.column_names else None


def _to_array(values: Any, kind: Any) -> NDArray[Any]:
    """Numbers of a column, none of them null; pyarrow's own `to_numpy` loads pandas where it is installed."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.from_dlpack(_cast(whole, kind))


def _cast(values: Any, kind: Any) -> Any:
    """Values of a type; casting loads all of pyarrow's functions, and what we wrote has the type."""
    return values if values.type == kind else values.cast(kind)


def _read_metadata(table: pa.Table, column: str, key: str) -> str:
    return (table.field(column).metadata or {}).get(key.encode(), b"").decode()


def _to_matrix(column: Any, kind: Any) -> NDArray[Any]:
    """The lists of a column as rows; ValueError where they are no lists of one length, whatever wrote them."""
    fixed = pa.types.is_fixed_size_list(column.type)
    if not fixed and not pa.types.is_list(column.type):
        raise ValueError(f"{column.type} where lists of one length belong")
    lengths = [column.type.list_size] if fixed else _measure_lists(column)
    if len(lengths) != 1 or not lengths[0]:
        raise ValueError(f"lists of {len(lengths)} lengths where those of one belong")
    width, values = lengths[0], column.combine_chunks().flatten()
    if values.null_count:
        raise ValueError("a list lacks a value")
    return _to_array(values, kind).reshape(-1, width)


def _measure_lists(column: Any) -> list[Any]:
    import pyarrow.compute as pc  # Seldom needed: what we write has lists of one length by its type.

    lengths: list[Any] = pc.list_value_length(column).unique().to_pylist()
    return lengths


def _check_predictions(predictions: Predictions, path: Path, classes: int | None) -> None:
    """Refuse values that no classifier gives: a figure counted from them would mean nothing.

    Raises:
        RefusedFile: names the first image and what is wrong with it.
    """
    fix = "evaluate again, or mend what wrote it"
    if not predictions.ids:
        raise RefusedFile(f"{path} has predictions of no image", fix)
    ranked, limit = np.sort(predictions.classes, axis=1), np.iinfo(np.int32).max if classes is None else classes - 1
    before = np.array([False, *(a == b for a, b in itertools.pairwise(predictions.ids))])
    faults: dict[str, NDArray[np.bool_]] = {
        "is there twice": before,
        "has a score that is no finite number": ~np.all(np.isfinite(predictions.scores), axis=1),
        "has scores that are not sorted, the best first": np.any(np.diff(predictions.scores, axis=1) > 0, axis=1),
        **_find_confidence_faults(predictions),
        "names a class twice": np.any(np.diff(ranked, axis=1) == 0, axis=1),
        "names a class below 0": ranked[:, 0] < 0,
        f"names a class above {limit}, the last one": ranked[:, -1] > limit,
    }
    if predictions.labels is not None:
        faults["has a label below 0"] = predictions.labels < 0
        faults[f"has a label above {limit}, the last class"] = predictions.labels > limit
    if predictions.scores.shape[1] > 1 and bool((predictions.scores[:, 0] == predictions.scores[:, -1]).all()):
        raise RefusedFile(
            f"{path}: every image has one score for all its classes, so that none of them comes first", fix
        )
    for fault, rows in faults.items():
        if rows.any():
            first, count = predictions.ids[int(rows.argmax())], int(rows.sum())
            more = f" (and {count - 1} more)" if count > 1 else ""
            raise RefusedFile(f"{path}: image '{first}' {fault}{more}", fix)


def _find_confidence_faults(predictions: Predictions) -> dict[str, NDArray[np.bool_]]:
    best, denominators = predictions.scores[:, 0], predictions.log_denominators
    faults: dict[str, NDArray[np.bool_]] = {}
    if denominators is not None:
        # The denominator is a sum in which the best class has its share.
        sound = np.isfinite(denominators) & (denominators >= best - 1e-6 * np.abs(best))
        fault = f"has a {DENOMINATOR} that is no finite number of at least its best score"
        faults[fault] = np.logical_not(sound)
    if predictions.of_probabilities:
        outside = (predictions.scores < -SUM_TOLERANCE) | (predictions.scores > 1 + SUM_TOLERANCE)
        faults["has scores outside 0..1, which are no probabilities"] = np.any(outside, axis=1)
    return faults


def load_names(path: Path) -> dict[int, str]:
    """Names of classes as a file of predictions has them, of those that are among the best of some image."""
    if NAMES not in pq.read_schema(path).names:
        return {}
    table = pq.read_table(path, columns=["classes", NAMES], use_threads=False, pre_buffer=False)
    columns: list[Any] = [table[name].combine_chunks() for name in ("classes", NAMES)]
    classes, names = (column.flatten() for column in columns)
    known, first = np.unique(_to_array(classes, classes.type), return_index=True)
    return dict(zip(known.tolist(), map(restore_name, names.take(pa.array(first)).to_pylist()), strict=True))


def hash_labels(path: Path) -> str:
    """What identifies which images of a file have one label, however labels are numbered; empty without labels."""
    if LABEL not in pq.read_schema(path).names:
        return ""
    table = pq.read_table(path, columns=[LABEL], use_threads=False, pre_buffer=False)
    labels = _to_array(table[LABEL], pa.int32())
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return hash_bytes(first[place].astype("<i8").tobytes())


def restrict(reference: Predictions, ids: Sequence[str]) -> Predictions:
    """The reference's predictions for the images of `ids`, which are sorted, if it has all of them; else all it has."""
    if reference.ids == tuple(ids):
        return reference
    row_of = {image: row for row, image in enumerate(reference.ids)}
    if not row_of.keys() >= set(ids):
        return reference
    return reference.take(np.array([row_of[image] for image in ids], dtype=np.int64))


def check_same_images(a: Predictions, b: Predictions, names: tuple[str, str]) -> None:
    """Refuse to compare predictions of other images, or with other labels where both have some.

    Images are others where their ids or their files' bytes differ, as far as the latter are recorded.

    Raises:
        NotComparable: names how they differ.
    """
    if a.ids != b.ids:
        only_a, only_b = set(a.ids) - set(b.ids), set(b.ids) - set(a.ids)
        raise NotComparable(
            f"{names[0]} and {names[1]} were evaluated on different images ({len(only_a)} only in the first, "
            f"{len(only_b)} only in the second)",
            "evaluate both on the same set",
        )
    if a.labels is not None and b.labels is not None and not np.array_equal(a.labels, b.labels):
        raise NotComparable(
            f"{names[0]} and {names[1]} were evaluated with different labels", "evaluate both with the same labels"
        )
    refuse_replaced(find_replaced(a, b), len(a.ids), names)


def find_replaced(a: Predictions, b: Predictions) -> tuple[str, ...]:
    """Ids of images whose bytes differ between predictions of the same ids; none where they are not recorded of both.

    The bytes of preprocessed images of several forms differ even where their files are the same.
    """
    if a.contents is None or b.contents is None or a.of_prepared != b.of_prepared:
        return ()
    if a.of_prepared and (not a.form or a.form != b.form):
        return ()
    return tuple(a.ids[row] for row in np.flatnonzero(a.contents != b.contents))


def refuse_replaced(replaced: Sequence[str], count: int, names: tuple[str, str]) -> None:
    """Refuse to compare predictions where images have other bytes for the one than for the other.

    Args:
        replaced: their ids.
        count: of all images.

    Raises:
        NotComparable: there are some.
    """
    if replaced:
        raise NotComparable(
            f"the image behind {len(replaced)} of {count} ids is another one for {names[0]} than for {names[1]}, "
            f"first '{replaced[0]}'",
            "evaluate both on the same files",
        )
