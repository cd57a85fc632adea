"""What identifies the bytes of images, read again where a result that was made of them is found."""

import time
from collections.abc import Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from seatrial.data.fast_hash import hash_prepared
from seatrial.data.images import LabelledImage
from seatrial.data.loading.prefetch import load_ahead
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import hash_content

CHUNK = 64
"""Images that a thread reads at a time."""


def read_content(image: LabelledImage) -> int:
    """What `data.loading.batches.fill_row` says of an image, without decoding it.

    Raises:
        DataError: it cannot be read.
        RefusedFile: its bytes are not those that were stored.
    """
    # The index of a pack is proved by its hash, and the pixels are when they are used.
    if image.content is not None and image.prepared_hash is None:
        return image.known_content
    data = image.read()
    if image.content is not None:
        return image.known_content
    return hash_content(data) if image.prepared is None else hash_prepared(data)


def read_contents(
    images: Sequence[LabelledImage], threads: int, stage: str, progress: Progress = silent
) -> NDArray[np.uint64]:
    """What identifies each image's bytes, (n,), in `threads` threads; a file that is listed several times is read once.

    Args:
        stage: name of the stage in progress updates.

    Raises:
        DataError: one cannot be read.
        RefusedFile: the bytes of one are not those that were stored.
    """
    places: dict[tuple[object, object], LabelledImage] = {(image.path, image.span): image for image in images}
    unique = list(places.values())
    hashes: list[int] = []
    start = time.perf_counter()
    chunks = [unique[i : i + CHUNK] for i in range(0, len(unique), CHUNK)]
    with closing(load_ahead(chunks, lambda chunk: [read_content(image) for image in chunk], threads)) as loaded:
        for contents in loaded:
            hashes += contents
            rate = len(hashes) / (time.perf_counter() - start)
            progress(Update(stage, len(hashes), len(unique), "files hashed", {"files/s": f"{rate:.0f}"}))
    content_of = dict(zip(places, hashes, strict=True))
    return np.array([content_of[image.path, image.span] for image in images], dtype=np.uint64)
