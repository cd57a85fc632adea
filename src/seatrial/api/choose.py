"""What to deploy: `choose`."""

import os
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.api.results import ChoiceResult
from seatrial.api.trial import make_run_spec, run
from seatrial.api.values import Names, Place, Sizes, check_numbers, find_path, list_names, read_sizes
from seatrial.errors import UsageError
from seatrial.extras import naming_extras
from seatrial.progress import Progress, silent

if TYPE_CHECKING:
    from seatrial.workflow.run_spec import RunSpec


@naming_extras()
def choose(
    target: Place,
    *,
    goal: str,
    max_drop_pp: float | None = None,
    engines: Names | None = None,
    batch_size: Sizes | None = None,
    calibration: Place | None = None,
    time_budget: str | float | None = None,
    images: Place | None = None,
    labels: Place | None = None,
    no_labels: bool = False,
    checkpoint: Place | None = None,
    output: Place | None = None,
    image_size: int | None = None,
    classes: int | None = None,
    like: str | None = None,
    fetch: bool = False,
    weights: str | None = None,
    checkpoint_key: str | None = None,
    strip_prefix: str | None = None,
    progress: Progress | None = None,
) -> ChoiceResult:
    """Find the engine, precision and setting that are best by a goal among those that certainly keep the accuracy.

    Where there is none, that is no error: `result.record.exit_code` says why.

    Args:
        target: a run folder, or a model reference (docs/models.md), which takes `images` and `output`.
        goal: "throughput", "latency=10ms@p99" or "size".
        engines: NAME[:PRECISION][@DEVICE], of a name alone every precision; None: every engine that there is.
        time_budget: "10m", or seconds.

    Raises:
        SeatrialError: as `workflow.choose.search.choose_deployment`; what was finished before stays.
    """
    check_numbers(locals())
    options = {name: value for name, value in locals().items() if name not in ("progress", "goal", "max_drop_pp")}
    from seatrial.store.command_line import read_duration
    from seatrial.workflow.choose.search import choose_deployment
    from seatrial.workflow.choose.spec import ChooseSpec, parse_goal

    spec = ChooseSpec(
        target=os.fspath(target),
        goal=parse_goal(goal),
        max_drop_pp=max_drop_pp,
        engines=list_names(engines),
        batch_sizes=() if batch_size is None else read_sizes(batch_size),
        calibration=find_path(calibration),
        time_budget_s=read_duration(time_budget) if isinstance(time_budget, str) else time_budget,
        begin=_begin(options),
    )
    record, path = choose_deployment(spec, progress or silent)
    return ChoiceResult(path, record)


_OF_A_RUN = ("images", "labels", "checkpoint", "output", "image_size", "classes", "like", "weights", "checkpoint_key")
"""Options of a model reference; a run has them already."""


def _begin(options: Mapping[str, Any]) -> "RunSpec | None":
    """The run that is to be begun; None where the target is one.

    Raises:
        UsageError: the target is a run, and an option is of a model reference; or it is none, and one is missing.
    """
    target = Path(options["target"])
    given = [name for name in (*_OF_A_RUN, "strip_prefix", "no_labels", "fetch") if options[name] not in (None, False)]
    if (target / "run.json").is_file():
        if given:
            option = f"--{given[0].replace('_', '-')}"
            raise UsageError(f"{option} is for a model reference, and {target} is a run", "leave it out")
        return None
    for name in ("images", "output"):
        if options[name] is None:
            problem = f"{target} is no run folder, and of a model reference --{name} is missing"
            raise UsageError(problem, f"give --{name}, or the folder of a run")
    of_run = {name: options[name] for name in (*_OF_A_RUN, "strip_prefix", "no_labels", "fetch")}
    defaults = {name: option.default for name, option in signature(run).parameters.items()}
    return make_run_spec({**defaults, "recipe": options["target"], **of_run})
