"""All checks of an engine in a row."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.engines import get_engine
from seatrial.engines.base import Capabilities, check_usable
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import first_line
from seatrial.testing.checks import CHECKS
from seatrial.testing.subject import EngineCase, EngineSubject, make_case


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check ended."""

    name: str
    promise: str
    failure: str | None
    """What was found instead; None where the promise is kept."""


class ContractBroken(AssertionError):
    """An engine breaks promises; names each with what was found."""

    def __init__(self, engine: str, results: tuple[CheckResult, ...]) -> None:
        self.results = results
        broken = [f"{result.name}: {result.failure}" for result in results if result.failure is not None]
        super().__init__("\n".join([f"{engine} breaks {len(broken)} of {len(results)} promises", *broken]))


def check_engine(
    engine: str,
    *,
    precision: str | None = None,
    device: str | None = None,
    options: Mapping[str, str] | None = None,
    case: EngineCase | None = None,
    show: Callable[[CheckResult], None] | None = None,
) -> tuple[CheckResult, ...]:
    """Hold an engine to every promise that seatrial relies on; builds it in a temporary folder.

    Args:
        engine: its name, as `seatrial doctor` lists it.
        precision: of those that it has; None: its first.
        device: None: its first.
        case: the network to build; None: a small one of seatrial's.
        show: called with each result.

    Raises:
        ContractBroken: it breaks one or more.
        UsageError: there is no such engine.
        EngineError: it cannot be used here.
    """
    has = get_engine(engine).probe()
    check_usable(has)
    with tempfile.TemporaryDirectory(prefix="seatrial-check-") as folder:
        spec = _make_spec(engine, has, precision, device, options)
        subject = EngineSubject(spec, case or make_case(Path(folder)), Path(folder))
        results = []
        for check in CHECKS:
            results.append(run_check(check, subject))
            if show is not None:
                show(results[-1])
    if any(result.failure is not None for result in results):
        raise ContractBroken(engine, tuple(results))
    return tuple(results)


def _make_spec(
    engine: str, has: Capabilities, precision: str | None, device: str | None, options: Mapping[str, str] | None
) -> BuildSpec:
    """What to build; files for several batches where none takes any batch."""
    sizes = () if has.free_batch else (1, 2, 4, 8, 12, 16)
    return BuildSpec(engine, precision or has.precisions[0], device or has.devices[0], sizes, dict(options or {}))


def run_check(check: Callable[[EngineSubject], None], subject: EngineSubject) -> CheckResult:
    """One check; whatever it raises is its failure."""
    name = check.__name__.removeprefix("check_").replace("_", " ")
    failure = None
    try:
        check(subject)
    except Exception as error:  # Engines of others may raise anything.
        failure = first_line(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    return CheckResult(name, " ".join((check.__doc__ or "").split()), failure)
