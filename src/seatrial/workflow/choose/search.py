"""`seatrial choose`: compile every candidate, let their settings race, and store what is to be deployed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.data.calibration import hash_contents, read_calibration
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines.base import EngineFile
from seatrial.errors import EngineError
from seatrial.machine.cpu import count_cores
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.progress import Progress, Update, silent
from seatrial.results.run import CHOICE
from seatrial.store.choice import Choice
from seatrial.store.files import hash_value, locked
from seatrial.store.stage_cache import CachedStage
from seatrial.workflow.bench import prepare_pixels
from seatrial.workflow.choose.candidates import FOLDER, Candidates, list_unjudged
from seatrial.workflow.choose.conclude import SearchResult, conclude
from seatrial.workflow.choose.contenders import Contender, Judged, RoundSamples
from seatrial.workflow.choose.measuring import Measuring, list_contenders
from seatrial.workflow.choose.race import Race
from seatrial.workflow.choose.spec import ChooseSpec, Subject, list_candidates, open_subject
from seatrial.workflow.compile import split_engine
from seatrial.workflow.quantize import CALIBRATION_IMAGES

CHOOSE = CachedStage("choose", "choose/1", "chosen")


@dataclass(slots=True)
class Watch:
    """How long the parts of a choice took, and whether its time is up."""

    budget_s: float | None
    began: float = field(default_factory=time.perf_counter)
    spent_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Count the block to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s[part] = self.spent_s.get(part, 0.0) + time.perf_counter() - start

    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return self.budget_s is not None and time.perf_counter() - self.began >= self.budget_s


def choose_deployment(spec: ChooseSpec, progress: Progress = silent) -> tuple[Choice, Path]:
    """Find the engine and setting that are best by the goal among those that certainly keep the accuracy.

    What was compiled, evaluated and measured stays in the run folder: the same call resumes, and a complete choice is
    taken as it is.

    Returns:
        what is stored, and where.

    Raises:
        SeatrialError: the run, an image or the reference is not as it must be, or no candidate can be run at all.
    """
    watch = Watch(spec.time_budget_s)
    subject = open_subject(spec, progress)
    foreign = subject.recipe.network.builder == "onnx"
    texts = list_candidates(spec.engines, foreign, subject.calibration is not None, progress)
    key = _choose_key(spec, subject, texts)
    path = subject.folder / CHOICE
    with locked(subject.folder):
        found = CHOOSE.find(
            key, lambda: Choice.load(path), lambda stored: stored if stored.complete else None, progress
        )
        if found is not None:
            progress(CHOOSE.already(found.goal))
            return found, path
        for text in list_unjudged(subject.recipe.gates, subject.manifest.spec.get("gates", ())):
            progress(Update("choose", note=f"not judged here, but by `seatrial run`: {text}"))
        candidates = Candidates(subject, progress)
        with watch.time("compile"):
            candidates.compile(texts)
        if all(each.file is None for each in candidates.by_name.values()):
            problem = next(iter(candidates.by_name.values())).problem
            raise EngineError(f"no candidate can be compiled: {problem}", "`seatrial doctor` tries each engine")
        if spec.goal.kind == "size":
            conclusion = choose_smallest(candidates, watch)
        else:
            conclusion = _race(spec, subject, candidates, watch, progress)
        choice = conclude(key, spec, subject, candidates, conclusion, watch.spent_s)
        choice.save(path)
    return choice, path


def _choose_key(spec: ChooseSpec, subject: Subject, texts: tuple[str, ...]) -> str:
    environment = read_environment()
    return CHOOSE.key(
        {
            "run": subject.manifest.identity,
            "graph": subject.graph.manifest.sha256,
            "goal": spec.goal.text,
            "max_drop_pp": subject.limit_pp,
            "engines": texts,
            "batch_sizes": subject.batch_sizes,
            "calibration": hash_calibration(subject.calibration, texts),
            "machine": machine_hash(environment),
            "versions": environment.versions,
        }
    )


def hash_calibration(calibration: Path | None, texts: Sequence[str]) -> str | None:
    """What identifies the images that int8 is calibrated with; None where no candidate is of int8, or there are none.

    Raises:
        DataError: one of them cannot be read.
    """
    if calibration is None or not any(split_engine(text)[1] == "int8" for text in texts):
        return None
    return hash_value(sorted(hash_contents(read_calibration(calibration, CALIBRATION_IMAGES))))


def choose_smallest(candidates: Candidates, watch: Watch) -> SearchResult:
    """Evaluate the candidates from the smallest files on, until one keeps the accuracy and all larger ones are left."""
    verdicts: dict[str, Judged] = {}
    sizes = {name: candidates.measure_size(name) for name in candidates.by_name}
    todo = sorted((size, name) for name, size in sizes.items() if size is not None)
    best: int | None = None
    while todo and not watch.is_over():
        size, name = todo.pop(0)
        if best is not None and size > best:
            return SearchResult(verdicts=verdicts)
        with watch.time("evaluate"):
            verdicts[name] = candidates.judge(name)
        if verdicts[name].outcome == "PASS":
            best = size
            continue
        mixed = candidates.mix(name)
        mixed_size = None if mixed is None else candidates.measure_size(mixed.name)
        if mixed is not None and mixed_size is not None:
            todo = sorted([*todo, (mixed_size, mixed.name)])
    return SearchResult(verdicts=verdicts, complete=not todo)


def _race(spec: ChooseSpec, subject: Subject, candidates: Candidates, watch: Watch, progress: Progress) -> SearchResult:
    pipeline = read_pipeline(subject.graph.manifest)
    own = subject.folder / FOLDER
    own.mkdir(exist_ok=True)
    pixels = prepare_pixels([image.path for image in subject.images], pipeline, own / "images.npy")
    with Measuring(own / "points", pixels, len(candidates.by_name)) as measuring:
        track = _Track(subject, candidates, measuring, watch)
        settings = [track.enter(name) for name in candidates.by_name]
        late = candidates.can_mix * max(map(len, settings))
        race = Race([each for some in settings for each in some], track, progress, spec.goal.limit, late)
        best = race.run()
        if not race.verdicts and race.complete and race.dropped:
            _refuse_unrunnable(race)
        return SearchResult(race.verdicts, race, best, race.complete, measuring.count())


def _refuse_unrunnable(race: Race) -> None:
    """Refuse to choose where nothing could be measured.

    Raises:
        EngineError: nothing could.
    """
    if all(drop.kind == "failed" for drop in race.dropped.values()):
        raise EngineError(f"no setting can be run: {next(iter(race.dropped.values())).reason}")


@dataclass(frozen=True, slots=True)
class _Track:
    """A race on this machine."""

    subject: Subject
    candidates: Candidates
    measuring: Measuring
    watch: Watch

    def enter(self, name: str) -> list[Contender]:
        """The settings of a candidate; none of one that could not be compiled."""
        candidate = self.candidates.by_name[name]
        if candidate.file is None:
            return []
        device = candidate.build.device
        return list_contenders(name, device, self.subject.batch_sizes, count_cores())

    def screen(self, contender: Contender, number: int) -> RoundSamples:
        """As `contenders.Track.screen`."""
        with self.watch.time("measure"):
            return self.measuring.screen(contender, self._find_file(contender), number)

    def measure(self, contender: Contender, number: int, least: int) -> RoundSamples:
        """As `contenders.Track.measure`."""
        with self.watch.time("measure"):
            return self.measuring.measure(contender, self._find_file(contender), number, least)

    def judge(self, candidate: str) -> Judged:
        """As `contenders.Track.judge`."""
        with self.watch.time("evaluate"):
            return self.candidates.judge(candidate)

    def replace(self, candidate: str) -> list[Contender]:
        """As `contenders.Track.replace`."""
        with self.watch.time("compile"):
            mixed = self.candidates.mix(candidate)
        return [] if mixed is None else self.enter(mixed.name)

    def confirm(self, contender: Contender) -> RoundSamples:
        """As `contenders.Track.confirm`."""
        with self.watch.time("measure"):
            return self.measuring.confirm(contender, self._find_file(contender))

    def _find_file(self, contender: Contender) -> EngineFile:
        file = self.candidates.by_name[contender.candidate].file
        assert file is not None
        return file

    def is_over(self) -> bool:
        """As `contenders.Track.is_over`."""
        return self.watch.is_over()
