"""A labelled set through an engine: decode and crop in threads, run, keep the best five; each image once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.data.batches import iterate_batches
from seatrial.data.feed import Feed
from seatrial.data.labels import LabelledImage
from seatrial.engines.base import Session, run_padded
from seatrial.engines.cpu import count_cores
from seatrial.evaluation.parity import Variety, check_logits
from seatrial.evaluation.predictions import Predictions
from seatrial.metrics.topk import rank_top
from seatrial.progress import Progress, Update


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Predictions and how long they took, from the first file read to the last answer."""

    predictions: Predictions
    classes: int
    """How many the engine tells apart."""
    wall_s: float
    batch_size: int
    workers: int


def evaluate_session(
    session: Session, images: Sequence[LabelledImage], feed: Feed, batch_size: int, progress: Progress
) -> Evaluated:
    """Run every image through an opened engine.

    A session that takes uint8 images has the preprocessing tail in its graph; for others it is computed here.

    Raises:
        DataError: a file is no image.
        ParityError: an answer is not a number, or all are the same.
    """
    workers = count_cores()
    size = session.input.shape[0] or batch_size
    ids = [image.id for image in images]
    classes, scores, done, width = [], [], 0, 0
    variety = Variety()
    start = time.perf_counter()
    for pixels in iterate_batches([image.path for image in images], feed, size, workers):
        batch = pixels if session.input.dtype == "uint8" else feed.finish(pixels)
        logits = run_padded(session, batch)
        check_logits(logits, ids[done : done + len(logits)])
        variety.see(pixels, logits)
        ranked, best = rank_top(logits)
        classes.append(ranked)
        scores.append(best)
        done, width = done + len(logits), logits.shape[1]
        rate = done / (time.perf_counter() - start)
        progress(Update("evaluate", done, len(images), "images", {"images/s": f"{rate:.0f}"}))
    wall_s = time.perf_counter() - start
    variety.check()
    labels = np.array([image.label for image in images], dtype=np.int32)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    predictions = Predictions(
        tuple(ids[i] for i in order), labels[order], np.concatenate(classes)[order], np.concatenate(scores)[order]
    )
    return Evaluated(predictions, width, wall_s, size, workers)
