"""A labelled set run once per image, through crashes: predictions are kept in a ledger as they come."""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import LabelledImage, are_labelled
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.errors import ParityError
from seatrial.evaluation.ledger import PredictionLedger, Tally
from seatrial.evaluation.parity import DIAGNOSE, check_logits, find_alike, fit_labels
from seatrial.evaluation.stream import PredictionBatch, read_rows
from seatrial.progress import Progress, Update
from seatrial.store.predictions import Predictions

CHUNK = 512
"""Images that are run again at most after a crash."""
FLUSH_S = 1.0
"""Predictions are written to disk at least so often."""
PART = 8192
"""Images in a row group of the predictions."""

PredictionSource = Callable[[NDArray[np.int64]], Iterator[PredictionBatch]]
"""Runs the images of some indices, in any order."""


def predict_all(
    ledger: PredictionLedger, todo: NDArray[np.int64], predict: PredictionSource, total: int, progress: Progress
) -> None:
    """Run the images of `todo`, and keep their predictions in the ledger, also when this is interrupted.

    Args:
        total: images of the whole evaluation, for the progress.

    Raises:
        ParityError: a logit is not a number, or all classes of an image have the same.
        StorageError: the disk is full or may not be written.
    """
    begun = flushed = time.perf_counter()
    already = done = int(ledger.tally.done.sum())
    pending: list[PredictionBatch] = []
    pending_images = 0
    try:
        for batch in predict(todo):
            pending.append(batch)
            pending_images += len(batch.indices) + len(batch.bad or {})
            now = time.perf_counter()
            # Half a chunk here, so that with what is still on its way it is not more than one.
            if pending_images >= CHUNK // 2 or now - flushed >= FLUSH_S:
                kept, pending, done, pending_images = pending, [], done + pending_images, 0
                ledger.add(kept, now - flushed)
                flushed = now
            rate = (done + pending_images - already) / max(1e-9, now - begun)
            progress(Update("evaluate", done + pending_images, total, "images", {"images/s": f"{rate:.0f}"}))
    finally:
        if pending:
            ledger.add(pending, time.perf_counter() - flushed)


def check_variety(tally: Tally, images: Sequence[LabelledImage], pipeline: InputPipeline, coarse: bool = False) -> None:
    """Refuse an engine that gives the same logits to images that differ, or the same score to every class.

    Args:
        coarse: it rounds its logits (`metrics.noise_floor.is_coarse`): then both happen by chance, but as rarely as the
            other logits allow, and to images of the same class.

    Raises:
        ParityError: names the first such image and the one whose logits it got.
    """
    predicted = np.flatnonzero(tally.predicted)
    if coarse:
        check_logits(tally.scores[predicted], [images[int(index)].id for index in predicted], coarse)
    digests = tally.digests[predicted]
    differing = _find_differing(
        [(int(predicted[a]), int(predicted[b])) for a, b in find_alike(digests)], images, pipeline
    )
    if differing is None:
        return
    labels = np.array([images[int(index)].label for index in predicted], dtype=np.int32)
    # Without labels it is the agreement with the reference that shows whose logits they are.
    if coarse and (not are_labelled(images) or fit_labels(digests, tally.classes[predicted, 0], labels)):
        return
    alike = len(predicted) - len(np.unique(digests))
    raise ParityError(
        f"the engine gives different images the same logits: {differing[1].id} gets the logits of {differing[0].id} "
        f"({alike} of {len(predicted)} images repeat those of another)",
        DIAGNOSE,
    )


def _find_differing(
    pairs: Sequence[tuple[int, int]], images: Sequence[LabelledImage], pipeline: InputPipeline
) -> tuple[LabelledImage, LabelledImage] | None:
    """The first pair of images whose pixels differ."""
    for pair in pairs:
        first, later = images[pair[0]], images[pair[1]]
        rows, _ = read_rows((first, later), pipeline)
        if (rows[0] != rows[1]).any():
            return first, later
    return None


def describe_contents(images: Sequence[LabelledImage]) -> tuple[bool, str]:
    """`Predictions.of_prepared` and `Predictions.form` of images; the latter empty where files of some are known."""
    forms = {image.prepared if image.content is None else None for image in images}
    form = next(iter(forms)) if len(forms) == 1 else None
    return forms != {None}, "" if form is None else f"{form} {form.preprocess_hash or ''}".strip()


def collect_predictions(ledger: PredictionLedger, images: Sequence[LabelledImage]) -> Iterator[Predictions]:
    """The predictions in the order of the images' ids, in parts of one size whatever the batches were."""
    tally = ledger.tally
    order = np.array(
        sorted(np.flatnonzero(tally.predicted).tolist(), key=lambda index: images[index].id), dtype=np.int64
    )
    of_prepared, form = describe_contents(images)
    labels = np.array([image.label for image in images], dtype=np.int32) if are_labelled(images) else None
    of_probabilities = bool(tally.distributions[order].all())
    for start in range(0, len(order), PART):
        rows = order[start : start + PART]
        yield Predictions(
            ids=tuple(images[int(index)].id for index in rows),
            labels=None if labels is None else labels[rows],
            classes=tally.classes[rows],
            scores=tally.scores[rows],
            log_denominators=None if of_probabilities else tally.log_denominators[rows],
            of_probabilities=of_probabilities,
            logits=None if tally.logits_at is None else ledger.read_logits(rows),
            contents=tally.contents[rows],
            of_prepared=of_prepared,
            form=form,
        )
