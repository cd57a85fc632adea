"""`run --time-budget`: how much is measured, so that a run takes no longer than it may.

Only measuring is shortened: fewer batch sizes, and less time for each. What proves the accuracy is always done whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from seatrial.errors import SeatrialError, UsageError
from seatrial.progress import Progress, Update, write_duration
from seatrial.store.command_line import write_duration_option
from seatrial.store.records import RunManifest
from seatrial.workflow.run_jobs import limit_warmup
from seatrial.workflow.run_plan import Estimates, RunPlan, plan_checked, read_estimates
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

    @classmethod
    def of(cls, spec: RunSpec) -> "_Choice":
        """What a spec measures."""
        return cls(spec.batch_sizes, spec.bench_duration_s)

    def covers(self, other: "_Choice") -> bool:
        """Whether it measures all that the other does, for no less time."""
        return {*other.batch_sizes} <= {*self.batch_sizes} and other.duration_s <= self.duration_s


def fit_budget(plan: RunPlan, progress: Progress) -> RunSpec:
    """The spec of a plan with the batch sizes and times of measuring that its budget allows; all as it is without one.

    A run that was begun with the same budget goes on with what it chose. An engine that is measured already, and no
    less, costs nothing and keeps its record, so that a run that is done needs nothing.

    Raises:
        UsageError: what is known to be left takes longer than the budget.
    """
    spec = plan.spec
    if spec.time_budget_s is None:
        return spec
    stored, is_same = _find_choice(spec)
    measured = _find_measured(plan, stored)
    if stored is not None and is_same:
        return replace(stored, measured_as=_keep(measured, _Choice.of(stored)))
    estimates = read_estimates(spec.output, plan.checked.recipe.network.name)
    rest = [stage for stage in plan.stages if stage.stage != "bench"]
    known_s = sum(stage.seconds or 0.0 for stage in rest)
    unknown = [f"{stage.stage} {stage.engine}".strip() for stage in rest if stage.seconds is None]
    left_s = spec.time_budget_s - known_s
    available_s = left_s * (1 - UNKNOWN_SHARE) if unknown else left_s
    choices = [c for c in _list_choices(plan) if all(one.covers(c) or c.covers(one) for one in _choices_of(measured))]
    costs_s = [_measure_cost(choice, plan, estimates, measured) for choice in choices]
    chosen = next((c for c, cost_s in zip(choices, costs_s, strict=True) if cost_s <= available_s), None)
    if chosen is None:
        raise _refuse(spec.time_budget_s, known_s, unknown, min(costs_s))
    kept = _keep(measured, chosen)
    if len(kept) < len(plan.checked.engines):
        for note in _describe(spec, chosen, known_s, unknown, len(plan.checked.images)):
            progress(Update("budget", note=note))
    else:
        budget = write_duration_option(spec.time_budget_s)
        progress(Update("budget", note=f"{budget}: all that it allows is measured already"))
    return replace(_apply(spec, chosen), measured_as=kept)


def _refuse(budget_s: float, known_s: float, unknown: Sequence[str], shortest_s: float) -> UsageError:
    least_s = known_s + (shortest_s / (1 - UNKNOWN_SHARE) if unknown else shortest_s)
    budget = write_duration_option(budget_s)
    return UsageError(
        f"--time-budget {budget} is not enough: {_describe_rest(known_s, unknown)}, and the shortest "
        f"measurement makes it {write_duration(least_s)}",
        f"give --time-budget {write_duration_option(60 * -(-least_s // 60))} or more",
    )


def _find_choice(spec: RunSpec) -> tuple[RunSpec | None, bool]:
    """What a run in this folder chose from the same batch sizes and times, and whether for this budget and engines."""
    with suppress(SeatrialError):
        stored = RunManifest.load(spec.output / "run.json").spec
        before, now = stored.get("time_budget", []), describe_budget(spec)
        if before[1:] == now[1:]:
            chosen = replace(
                spec,
                before_budget=spec,
                batch_sizes=tuple(stored["batch_sizes"]),
                bench_duration_s=stored["bench_duration_s"],
                bench_min_samples=stored["bench_min_samples"],
            )
            return chosen, before == now and stored["engines"] == list(spec.engines)
    return None, False


def _find_measured(plan: RunPlan, stored: RunSpec | None) -> dict[str, RunSpec]:
    """The engines whose measurement is done, as requested or as an earlier budget chose, and what it was done by."""
    plans = [plan] if stored is None else [plan_checked(stored, plan.checked), plan]
    return {stage.engine: each.spec for each in plans for stage in each.stages if stage.stage == "bench" and stage.done}


def _choices_of(measured: Mapping[str, RunSpec]) -> Iterator[_Choice]:
    return (_Choice.of(spec) for spec in measured.values())


def _keep(measured: Mapping[str, RunSpec], chosen: _Choice) -> dict[str, RunSpec]:
    """The engines that are measured no less than was chosen."""
    return {label: spec for label, spec in measured.items() if _Choice.of(spec).covers(chosen)}


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


def _measure_cost(choice: _Choice, plan: RunPlan, estimates: Estimates, measured: Mapping[str, RunSpec]) -> float:
    """Seconds to measure every engine that is not measured so already.

    That is what a point took beside its timing, else as long as its warm-up may take.
    """
    total, kept = 0.0, _keep(measured, choice)
    for engine in plan.checked.engines:
        if engine.label in kept:
            continue
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
    budget = write_duration_option(spec.time_budget_s or 0.0)
    yield f"{budget}: measures {measured}; {_describe_rest(known_s, unknown)}"
    if left_out:
        yield f"left out: batch {', '.join(map(str, left_out))}"
    yield f"all {images} images are evaluated, however long it takes"


def _describe_rest(known_s: float, unknown: Sequence[str]) -> str:
    known = f"what else is left takes {write_duration(known_s)}"
    if not unknown:
        return known
    return f"{known} and, as nothing on this machine says how long, {', '.join(unknown)}"
