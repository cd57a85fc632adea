"""What a process does that a test kills again and again until it reaches the end; here so that it is found by name."""

import os
from pathlib import Path

import numpy as np

from fake_engine import FakeSession, answer, make_recipe
from noise_images import list_noise
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.evaluation.pipeline import collect_predictions, predict_all
from seatrial.evaluation.stream import StreamPlan, stream_predictions
from seatrial.progress import silent
from seatrial.store.predictions import write_parts


def evaluate_noise(folder: Path, count: int) -> None:
    """Evaluate images of noise with the fake engine, and count in `given` each image that the engine is given."""
    images = list_noise(folder / "noise", count)
    given = os.open(folder / "given", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def answer_and_count(batch: np.ndarray) -> np.ndarray:
        os.write(given, b"." * len(batch))
        return answer(batch)

    session, pipeline = FakeSession(answer=answer_and_count), make_pipeline(make_recipe())
    with PredictionLedger(folder / "ledger", "noise", count) as ledger:
        answers = stream_predictions(session, images, pipeline, ledger.todo, StreamPlan(16, 2, 2))
        predict_all(ledger, ledger.todo, lambda _: answers, count, silent)
        write_parts(folder / "noise.parquet", collect_predictions(ledger, images))
        (folder / "attempts").write_text(str(ledger.tally.attempts))
