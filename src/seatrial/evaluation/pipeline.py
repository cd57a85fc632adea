"""A labelled set answered once per image, through crashes: what is answered is kept in a ledger as it comes."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from seatrial.data.batches import fill_row
from seatrial.data.decode_pool import fill_rows
from seatrial.data.feed import Feed
from seatrial.data.labels import LabelledImage
from seatrial.engines.base import Session, run_padded
from seatrial.errors import ParityError
from seatrial.evaluation.ledger import Ledger, Tally
from seatrial.evaluation.parity import find_alike
from seatrial.evaluation.stream import Answers, row_form
from seatrial.progress import Progress, Update
from seatrial.store.predictions import Predictions

CHUNK = 512
"""Images that are run again at most after a crash."""
FLUSH_S = 1.0
"""What is answered is kept on disk at least so often."""
PART = 8192
"""Images in a row group of the predictions."""

AnswerSource = Callable[[NDArray[np.int64]], Iterator[Answers]]
"""Answers the images of some indices, in any order."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where progress is told, and the time from which it counts."""

    progress: Progress
    now: Callable[[], float] = time.perf_counter


def answer_all(ledger: Ledger, todo: NDArray[np.int64], answer: AnswerSource, total: int, clock: Clock) -> None:
    """Have the images of `todo` answered, and keep the answers in the ledger, also when this is interrupted.

    Args:
        total: images of the whole evaluation, for the progress.

    Raises:
        ParityError: an answer is not a number, or gives every class the same score.
        StorageError: the disk is full or may not be written.
    """
    begun = flushed = clock.now()
    already = done = int(ledger.tally.done.sum())
    pending: list[Answers] = []
    held = 0
    try:
        for batch in answer(todo):
            pending.append(batch)
            held += len(batch.indices) + len(batch.bad or {})
            now = clock.now()
            # Half a chunk here, so that with what is still on its way it is not more than one.
            if held >= CHUNK // 2 or now - flushed >= FLUSH_S:
                kept, pending, done, held = pending, [], done + held, 0
                ledger.add(kept, now - flushed)
                flushed = now
            rate = (done + held - already) / max(1e-9, now - begun)
            clock.progress(Update("evaluate", done + held, total, "images", {"images/s": f"{rate:.0f}"}))
    finally:
        if pending:
            ledger.add(pending, clock.now() - flushed)


def check_variety(tally: Tally, images: Sequence[LabelledImage], feed: Feed) -> None:
    """Refuse an engine that gives the same logits to images that differ.

    Raises:
        ParityError: names the first such image and the one whose answer it got.
    """
    answered = np.flatnonzero(tally.answered)
    pairs = find_alike(tally.digests[answered])
    shape, dtype = row_form(images, feed)
    rows = np.empty((2, *shape), dtype)
    for pair in pairs:
        first, later = (images[int(answered[i])] for i in pair)
        fill_rows(rows, (first, later), partial(fill_row, feed=feed))
        if (rows[0] != rows[1]).any():
            alike = len(answered) - len(np.unique(tally.digests[answered]))
            raise ParityError(
                f"the engine gives different images the same answer: {later.id} gets the logits of {first.id} "
                f"({alike} of {len(answered)} images repeat those of another)"
            )


def is_batch_invariant(session: Session, images: Sequence[LabelledImage], feed: Feed, batch_size: int) -> bool:
    """Whether the first images get the same logits, to the bit, in another place of a batch and alone."""
    size = min(session.input.shape[0] or batch_size, len(images))
    shape, dtype = row_form(images, feed)
    rows = np.empty((size, *shape), dtype)
    fill_rows(rows, images[:size], partial(fill_row, feed=feed))
    batch = rows if dtype == session.input.dtype else feed.finish(rows)
    together = run_padded(session, batch)
    moved = np.roll(run_padded(session, np.roll(batch, 1, axis=0)), -1, axis=0)
    alone = run_padded(session, batch[:1])
    return np.array_equal(together, moved) and np.array_equal(together[:1], alone)


def is_prepared(images: Sequence[LabelledImage]) -> bool:
    """Whether all that is known of these images' contents is what they were prepared to."""
    return bool(images) and images[0].prepared is not None and images[0].content is None


def collect_predictions(ledger: Ledger, images: Sequence[LabelledImage]) -> Iterator[Predictions]:
    """The answers in the order of the images' ids, in parts of the same size whatever the batches were."""
    tally = ledger.tally
    order = np.array(
        sorted(np.flatnonzero(tally.answered).tolist(), key=lambda index: images[index].id), dtype=np.int64
    )
    for start in range(0, len(order), PART):
        rows = order[start : start + PART]
        yield Predictions(
            ids=tuple(images[int(index)].id for index in rows),
            labels=np.array([images[int(index)].label for index in rows], dtype=np.int32),
            classes=tally.classes[rows],
            scores=tally.scores[rows],
            logits=None if tally.logits_at is None else ledger.read_logits(rows),
            contents=tally.contents[rows],
            of_prepared=is_prepared(images),
        )
