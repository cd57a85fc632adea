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
from seatrial.evaluation.ledger import Ledger
from seatrial.evaluation.pipeline import Clock, answer_all, collect_predictions
from seatrial.evaluation.stream import Plan, stream_answers
from seatrial.progress import silent
from seatrial.store.predictions import write_parts


def main(folder: Path, count: int) -> None:
    images = list_noise(folder / "noise", count)
    given = os.open(folder / "given", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def answer_and_count(batch: np.ndarray) -> np.ndarray:
        os.write(given, b"." * len(batch))
        return answer(batch)

    session, pipeline = FakeSession(answer=answer_and_count), make_pipeline(make_recipe())
    with Ledger(folder / "ledger", "noise", count) as ledger:
        answers = stream_answers(session, images, pipeline, ledger.todo, Plan(16, 2, 2))
        answer_all(ledger, ledger.todo, lambda _: answers, count, Clock(silent))
        write_parts(folder / "noise.parquet", collect_predictions(ledger, images))
        sys.stdout.write(f"{ledger.tally.sittings}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
