"""A user's program, which nothing runs: type checkers read it beside an installed seatrial (integration/test_types.py).

Where a type were lost, `assert_type` would say so; where none were checked, an `ignore` would be unused.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

from seatrial import api, testing
from seatrial.errors import ExitCode, SeatrialError
from seatrial.store.records import AccuracyRecord, Verdict


def show(update: api.Update) -> None:
    """Progress goes where it likes."""
    assert_type(update.note, str)


def judge(folder: Path) -> ExitCode:
    """A whole trial, and the accuracy of one of its engines."""
    try:
        done = api.run("net.onnx", images="photos", output=folder, engines=["onnxruntime"], progress=show)
    except SeatrialError as error:
        return error.exit_code
    assert_type(done.verdict, Verdict | None)
    found = api.evaluate(folder / "engines" / "onnxruntime", images="photos", output=folder / "again.json")
    assert_type(found.record, AccuracyRecord)
    assert_type(found.record.images, int)
    return ExitCode.BUG if done.verdict is None else done.verdict.exit_code


def name_classes(run: Path, image: Path) -> Iterator[str]:
    """The classes of an image, the best first."""
    for share in api.predict(run, image).best:
        yield f"{share.shown} {share.share:.1%}"


def hold_engine() -> int:
    """How many promises an engine of one's own keeps."""
    results = testing.check_engine("onnxruntime", precision="fp32")
    assert_type(results, tuple[testing.CheckResult, ...])
    return sum(result.failure is None for result in results)


def err(folder: Path) -> None:
    """What a type checker must find."""
    api.bench(folder, output=folder, min_samples="many")  # type: ignore[arg-type]
    _ = api.run("net.onnx", images="photos", output=folder).verdikt  # type: ignore[attr-defined]
    api.compile(folder, output=folder)  # type: ignore[call-arg]
