"""Predictions: per image its label, its five best classes and their scores, as Parquet sorted by id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seatrial.errors import NotComparable, RefusedFile, UsageError
from seatrial.store.files import replacing


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

    def save(self, path: Path) -> None:
        """Write as Parquet, whole or not at all; the same bytes for the same answers."""
        k = self.classes.shape[1]
        table = pa.table(
            {
                "id": pa.array(self.ids, pa.string()),
                "label": pa.array(self.labels, pa.int32()),
                "classes": pa.FixedSizeListArray.from_arrays(pa.array(self.classes.ravel(), pa.int32()), k),
                "scores": pa.FixedSizeListArray.from_arrays(pa.array(self.scores.ravel(), pa.float32()), k),
            }
        )
        with replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read predictions.

        Raises:
            UsageError: there is no such file.
            RefusedFile: it is no Parquet file, a damaged one, or one of something else.
        """
        if not path.is_file():
            raise UsageError(f"there are no predictions {path}", "`seatrial evaluate` writes them")
        try:
            table = pq.read_table(path, page_checksum_verification=True)
            ids, labels, classes, scores = (table[name] for name in ("id", "label", "classes", "scores"))
            return cls(
                tuple(map(str, ids.cast(pa.string()).to_pylist())),
                labels.cast(pa.int32()).to_numpy(),
                _to_matrix(classes, pa.int32()),
                _to_matrix(scores, pa.float32()),
            )
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            reason = str(error).partition("\n")[0][:120]
            raise RefusedFile(f"{path} holds no predictions ({reason})", "evaluate again") from None


def _to_matrix(column: Any, kind: Any) -> NDArray[Any]:
    """The lists of a column as rows; ValueError where it holds no lists of one length."""
    if not pa.types.is_fixed_size_list(column.type):
        raise ValueError(f"{column.type} where lists of one length belong")
    width = column.type.list_size
    return column.combine_chunks().flatten().cast(kind).to_numpy().reshape(-1, width)  # type: ignore[no-any-return]


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
