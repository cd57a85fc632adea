"""An engine's speed: `bench`."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from seatrial.api.results import SpeedResult
from seatrial.api.values import Names, Place, Sizes, check_numbers, find_path, read_scopes, read_sizes
from seatrial.errors import UsageError
from seatrial.extras import naming_extras
from seatrial.progress import Progress, silent

if TYPE_CHECKING:
    from seatrial.store.measurement import Scope

DURATION_S = 5.0
MIN_SAMPLES = 50
WARM_UP_S = 10.0
"""At most; as long as the timing where that is longer."""


@naming_extras()
def bench(
    folder: Place,
    *,
    output: Place,
    batch_size: Sizes = "1,4,8,16",
    scope: Names | None = None,
    images: Place | None = None,
    streams: int | None = None,
    duration: float | None = None,
    loop: int | None = None,
    min_samples: int | None = None,
    processes: int | None = None,
    stop_when_saturated: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> SpeedResult:
    """Measure an engine's speed in fresh processes; every sample and every reason to doubt is in the record.

    Args:
        folder: an engine folder that `compile` wrote.
        output: the record to write (.json).
        duration: least seconds per point and process; None: 5.

    Raises:
        UsageError: an option is wrong, or `folder` is no engine folder.
        EngineError: the engine cannot be opened here.
        ParityError: the timed work was not done.
    """
    check_numbers(locals())
    from seatrial.bench.measure import Limits
    from seatrial.bench.sweep import SweepSpec
    from seatrial.engines.base import read_engine
    from seatrial.store.command_line import write_words
    from seatrial.store.imported import check_output
    from seatrial.workflow import bench as measuring

    notify, record = progress or silent, Path(output)
    if loop is not None:
        _check_loop(duration, min_samples, streams)
    scopes = cast("tuple[Scope, ...]", read_scopes(scope or "host"))
    check_output(record)
    file = read_engine(Path(folder))
    pictures = find_path(images)
    prepared = measuring.prepare_folder(file, pictures, record) if pictures else measuring.find_prepared(file)
    spec = SweepSpec(
        batch_sizes=read_sizes(batch_size),
        limits=Limits(
            duration_s=0 if loop else duration or DURATION_S,
            min_samples=loop or min_samples or MIN_SAMPLES,
            warmup_budget_s=max(WARM_UP_S, duration or 0),
        ),
        processes=processes or (1 if loop else measuring.PROCESSES),
        # A device's times are those of one run after the other, and so are the guides'.
        streams=(streams or (1 if loop or "device" in scopes else measuring.choose_streams(file, None)),),
        images=prepared,
        scopes=scopes,
        files=pictures if "e2e" in scopes else None,
        stop_when_saturated=stop_when_saturated,
    )
    measured = measuring.bench_engine(file, spec, record, notify, force)
    words = write_words("bench", Path(folder), batch_size=spec.batch_sizes, loop=loop, scope=scopes, output=record)
    lines = measuring.write_guide_summaries(measured, record, words) if loop else []
    return SpeedResult(record, measured, scopes, tuple(lines))


def _check_loop(duration: float | None, min_samples: int | None, streams: int | None) -> None:
    """The guides measure a number of runs of one stream; a setting that would be ignored is an error."""
    for name, value in (("--duration", duration), ("--min-samples", min_samples)):
        if value is not None:
            raise UsageError(f"--loop and {name} both set how long to measure", "give one of them")
    if (streams or 1) > 1:
        raise UsageError("the guides' summary is of one stream, so --loop takes no --streams", "leave one out")
