"""Is an opened engine the one that was compiled? Its hashes say so; what it gives for the same pictures proves it."""

import numpy as np
from numpy.typing import NDArray

from seatrial.engines.base import EngineFile, Session
from seatrial.engines.self_test import decode_logits, run_pictures
from seatrial.errors import RefusedFile
from seatrial.evaluation.noise_floor import find_same_floor


def check_self_test(session: Session, file: EngineFile, batch_size: int | None = None) -> None:
    """Hold what an engine gives for the self-test's pictures against what it gave when it was compiled.

    An engine that was compiled before there were self-tests has nothing to be held against.

    Args:
        batch_size: that `session` was opened with.

    Raises:
        RefusedFile: it gives something else, so its files or its description were exchanged.
    """
    kept = file.find(batch_size).logits
    if kept is None:
        return
    error = _measure(decode_logits(kept), run_pictures(session, file.manifest))
    limit = find_same_floor(file.manifest.precision, file.manifest.executed)
    if error > limit:
        raise RefusedFile(
            f"{file.folder} does not give what it gave when it was compiled: its logits for the self-test's pictures "
            f"lie {error:.1e} off, and rounding explains {limit:.0e}",
            "delete it and compile it again on this machine",
        )


def _measure(kept: NDArray[np.float32], given: NDArray[np.float32]) -> float:
    """Relative error, Frobenius; infinite where they cannot be compared. What is no number must be none in both."""
    numbers = np.isfinite(kept)
    if kept.shape != given.shape or not np.array_equal(numbers, np.isfinite(given)):
        return float("inf")
    before, now = kept[numbers].astype(np.float64), given[numbers].astype(np.float64)
    return float(np.linalg.norm(now - before) / (np.linalg.norm(before) or 1))
