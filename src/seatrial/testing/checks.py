"""The promises of `engines.base.Engine` and `Session`, one function each; AssertionError says what is broken."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.engines import get_engine
from seatrial.engines.base import read_engine, run_padded
from seatrial.engines.self_test import check_self_test
from seatrial.errors import EngineError, RefusedFile, SeatrialError, UsageError
from seatrial.testing.subject import EngineSubject

TOLERANCE = {"fp32": 1e-5, "tf32": 5e-3, "fp16": 5e-3, "bf16": 5e-2}
"""Relative error (Frobenius) of logits against float64, by precision; of others that of bf16."""
ROUNDING = 2e-5
"""Of the largest logit: what another batch size or thread may move where sums are rounded in another order."""
REOPEN = (
    "import sys, json, numpy as np; from pathlib import Path\n"
    "from seatrial.engines import get_engine; from seatrial.engines.base import read_engine\n"
    "file = read_engine(Path(sys.argv[1]))\n"
    "with get_engine(file.manifest.engine).open(file, file.manifest.device) as s:\n"
    "    print(json.dumps(s.run(np.load(sys.argv[2])).tolist()))\n"
)


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise AssertionError(reason)


def _require_near(logits: NDArray[Any], expected: NDArray[Any], precision: str) -> None:
    limit = TOLERANCE.get(precision, TOLERANCE["bf16"])
    error = float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))
    _require(error <= limit, f"logits are off by {error:.1e} of their size, and {precision} explains {limit:.0e}")


def _require_same(subject: EngineSubject, one: NDArray[Any], other: NDArray[Any], what: str) -> None:
    far = float(np.abs(one - other).max())
    limit = 0.0 if subject.exact else ROUNDING * float(np.abs(one).max())
    _require(far <= limit, f"{what} differ by up to {far:.1e}, and {limit:.1e} is allowed")


def _require_refused(kind: type[SeatrialError], words: str, act: Callable[[], object]) -> None:
    try:
        act()
    except kind as error:
        _require(words in str(error), f"{kind.__name__} does not say '{words}': {error}")
        return
    except Exception as error:
        raise AssertionError(f"raised {type(error).__name__} ({error}) instead of {kind.__name__}") from error
    raise AssertionError(f"raised nothing instead of {kind.__name__}")


def check_probe(subject: EngineSubject) -> None:
    """`probe` names the engine, its version, its devices and precisions."""
    spec = subject.spec
    found = get_engine(spec.engine).probe()
    _require(found.engine == spec.engine, f"it calls itself '{found.engine}', and its entry is '{spec.engine}'")
    _require(bool(found.version), f"it has no version ({found.missing})")
    _require(spec.device in found.devices, f"device '{spec.device}' is not in {found.devices}")
    _require(spec.precision in found.precisions, f"precision '{spec.precision}' is not in {found.precisions}")


def check_logits(subject: EngineSubject) -> None:
    """Logits are float32 (n, classes) and agree with float64."""
    pixels, expected = subject.case.pixels, subject.case.expected
    with subject.open() as session:
        logits = session.run(pixels)
    _require(logits.dtype == np.float32, f"logits are {logits.dtype}")
    _require(logits.shape == expected.shape, f"logits have the shape {logits.shape} instead of {expected.shape}")
    _require_near(logits, expected, subject.file.manifest.precision)


def check_repeat(subject: EngineSubject) -> None:
    """The same batch gives the same logits to the bit, and a later batch does not overwrite what was returned."""
    pixels = subject.case.pixels
    with subject.open() as session:
        first = session.run(pixels[:4])
        kept = first.copy()
        session.run(pixels[4:8])
        _require(np.array_equal(first, kept), "the next run overwrote logits that had been returned")
        _require(np.array_equal(session.run(pixels[:4]), kept), "the same batch gave other logits")


def check_arrays(subject: EngineSubject) -> None:
    """A batch may be read-only or strided, and is left as it is."""
    strided = subject.case.pixels[0:8:2]
    before, locked = strided.copy(), strided.copy()
    locked.flags.writeable = False
    with subject.open() as session:
        expected = session.run(strided.copy())
        _require(np.array_equal(session.run(strided), expected), "a strided batch gave other logits")
        _require(np.array_equal(session.run(locked), expected), "a read-only batch gave other logits")
    _require(np.array_equal(strided, before), "the batch was changed")


def check_batches(subject: EngineSubject) -> None:
    """An image's logits do not depend on what else is in the batch."""
    pixels = subject.case.pixels[:12]
    with subject.open() as session:
        together = session.run(pixels)
        alone = np.concatenate([session.run(pixels[i : i + 1]) for i in range(12)])
    _require_same(subject, together, alone, "logits of twelve images together and one at a time")


def check_threads(subject: EngineSubject) -> None:
    """A session opened with two streams may be run from two threads at once."""
    pixels = subject.case.pixels
    with subject.open(streams=2) as session:
        alone = [session.run(pixels[i : i + 2]) for i in range(0, 8, 2)]
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(lambda i: session.run(pixels[i : i + 2]), range(0, 8, 2)))
    for one, other in zip(alone, together, strict=True):
        far = float(np.abs(one - other).max())
        _require(far <= 1e-6 * float(np.abs(one).max()), f"logits of two threads differ by {far:.1e} from those of one")


