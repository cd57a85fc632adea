"""Image files to uint8 batches: decoded and cropped by a pool of threads, bounded, in order."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seatrial.data.fast_hash import hash_prepared
from seatrial.data.images import LabelledImage
from seatrial.data.loading.decode_pool import ReadImage
from seatrial.data.loading.prefetch import load_ahead
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.data.preprocessing.steps import check_range
from seatrial.store.files import hash_content


def load_batch(paths: Sequence[Path], pipeline: InputPipeline) -> NDArray[np.uint8]:
    """Some images at once, (n, *pipeline.shape).

    Raises:
        DataError: a file is no image; names it.
    """
    batch = np.empty((len(paths), *pipeline.shape), dtype=np.uint8)
    for row, path in zip(batch, paths, strict=True):
        row[:] = pipeline.load(path)
    return batch


def fill_row(row: NDArray[np.generic], image: LabelledImage, pipeline: InputPipeline) -> ReadImage:
    """Fill one image of a batch: as uint8 (*pipeline.shape), or as it was prepared; `row` is contiguous.

    Returns:
        What identifies its content: `store.files.hash_content` of the image file, `data.fast_hash.hash_prepared` of a
        prepared image whose file is not known; and what was noted of the file.

    Raises:
        DataError: it is no image, or not of the size that was said.
        RefusedFile: its bytes are not those that were stored.
    """
    if image.prepared is None:
        data = image.read()
        notes: list[str] = []
        row[:] = pipeline.decode(data, str(image), notes)
        return ReadImage(hash_content(data), next(iter(notes), None))
    image.read_into(row)
    if row.dtype == np.float32:
        check_range(row.astype(np.float32, copy=False), str(image), pipeline.recipe)
    return ReadImage(hash_prepared(row.data) if image.content is None else image.known_content)


def iterate_batches(
    paths: Sequence[Path], pipeline: InputPipeline, batch_size: int, decode_workers: int
) -> Iterator[NDArray[np.uint8]]:
    """Batches (n, *pipeline.shape) in the order of `paths`; only the last may be smaller.

    Decoding and resizing let go of the interpreter lock, so threads keep all cores busy. At most two batches per
    worker are in memory.

    Raises:
        DataError: a file is no image; names it.
    """
    chunks = [paths[i : i + batch_size] for i in range(0, len(paths), batch_size)]
    yield from load_ahead(chunks, lambda chunk: load_batch(chunk, pipeline), decode_workers, 2 * decode_workers)
