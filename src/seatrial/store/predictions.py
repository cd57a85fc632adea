"""Predictions: per image its label, its five best classes and their scores, as Parquet sorted by id."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seatrial.errors import NotComparable, RefusedFile, UsageError
from seatrial.store.files import hash_value, replacing

CONTENT = ("content", "content_prepared")
"""The column of `Predictions.contents`: of the image files, or of preprocessed images."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Answers to n images, in the order of their ids."""

    ids: tuple[str, ...]
    labels: NDArray[np.int32]
    """(n,)"""
    classes: NDArray[np.int32]
    """(n, k), best first."""
    scores: NDArray[np.float32]
    """(n, k), the logits of `classes`."""
    logits: NDArray[np.float32] | None = None
    """(n, classes) where they were kept."""
    contents: NDArray[np.uint64] | None = None
    """(n,), what identifies the bytes of each image: `files.hash_content`; None of an older file."""
    of_prepared: bool = False
    """`contents` are of preprocessed images (bins), as nothing tells which files they were made of."""

    def save(self, path: Path) -> None:
        """Write as Parquet, whole or not at all; the same bytes for the same answers."""
        write_parts(path, [self])

    def take(self, rows: NDArray[np.integer]) -> "Predictions":
        """Some of the answers, in the order of `rows`."""
        ids = tuple(self.ids[row] for row in rows)
        logits = None if self.logits is None else self.logits[rows]
        contents = None if self.contents is None else self.contents[rows]
        return replace(
            self,
            ids=ids,
            labels=self.labels[rows],
            classes=self.classes[rows],
            scores=self.scores[rows],
            logits=logits,
            contents=contents,
        )

    def hash_contents(self) -> str | None:
        """What identifies ids and image files; None where the files are not known."""
        if self.contents is None or self.of_prepared:
            return None
        return hash_value([list(self.ids), [f"{content:016x}" for content in self.contents.tolist()]])

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read predictions, their logits left out.

        Raises:
            UsageError: there is no such file.
            RefusedFile: it is no Parquet file, a damaged one, or one of something else.
        """
        if not path.is_file():
            raise UsageError(f"there are no predictions {path}", "`seatrial evaluate` writes them")
        try:
            columns = ["id", "label", "classes", "scores"]
            content = next((name for name in CONTENT if name in pq.read_schema(path).names), None)
            wanted = columns if content is None else [*columns, content]
            table = pq.read_table(path, columns=wanted, page_checksum_verification=True)
            ids, labels, classes, scores = (table[name] for name in columns)
            return cls(
                tuple(map(str, ids.cast(pa.string()).to_pylist())),
                labels.cast(pa.int32()).to_numpy(),
                _to_matrix(classes, pa.int32()),
                _to_matrix(scores, pa.float32()),
                contents=None if content is None else table[content].cast(pa.uint64()).to_numpy(),
                of_prepared=content == CONTENT[True],
            )
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            reason = str(error).partition("\n")[0][:120]
            raise RefusedFile(f"{path} holds no predictions ({reason})", "evaluate again") from None


def write_parts(path: Path, parts: Iterable[Predictions]) -> None:
    """Write predictions that come in parts as one Parquet file, a row group each, whole or not at all."""
    with replacing(path) as temporary:
        writer = None
        for part in parts:
            table = _to_table(part)
            writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd", write_page_checksum=True)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _to_table(part: Predictions) -> pa.Table:
    columns: dict[str, Any] = {"id": pa.array(part.ids, pa.string()), "label": pa.array(part.labels, pa.int32())}
    matrices = {"classes": part.classes, "scores": part.scores}
    if part.logits is not None:
        matrices["logits"] = part.logits
    for name, matrix in matrices.items():
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    if part.contents is not None:
        columns[CONTENT[part.of_prepared]] = pa.array(part.contents, pa.uint64())
    return pa.table(columns)


def _to_matrix(column: Any, kind: Any) -> NDArray[Any]:
    """The lists of a column as rows; ValueError where it holds no lists of one length."""
    if not pa.types.is_fixed_size_list(column.type):
        raise ValueError(f"{column.type} where lists of one length belong")
    width = column.type.list_size
    return column.combine_chunks().flatten().cast(kind).to_numpy().reshape(-1, width)  # type: ignore[no-any-return]


def restrict(reference: Predictions, ids: Sequence[str]) -> Predictions:
    """The reference's answers to the images of `ids`, which are sorted, if it has all of them; else all of its own."""
    if reference.ids == tuple(ids):
        return reference
    row_of = {image: row for row, image in enumerate(reference.ids)}
    if not row_of.keys() >= set(ids):
        return reference
    return reference.take(np.array([row_of[image] for image in ids], dtype=np.int64))


def check_same_images(a: Predictions, b: Predictions, names: tuple[str, str]) -> None:
    """Refuse to hold predictions on other images, or with other labels, against each other.

    Raises:
        NotComparable: says how they differ.
    """
    if a.ids != b.ids:
        only_a, only_b = set(a.ids) - set(b.ids), set(b.ids) - set(a.ids)
        raise NotComparable(
            f"{names[0]} and {names[1]} were evaluated on other images ({len(only_a)} only in the first, "
            f"{len(only_b)} only in the second)",
            "evaluate both on the same set",
        )
    if not np.array_equal(a.labels, b.labels):
        raise NotComparable(f"{names[0]} and {names[1]} were evaluated with other labels")
