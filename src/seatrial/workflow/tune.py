"""`seatrial compile --tune`: the batch size, streams and threads at which an engine gives most images per second.

Every setting is measured briefly and only the best ones longer (successive halving, Jamieson and Talwalkar 2016); a
series of growing batches is left once it has fallen behind itself or another. What was measured is kept until the
end, so that a tuning that was stopped goes on.
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from seatrial.bench.measure import Limits
from seatrial.bench.sweep import run_worker
from seatrial.bench.worker import Job
from seatrial.engines.base import EngineFile, GraphFile
from seatrial.engines.engine_folder import BuildSpec, build_engine, find_built
from seatrial.foreign.files import read_bytes
from seatrial.machine.cpu import count_cores
from seatrial.metrics.latency import Latency
from seatrial.progress import Progress, Update, silent
from seatrial.store.files import write_text
from seatrial.store.json_text import write_adapted
from seatrial.store.stage_cache import CachedStage
from seatrial.store.tuning import Setting, Trial, Tuning
from seatrial.workflow.compile import choose_graph, compile_graph, compile_key

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
DURATION_S = 10.0
"""What an exhaustive search would spend on each setting."""
ROUNDS = ((0.05, 6), (0.15, 2), (0.4, 1))
"""Share of `DURATION_S` that each setting of a round is measured, and one in how many goes on."""
BEHIND = 0.85
"""A setting that gives less than this share of the best of its series, or of its batch in another, has fallen behind;
twice, and the series ends."""
TUNE = CachedStage("tune", "tune/1", "tuned")
_TRIALS = TypeAdapter(tuple[Trial, ...])


def tune_graph(graph: Path | GraphFile, spec: BuildSpec, output: Path, progress: Progress = silent) -> EngineFile:
    """Compile for every batch size, measure, and keep the engine folder of the fastest setting at `output`.

    Args:
        spec: the batch sizes to try; `BATCH_SIZES` where it has none.

    Raises:
        SeatrialError: as `compile_graph` and the measuring.
    """
    sizes = spec.batch_sizes or BATCH_SIZES
    spec = replace(spec.probed(), batch_sizes=())
    graph = choose_graph(graph, spec, progress)
    search = {"batch_sizes": sizes, "duration_s": DURATION_S, "images": None, "rounds": ROUNDS}
    key = TUNE.key({"compile": compile_key(graph.manifest, spec), "tune": search})
    found = find_built(TUNE, key, output, graph.manifest, spec.capabilities, progress)
    if found is not None:
        return found
    scratch = output.with_name(f".{output.name}.tune")
    trial_engine = compile_graph(graph, replace(spec, batch_sizes=sizes), scratch / "engine", progress)
    tuner = Tuner(trial_engine, DURATION_S, scratch / f"{key[:16]}.json", progress)
    tuning = tuner.search(list_series(spec.device, sizes))
    options = spec.options if tuning.best.threads is None else {**spec.options, "threads": str(tuning.best.threads)}
    best = replace(spec, batch_sizes=(tuning.best.batch_size,), options=options, tuning=tuning)
    built = build_engine(graph, best, output, key)
    shutil.rmtree(scratch)
    progress(Update("tune", note=f"{output.name}: {describe_trial(tuning.best)} of {len(tuning.trials)} trials"))
    return built


def list_series(device: str, batch_sizes: Sequence[int] = BATCH_SIZES) -> list[list[Setting]]:
    """Settings to try: for each number of streams and threads, the batch sizes, smallest first."""
    cores = count_cores()
    powers = [2**i for i in range(cores.bit_length()) if 2**i <= cores]
    pairs: list[tuple[int, int | None]] = [(streams, None) for streams in (1, 2, 4)]
    if device == "cpu":
        # With fewer callers times threads than cores some would lie idle; with twice as many callers none has to wait.
        counts = sorted({*powers, cores})
        pairs = [(s, t) for s in (*counts, 2 * cores) for t in counts if s * t >= cores]
    return [
        [Setting(batch_size=size, streams=streams, threads=threads) for size in sorted(batch_sizes)]
        for streams, threads in pairs
    ]


def describe_trial(trial: Trial) -> str:
    """A setting and its rate, in words."""
    threads = "" if trial.threads is None else f", {trial.threads} threads"
    return f"{trial.images_per_s:.1f} images/s at batch {trial.batch_size} on {trial.streams} streams{threads}"


def set_threads(engine: EngineFile, threads: int | None) -> EngineFile:
    """The same engine, opened with so many threads; None leaves them as they are."""
    if threads is None:
        return engine
    options = {**engine.manifest.options, "threads": str(threads)}
    return replace(engine, manifest=engine.manifest.model_copy(update={"options": options}))


class Tuner:
    """Measures settings of one engine folder, each in a fresh process, and remembers them in a file."""

    def __init__(self, engine: EngineFile, duration_s: float, ledger: Path, progress: Progress) -> None:
        self._engine, self._duration_s, self._ledger, self._progress = engine, duration_s, ledger, progress
        self.trials: list[Trial] = list(_TRIALS.validate_json(read_bytes(ledger))) if ledger.exists() else []
        if self.trials:
            progress(Update("tune", note=f"already tried: {len(self.trials)} settings"))

    def search(self, series: list[list[Setting]]) -> Tuning:
        """Try the settings, briefly at first, and return the fastest."""
        (share, kept), *rounds = ROUNDS
        found = [trial for settings in series for trial in self._climb(settings, share)]
        for share, following in rounds:
            best = sorted(found, key=lambda trial: -trial.images_per_s)[: max(2, -(-len(found) // kept))]
            found, kept = [self.measure(trial, share) for trial in best], following
        return Tuning(best=max(found, key=lambda trial: trial.images_per_s), trials=tuple(self.trials))

    def measure(self, setting: Setting, share: float) -> Trial:
        """One setting's rate, measured or remembered."""
        duration_s = share * self._duration_s
        wanted = (setting.batch_size, setting.streams, setting.threads, duration_s)
        for trial in self.trials:
            if (trial.batch_size, trial.streams, trial.threads, trial.duration_s) == wanted:
                return trial
        point = run_worker(self._make_job(setting, duration_s))
        rate = Latency.of(point.durations_ms, point.batch_size, point.streams).images_per_s
        trial = Trial(
            **dict(zip(Setting.model_fields, wanted[:3], strict=True)), duration_s=duration_s, images_per_s=rate
        )
        self.trials.append(trial)
        write_text(self._ledger, write_adapted(_TRIALS, tuple(self.trials), indent=1))
        self._progress(Update("tune", note=describe_trial(trial)))
        return trial

    def _climb(self, settings: list[Setting], share: float) -> list[Trial]:
        tried: list[Trial] = []
        behind = 0
        for setting in settings:
            found = self.measure(setting, share)
            tried.append(found)
            # Behind its own smaller batches, or behind another series at the same batch.
            rivals = [trial for trial in self.trials if trial.batch_size == found.batch_size]
            behind += found.images_per_s < BEHIND * max(trial.images_per_s for trial in (*tried, *rivals))
            if behind == 2:
                break
        return tried

    def _make_job(self, setting: Setting, duration_s: float) -> Job:
        limits = Limits(
            warmup_runs=2,
            warmup_s=0.1 * duration_s,
            warmup_budget_s=0.3 * duration_s,
            duration_s=duration_s,
            min_samples=3,
        )
        return Job(
            file=set_threads(self._engine, setting.threads),
            device=self._engine.manifest.device,
            batch_size=setting.batch_size,
            streams=setting.streams,
            limits=limits,
            check=False,
        )
