"""`run --time-budget`: how much is measured, so that a run takes no longer than it may.

Only measuring is shortened: fewer batch sizes, and less time for each. What proves the accuracy is always done whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from seatrial.errors import SeatrialError, UsageError
from seatrial.progress import Progress, Update
from seatrial.store.command_line import write_duration
from seatrial.store.records import RunManifest
from seatrial.workflow.run_jobs import limit_warmup
from seatrial.workflow.run_plan import Estimates, RunPlan, read_estimates
from seatrial.workflow.run_spec import RunSpec

DURATIONS_S = (10.0, 5.0, 3.0, 2.0, 1.0)
"""Least times of timing that are tried, the longest first."""
LEAST_SAMPLES = 10
UNKNOWN_SHARE = 0.5
"""Of the budget, for the stages whose time nobody knows."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """How much is measured of each engine."""

    batch_sizes: tuple[int, ...]
    duration_s: float


def fit_budget(plan: RunPlan, progress: Progress) -> RunSpec:
    """The spec of a plan with the batch sizes and times of measuring that its budget allows; all as it is without one.

    A run that was begun with the same budget goes on with what it chose.

    Raises:
        UsageError: what is known to be left takes longer than the budget.
    """
    spec = plan.spec
    if spec.time_budget_s is None:
        return spec
    before = _find_choice(spec)
    if before is not None:
        return before
    estimates = read_estimates(spec.output, plan.checked.recipe.network.name)
    rest = [stage for stage in plan.stages if stage.stage != "bench"]
    known_s = sum(stage.seconds or 0.0 for stage in rest)
    unknown = [f"{stage.stage} {stage.engine}".strip() for stage in rest if stage.seconds is None]
    left_s = spec.time_budget_s - known_s
    available_s = left_s * (1 - UNKNOWN_SHARE) if unknown else left_s
    choices = [*_list_choices(plan)]
    chosen = next((c for c in choices if _measure_cost(c, plan, estimates) <= available_s), None)
    if chosen is None:
        shortest_s = _measure_cost(choices[-1], plan, estimates)
        least_s = known_s + (shortest_s / (1 - UNKNOWN_SHARE) if unknown else shortest_s)
        rest_words = _describe_rest(known_s, unknown)
        raise UsageError(
            f"--time-budget {write_duration(spec.time_budget_s)} is not enough: {rest_words}, and the shortest "
            f"measurement makes it {least_s / 60:.1f} min",
            f"give --time-budget {write_duration(60 * -(-least_s // 60))} or more",
        )
    for note in _describe(spec, chosen, known_s, unknown, len(plan.checked.images)):
        progress(Update("budget", note=note))
    return _apply(spec, chosen)


def _find_choice(spec: RunSpec) -> RunSpec | None:
    """What a run in this folder chose for the same budget, engines and batch sizes."""
    with suppress(SeatrialError):
        stored = RunManifest.load(spec.output / "run.json").spec
        if stored.get("time_budget") == describe_budget(spec) and stored["engines"] == list(spec.engines):
            return replace(
                spec,
                before_budget=spec,
                batch_sizes=tuple(stored["batch_sizes"]),
                bench_duration_s=stored["bench_duration_s"],
                bench_min_samples=stored["bench_min_samples"],
            )
    return None


def describe_budget(spec: RunSpec) -> list[object]:
    """The budget and what it chooses from, as a run's settings hold it."""
    return [spec.time_budget_s, list(spec.batch_sizes), spec.bench_duration_s, spec.bench_min_samples]


def _list_choices(plan: RunPlan) -> Iterator[_Choice]:
    """All batch sizes first, then the smallest and the largest, then the largest alone; each from long to short.

    Those that a gate names are always among them.
    """
    spec = plan.spec
    named: set[int | None] = {term.batch_size for gate in plan.checked.gates for term in gate.terms.values()}
    largest: int | None = max(spec.batch_sizes)
    durations = [spec.bench_duration_s, *(d for d in DURATIONS_S if d < spec.bench_duration_s)]
    kept: list[set[int | None]] = [{*spec.batch_sizes}, {min(spec.batch_sizes), largest, *named}, {largest, *named}]
    for sizes in dict.fromkeys(tuple(size for size in spec.batch_sizes if size in wanted) for wanted in kept):
        yield from (_Choice(sizes, duration) for duration in durations)


def _measure_cost(choice: _Choice, plan: RunPlan, estimates: Estimates) -> float:
    """Seconds to measure every engine: what a point took beside its timing, else as long as its warm-up may take."""
    total = 0.0
    for engine in plan.checked.engines:
        found = estimates.get(("bench", engine.label))
        beside_s = limit_warmup(choice.duration_s) if found is None else found[0].overhead_s
        total += len(choice.batch_sizes) * (beside_s + choice.duration_s)
    return total


def _apply(spec: RunSpec, chosen: _Choice) -> RunSpec:
    share = chosen.duration_s / spec.bench_duration_s
    samples = min(spec.bench_min_samples, max(LEAST_SAMPLES, round(share * spec.bench_min_samples)))
    return replace(
        spec,
        before_budget=spec,
        batch_sizes=chosen.batch_sizes,
        bench_duration_s=chosen.duration_s,
        bench_min_samples=samples,
    )


def _describe(spec: RunSpec, chosen: _Choice, known_s: float, unknown: Sequence[str], images: int) -> Iterator[str]:
    left_out = [size for size in spec.batch_sizes if size not in chosen.batch_sizes]
    shorter = "" if chosen.duration_s == spec.bench_duration_s else f" instead of {spec.bench_duration_s:g}"
    measured = f"batch {', '.join(map(str, chosen.batch_sizes))} for {chosen.duration_s:g} s each{shorter}"
    budget = write_duration(spec.time_budget_s or 0.0)
    yield f"{budget}: measures {measured}; {_describe_rest(known_s, unknown)}"
    if left_out:
        yield f"left out: batch {', '.join(map(str, left_out))}"
    yield f"all {images} images are evaluated, however long it takes"


def _describe_rest(known_s: float, unknown: Sequence[str]) -> str:
    known = f"what else is left takes {known_s / 60:.1f} min"
    if not unknown:
        return known
    return f"{known} and, as nothing on this machine says how long, {', '.join(unknown)}"