def check_wrong_batches(subject: EngineSubject) -> None:
    """A batch of another shape or type is a UsageError that names what was given."""
    image = subject.case.pixels[:1]
    other_type = np.float32 if image.dtype == np.uint8 else np.uint8
    wrong = {
        "×".join(map(str, batch.shape)): batch
        for batch in (image[:, :-1], image.transpose(0, 3, 1, 2), image[..., :-1])
        if batch.shape != image.shape
    }
    with subject.open() as session:
        for words, batch in {**wrong, np.dtype(other_type).name: image.astype(other_type)}.items():
            _require_refused(UsageError, words, lambda batch=batch: session.run(batch))  # type: ignore[misc]


def check_closing(subject: EngineSubject) -> None:
    """Closing twice is harmless."""
    session = subject.open()
    session.close()
    session.close()


def check_padding(subject: EngineSubject) -> None:
    """Of files for batches of 2 and 4 the latter serves three images, which are filled up."""
    case = subject.case
    built = subject.build("engine-4", batch_sizes=(2, 4), options={})
    with subject.open(built, batch_size=3) as session:
        _require(
            session.input.shape[0] in (4, None), f"batch size {session.input.shape[0]} was opened for three images"
        )
        logits = run_padded(session, case.pixels[:3])
    _require(logits.shape[0] == 3, f"three images gave {logits.shape[0]} rows")
    _require_near(logits, case.expected[:3], subject.spec.precision)


def check_new_process(subject: EngineSubject) -> None:
    """It opens in a new process, and gives the same there."""
    pixels = subject.case.pixels[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixels.npy"
        np.save(path, pixels)
        command = [sys.executable, "-c", REOPEN, str(subject.file.folder), str(path)]
        ran = subprocess.run(command, capture_output=True, text=True)
    _require(ran.returncode == 0, f"a new process could not run it: {ran.stderr.strip()[-300:]}")
    with subject.open() as session:
        far = float(np.abs(np.array(json.loads(ran.stdout), np.float32) - session.run(pixels)).max())
    _require(
        far <= ROUNDING * max(1.0, float(np.abs(subject.case.expected).max())), f"logits differ by {far:.1e} there"
    )


def check_altered_files(subject: EngineSubject) -> None:
    """A changed bit or a cut end of any of its files is refused: all that it loads is among its files."""
    manifest = subject.file.manifest
    for name in [*manifest.companions, *(model.path for model in manifest.files)][:1]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(shutil.copytree(subject.file.folder, Path(scratch) / "engine"))
            read_engine(folder)
            data = (folder / name).read_bytes()
            for altered in (data[:-1] + bytes([data[-1] ^ 1]), data[: len(data) // 2]):
                (folder / name).unlink()
                (folder / name).write_bytes(altered)
                _require_refused(RefusedFile, "altered or cut off", lambda folder=folder: read_engine(folder))  # type: ignore[misc]


def check_exchanged_files(subject: EngineSubject) -> None:
    """Files of other weights under this one's self-test are refused, though every hash is right."""
    built = subject.build("engine-other", subject.case.other)
    kept = {model.path: model.logits for model in subject.file.manifest.files}
    files = tuple(model.model_copy(update={"logits": kept[model.path]}) for model in built.manifest.files)
    exchanged = replace(built, manifest=built.manifest.model_copy(update={"files": files}))
    with subject.open(built) as session:
        check_self_test(session, built)
        _require_refused(RefusedFile, "fails its self-test", lambda: check_self_test(session, exchanged))


def check_self_tests(subject: EngineSubject) -> None:
    """However it is opened, it gives what it gave when it was compiled."""
    _require(all(model.logits for model in subject.file.manifest.files), "a file has no logits of its self-test")
    for batch_size, streams in ((None, 1), (1, 2), (8, 3)):
        with subject.open(None, batch_size, streams) as session:
            check_self_test(session, subject.file, batch_size)


def check_folder(subject: EngineSubject) -> None:
    """Opening leaves nothing in the engine folder that could be loaded unseen."""
    folder = subject.file.folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for streams in (1, 2):
        with subject.open(None, 4, streams) as session:
            session.run(subject.case.pixels[:4])
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    changed = sorted(str(path.relative_to(folder)) for path, _ in before.items() ^ after.items())
    _require(after == before, f"opening it changed {', '.join(dict.fromkeys(changed))}")


def check_refusals(subject: EngineSubject) -> None:
    """A precision, a device or an option that it does not have is refused, with those that it has."""
    wrong: tuple[tuple[dict[str, Any], type[SeatrialError], str], ...] = (
        ({"precision": "fp8"}, EngineError, "cannot run fp8; take --precision"),
        ({"device": "tpu"}, EngineError, "has no device 'tpu' here; take --device"),
        ({"options": {"no_such_option": "2"}}, UsageError, "no option 'no_such_option'; its options: "),
    )
    for changes, kind, words in wrong:
        _require_refused(kind, words, lambda changes=changes: subject.build("engine-none", **changes))  # type: ignore[misc]
        _require(not (subject.folder / "engine-none").exists(), f"a folder was left behind for {changes}")


CHECKS: tuple[Callable[[EngineSubject], None], ...] = (
    check_probe,
    check_logits,
    check_repeat,
    check_arrays,
    check_batches,
    check_threads,
    check_wrong_batches,
    check_closing,
    check_padding,
    check_new_process,
    check_altered_files,
    check_exchanged_files,
    check_self_tests,
    check_folder,
    check_refusals,
)
"""Every promise."""
