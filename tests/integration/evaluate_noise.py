"""A process that evaluates images of noise with the fake engine and counts each image that the engine is given.

    python evaluate_noise.py FOLDER IMAGES

It is killed by a test, again and again, until it reaches the end.
"""

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from fake_engine import FakeSession, answer, make_recipe
from noise_images import list_noise
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.evaluation.ledger import PredictionLedger
from seatrial.evaluation.pipeline import collect_predictions, predict_all
from seatrial.evaluation.stream import StreamPlan, stream_predictions
from seatrial.progress import silent
from seatrial.store.predictions import write_parts


def main(folder: Path, count: int) -> None:
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
        sys.stdout.write(f"{ledger.tally.attempts}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
