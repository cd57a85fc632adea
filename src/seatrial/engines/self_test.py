"""What an engine file gives for a few fixed pictures: kept when it is compiled, to know it again when it is opened."""

import base64

import numpy as np
from numpy.typing import NDArray

from seatrial.data.preprocessing.input_pipeline import read_pipeline, to_input
from seatrial.engines.base import MANIFEST, Engine, EngineFile, Session, run_padded
from seatrial.errors import RefusedFile
from seatrial.metrics.noise_floor import find_same_floor
from seatrial.store.records import EngineManifest, EngineModel

PICTURES = 4
"""Whoever changes them or how they are drawn gives `EngineModel.logits` another name: stored ones are of these."""


def draw_pictures(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """`PICTURES` images of `shape`, uint8 (n, *shape), in whole numbers alone, so that they are the same everywhere.

    Slopes of other colours, blocks, rings, and blocks of pseudo-random colours on a slope.
    """
    rows, columns, channels = np.ogrid[: shape[0], : shape[1], : shape[2]]
    down, across = 255 * rows // max(1, shape[0] - 1), 255 * columns // max(1, shape[1] - 1)
    slopes = (down * (channels + 1) + across * (3 - channels)) // 4
    blocks = 255 * ((8 * rows // shape[0] + 8 * columns // shape[1] + channels) % 2)
    apart = (2 * rows - shape[0]) ** 2 + (2 * columns - shape[1]) ** 2
    rings = 1024 * apart * (channels + 1) // (shape[0] ** 2 + shape[1] ** 2)
    colours = 40503 * (16 * (16 * rows // shape[0]) + 16 * columns // shape[1] + 257 * channels + 1) % 65536 // 256
    return (np.stack([slopes, blocks, rings, (colours + slopes) // 2]) % 256).astype(np.uint8)


def run_pictures(session: Session, manifest: EngineManifest) -> NDArray[np.float32]:
    """Logits (`PICTURES`, classes) of the pictures; a session of a free batch, which may be limited, gets one a run."""
    pipeline = read_pipeline(manifest.graph)
    inputs = to_input(draw_pictures(pipeline.shape), manifest.input, pipeline)
    size = session.input.shape[0] or 1
    starts = range(0, len(inputs), size)
    return np.concatenate([run_padded(session, inputs[start : start + size]) for start in starts])


def keep_logits(engine: Engine, file: EngineFile, batch_size: int | None = None) -> EngineManifest:
    """The manifest of a folder that was just compiled, with what each of its files gives.

    Args:
        batch_size: to open files of any batch with: an engine may have to get ready for each size, which takes minutes.
    """

    def add(model: EngineModel) -> EngineModel:
        with engine.open(file, file.manifest.device, model.batch_size or batch_size) as session:
            return model.model_copy(update={"logits": encode_logits(run_pictures(session, file.manifest))})

    return file.manifest.model_copy(update={"files": tuple(map(add, file.manifest.files))})


def encode_logits(logits: NDArray[np.float32]) -> str:
    """Logits to text, every bit kept: base64 of little-endian float32, image after image."""
    return base64.b64encode(logits.astype("<f4").tobytes()).decode("ascii")


def decode_logits(text: str) -> NDArray[np.float32]:
    """What `encode_logits` was given, (`PICTURES`, classes).

    Raises:
        RefusedFile: it is not what that function writes.
    """
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4").reshape(PICTURES, -1)
    except ValueError as error:
        raise RefusedFile(f"the logits in {MANIFEST} are damaged ({error})", "compile the engine again") from None


def check_self_test(session: Session, file: EngineFile, batch_size: int | None = None) -> None:
    """Compare an engine's logits for the self-test's pictures with those that it gave when it was compiled.

    An engine that was compiled before there were self-tests passes.

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
            f"{file.folder} fails its self-test: its logits differ from those at compile time by {error:.1e}, "
            f"and rounding explains {limit:.0e}",
            "delete it and compile it again on this machine",
        )


def _measure(kept: NDArray[np.float32], given: NDArray[np.float32]) -> float:
    """Relative error, Frobenius; infinite where they cannot be compared. What is no number must be none in both."""
    numbers = np.isfinite(kept)
    if kept.shape != given.shape or not np.array_equal(numbers, np.isfinite(given)):
        return float("inf")
    before, now = kept[numbers].astype(np.float64), given[numbers].astype(np.float64)
    return float(np.linalg.norm(now - before) / (np.linalg.norm(before) or 1))
