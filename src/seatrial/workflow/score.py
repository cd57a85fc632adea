"""`seatrial score`: predictions in the guides' format against labels."""

from pathlib import Path

from seatrial.evaluation.score import Score, score_folder, write_result
from seatrial.progress import Progress, silent


def score_predictions(
    predictions: Path, labels: Path, output: Path, allow_partial: bool = False, progress: Progress = silent
) -> Score:
    """Score one-file-per-image predictions and write the guides' `result.json` to `output`.

    Raises:
        DataError: predictions are missing, belong to no label or cannot be read.
        ParityError: a prediction is not a number, or all are the same.
    """
    score = score_folder(predictions, labels, allow_partial, progress)
    write_result(score, output)
    return score
