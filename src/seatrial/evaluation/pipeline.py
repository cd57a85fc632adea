"""A labelled set answered once per image, through crashes: what is answered is kept in a ledger as it comes."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage
from seatrial.data.loading.batches import fill_row
from seatrial.data.loading.decode_pool import fill_rows
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.errors import ParityError
from seatrial.evaluation.ledger import Ledger, Tally
from seatrial.evaluation.parity import check_logits, find_alike, fit_labels
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


def check_variety(tally: Tally, images: Sequence[LabelledImage], pipeline: InputPipeline, coarse: bool = False) -> None:
    """Refuse an engine that gives the same logits to images that differ, or the same score to every class.

    Args:
        coarse: it rounds its logits (`metrics.noise_floor.is_coarse`): then both happen by chance, and so rarely as the
            logits beside them tell, and to images of the same class.

    Raises:
        ParityError: names the first such image and the one whose answer it got.
    """
    answered = np.flatnonzero(tally.answered)
    if coarse:
        check_logits(tally.scores[answered], [images[int(index)].id for index in answered], coarse)
    digests = tally.digests[answered]
    differing = _find_differing(
        [(int(answered[a]), int(answered[b])) for a, b in find_alike(digests)], images, pipeline
    )
    if differing is None:
        return
    labels = np.array([images[int(index)].label for index in answered], dtype=np.int32)
    if coarse and fit_labels(digests, tally.classes[answered, 0], labels):
        return
    alike = len(answered) - len(np.unique(digests))
    raise ParityError(
        f"the engine gives different images the same answer: {differing[1].id} gets the logits of {differing[0].id} "
        f"({alike} of {len(answered)} images repeat those of another)"
    )


def _find_differing(
    pairs: Sequence[tuple[int, int]], images: Sequence[LabelledImage], pipeline: InputPipeline
) -> tuple[LabelledImage, LabelledImage] | None:
    """The first pair of images whose pixels differ."""
    shape, dtype = row_form(images, pipeline)
    rows = np.empty((2, *shape), dtype)
    for pair in pairs:
        first, later = images[pair[0]], images[pair[1]]
        fill_rows(rows, (first, later), partial(fill_row, pipeline=pipeline))
        if (rows[0] != rows[1]).any():
            return first, later
    return None


def is_prepared(images: Sequence[LabelledImage]) -> bool:
    """Whether all that is known of the contents of some of these images is what they were prepared to."""
    return any(image.prepared is not None and image.content is None for image in images)


def describe_form(images: Sequence[LabelledImage]) -> str:
    """`Predictions.form` of what these images were prepared to; empty where that is not what is known of each."""
    forms = {image.prepared if image.content is None else None for image in images}
    form = forms.pop() if len(forms) == 1 else None
    return "" if form is None else f"{form.dtype} {'×'.join(map(str, form.shape))} {form.preprocess_hash or ''}".strip()


def collect_predictions(ledger: Ledger, images: Sequence[LabelledImage]) -> Iterator[Predictions]:
    """The answers in the order of the images' ids, in parts of the same size whatever the batches were."""
    tally = ledger.tally
    order = np.array(
        sorted(np.flatnonzero(tally.answered).tolist(), key=lambda index: images[index].id), dtype=np.int64
    )
    of_prepared, form = is_prepared(images), describe_form(images)
    for start in range(0, len(order), PART):
        rows = order[start : start + PART]
        yield Predictions(
            ids=tuple(images[int(index)].id for index in rows),
            labels=np.array([images[int(index)].label for index in rows], dtype=np.int32),
            classes=tally.classes[rows],
            scores=tally.scores[rows],
            logits=None if tally.logits_at is None else ledger.read_logits(rows),
            contents=tally.contents[rows],
            of_prepared=of_prepared,
            form=form,
        )
