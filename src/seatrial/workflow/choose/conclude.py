"""What came of a choice, as its record: what is to be deployed, why not the others, and how to build it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from seatrial.errors import ExitCode
from seatrial.machine.environment import read_environment
from seatrial.metrics.latency import Latency
from seatrial.metrics.race import ALPHA
from seatrial.metrics.rate import find_interval
from seatrial.store.choice import CandidateResult, Choice, ChoiceTimes, SettingResult, SettingState
from seatrial.store.command_line import join_words, write_words
from seatrial.workflow.choose.candidates import Candidate, Candidates
from seatrial.workflow.choose.contenders import Contender, Judged
from seatrial.workflow.choose.measuring import MeasurementCount
from seatrial.workflow.choose.race import Race
from seatrial.workflow.choose.spec import ChooseSpec, Subject

BUSY_SHARE = 0.5
"""More measurements than this share beside other work make a doubt."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """How the search ended."""

    verdicts: Mapping[str, Judged] = field(default_factory=dict)
    race: Race | None = None
    """None of goal *size*."""
    best: Contender | None = None
    complete: bool = True
    count: MeasurementCount = field(default_factory=MeasurementCount)


def conclude(
    key: str,
    spec: ChooseSpec,
    subject: Subject,
    candidates: Candidates,
    conclusion: SearchResult,
    spent_s: Mapping[str, float],
) -> Choice:
    """The record of a choice."""
    settings = tuple(_list_settings(conclusion)) if conclusion.race is not None else ()
    chosen = next((each for each in settings if each.state == "chosen"), None)
    if spec.goal.kind == "size":
        chosen = _find_smallest(candidates, conclusion.verdicts)
    results = tuple(_describe(subject, candidates, each, conclusion) for each in candidates.by_name.values())
    return Choice(
        key=key,
        run=subject.manifest.identity,
        goal=spec.goal.text,
        max_drop_pp=subject.limit_pp,
        exit_code=ExitCode.PASS if chosen is not None else explain_none(settings, results),
        complete=conclusion.complete,
        chosen=chosen,
        candidates=results,
        settings=settings,
        command=() if chosen is None else tuple(write_commands(subject, candidates.by_name[chosen.candidate], chosen)),
        rounds=0 if conclusion.race is None else len(conclusion.race.finals.rounds),
        screenings=0 if conclusion.race is None else len(conclusion.race.screening.rounds),
        processes=conclusion.count.processes,
        error_rate=ALPHA,
        times=ChoiceTimes(**{f"{part}_s": round(seconds, 3) for part, seconds in spent_s.items()}),
        doubts=tuple(_find_doubts(conclusion)),
        environment=read_environment(),
    )


def _find_smallest(candidates: Candidates, verdicts: Mapping[str, Judged]) -> SettingResult | None:
    passing = [name for name, judged in verdicts.items() if judged.outcome == "PASS"]
    if not passing:
        return None
    best = min(passing, key=lambda name: candidates.measure_size(name) or 0)
    return SettingResult(candidate=best, state="chosen", batch_size=1, streams=1, threads=None)


def _list_settings(conclusion: SearchResult) -> Iterator[SettingResult]:
    race = conclusion.race
    assert race is not None
    for contender in race.entered:
        yield _describe_setting(race, contender, conclusion.best)


def _describe_setting(race: Race, contender: Contender, best: Contender | None) -> SettingResult:
    drop = race.dropped.get(contender)
    rounds, screened = (stage.samples.get(contender, []) for stage in (race.finals, race.screening))
    measured = [samples.durations_ms for samples in rounds or screened]
    durations = race.list_durations(contender)
    facts: dict[str, object] = {"rounds": len(rounds), "screened": len(screened), "samples": len(durations)}
    if measured:
        batch_size, streams = contender.batch_size, contender.streams
        in_rounds = [ms for samples in measured for ms in samples]
        facts["images_per_s"] = Latency.of(in_rounds, batch_size, streams).images_per_s
        facts["p99_ms"] = Latency.of(durations, batch_size, streams).p99_ms
        # What one process measured again and again says nothing of another.
        interval = find_interval(measured, batch_size, streams) if len(rounds) > 1 else None
        facts["low"], facts["high"] = interval or (None, None)
    bounds = None if best is None or contender == best else race.compare(contender, best)
    if bounds is not None:
        # Nothing is certain of one that was hardly measured: no bound then.
        facts["times_low"] = bounds[0] if bounds[0] > 0 else None
        facts["times_high"] = bounds[1] if bounds[1] < float("inf") else None
    state: SettingState = "chosen" if contender == best else "not measured" if not measured else "as fast"
    reason = ""
    if drop is not None:
        state, reason = drop.kind, drop.reason
    elif state == "as fast" and (best is None or contender.candidate not in race.verdicts):
        state, reason = "not evaluated", "the time was up"
    elif state == "not measured":
        reason = "the time was up"
    return SettingResult(
        candidate=contender.candidate,
        batch_size=contender.batch_size,
        streams=contender.streams,
        threads=contender.threads,
        state=state,
        reason=reason,
    ).model_copy(update=facts)


def _describe(
    subject: Subject, candidates: Candidates, candidate: Candidate, conclusion: SearchResult
) -> CandidateResult:
    judged, record = conclusion.verdicts.get(candidate.name), candidates.records.get(candidate.name)
    build = candidate.build
    return CandidateResult(
        name=candidate.name,
        engine=build.engine,
        precision=build.precision,
        device=build.device,
        graph=str(candidate.graph.path.resolve().relative_to(subject.folder.resolve())),
        options={} if candidate.file is None else candidate.file.manifest.options,
        size_bytes=candidates.measure_size(candidate.name),
        outcome=None if judged is None else judged.outcome,
        images=None if record is None else record.images,
        reason=candidate.problem if judged is None else judged.reason,
    )


def explain_none(settings: tuple[SettingResult, ...], results: tuple[CandidateResult, ...]) -> ExitCode:
    """Why nothing was chosen: something is open, no latency is kept, or no accuracy."""
    states = {each.state for each in settings}
    compiled = [each for each in results if each.size_bytes is not None]
    open_ = {"accuracy open", "latency open", "not evaluated", "not measured", "as fast"} & states
    if open_ or any(each.outcome == "INCONCLUSIVE" for each in compiled):
        return ExitCode.INCONCLUSIVE
    if "latency" in states:
        return ExitCode.SPEED
    return ExitCode.ACCURACY if all(each.outcome == "FAIL" for each in compiled) else ExitCode.INCONCLUSIVE


def write_commands(subject: Subject, candidate: Candidate, setting: SettingResult) -> Iterator[str]:
    """The command lines that build a candidate for a setting, and that measure it there."""
    build, output = candidate.build, f"engines/{candidate.name}"
    free = build.capabilities is not None and build.capabilities.free_batch
    options = dict(build.options)
    if setting.threads is not None:
        options["threads"] = str(setting.threads)
    compiled = write_words(
        "compile",
        candidate.graph.path,
        engine=build.engine,
        precision=build.precision,
        device=build.device,
        batch_size=None if free else setting.batch_size,
        option=[f"{name}={value}" for name, value in options.items()],
        output=output,
    )
    yield join_words(compiled)
    if setting.images_per_s is not None:
        streams = setting.streams
        measured = write_words("bench", output, batch_size=setting.batch_size, streams=streams, output=f"{output}.json")
        yield join_words(measured)


def _find_doubts(conclusion: SearchResult) -> Iterator[str]:
    race = conclusion.race
    if race is None:
        return
    count = conclusion.count
    if count.reused:
        before = f"{count.reused} of {count.reused + count.measured} measurements are of an earlier attempt"
        yield f"{before}: the machine may have changed since"
    samples = [each for some in race.finals.samples.values() for each in some]
    busy = sum(not each.quiet for each in samples)
    if samples and busy > BUSY_SHARE * len(samples):
        yield (
            f"{busy} of {len(samples)} measurements were not known to have the machine to themselves: "
            "what is fastest beside other work need not be so without"
        )
