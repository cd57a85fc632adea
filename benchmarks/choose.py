"""`seatrial choose` beside an exhaustive search: does it find the same, and in what share of the time?

    python benchmarks/choose.py --folder WORK [--networks …] [--trials 2] [--batch-size 1,4,8,16] [--engines …]
                                [--image-size 224] [--duration 10] [--load 0] [--seconds 3000]

The exhaustive search evaluates every candidate on all images and measures every setting as `seatrial run` does, by
default for 10 s and 50 samples. It is done once for each network and serves both goals: throughput, and a latency that
about half of its settings keep. Each trial of `choose` begins with the same compiled engines and with nothing measured
or evaluated but the reference. Compiling is in neither time.

A trial agrees when it chooses the exhaustive search's best (same), lists it as one that it cannot tell from its own
(listed), or chooses one whose interval in the exhaustive search touches the best's (touches); else it missed it. The
exit code is 1 when more than one of twenty missed, or the time of all trials is more than a quarter.

Weights are random by a fixed rule, and the images have no labels: the gate is on changed predictions. `--load N` keeps
N processes busy beside both. What the machine did besides is printed as its load average.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from networks import draw_weights, make_pictures
from safetensors.torch import save_file

from seatrial.bench.sweep import SweepSpec, sweep
from seatrial.engines.base import EngineFile
from seatrial.evaluation.executor import EvaluateSpec
from seatrial.machine.cpu import count_cores
from seatrial.models.build import build_network
from seatrial.models.sources import resolve_card
from seatrial.progress import silent
from seatrial.results.speed import Speed, measure_speeds
from seatrial.store.choice import Choice
from seatrial.store.measurement import Measurement
from seatrial.workflow.choose.candidates import Candidates
from seatrial.workflow.choose.measuring import list_contenders
from seatrial.workflow.choose.search import choose_deployment
from seatrial.workflow.choose.spec import ChooseSpec, Subject, list_candidates, open_subject, parse_goal
from seatrial.workflow.evaluate import evaluate_engine
from seatrial.workflow.run_jobs import LEAST_WARMUP_S
from seatrial.workflow.run_spec import RunSpec

NETWORKS = ("resnet18", "mobilenetv3_small_100", "spnasnet_100", "regnety_004", "efficientnet_b0")
"""Of timm."""
LIMIT_PP = 30.0
MOST_MISSED, MOST_TIME = 0.05, 0.25
Place = tuple[str, int, int]
"""Candidate, batch size and streams."""


@dataclass
class Exhaustive:
    """What an exhaustive search found."""

    speeds: dict[Place, Speed]
    """Of the candidates that keep the accuracy."""
    seconds: float
    settings: int

    def find_best(self, limit_ms: float | None) -> Place | None:
        """The most images a second, where 99 % of the samples are within the limit."""
        within = [place for place, s in self.speeds.items() if limit_ms is None or s.latency.p99_ms <= limit_ms]
        return max(within, key=lambda place: self.speeds[place].images_per_s, default=None)

    def find_limit(self) -> float:
        """A latency in ms that half of the settings keep."""
        found = sorted(speed.latency.p99_ms for speed in self.speeds.values())
        return float(f"{found[len(found) // 2]:.3g}")


@dataclass
class Total:
    """All trials so far."""

    trials: int = 0
    missed: int = 0
    share: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """One choice beside the exhaustive search."""

    name: str
    outcome: str
    share: float
    """Of the exhaustive search's time."""
    load: float
    choice: Choice


def judge_trial(choice: Choice, found: Exhaustive, best: Place | None) -> str:
    """Whether a trial agrees with the exhaustive search, and how."""
    chosen = choice.chosen
    if chosen is None or best is None:
        return "same" if chosen is None and best is None else "missed"
    place = (chosen.candidate, chosen.batch_size, chosen.streams)
    if place == best:
        return "same"
    if best in {(each.candidate, each.batch_size, each.streams) for each in choice.as_fast}:
        return "listed"
    ours, theirs = (found.speeds[each].rate.bounds if each in found.speeds else None for each in (place, best))
    return "touches" if ours and theirs and ours[1] >= theirs[0] else "missed"


def read_exhaustive(folder: Path) -> Exhaustive | None:
    """An exhaustive search that an earlier run of this benchmark finished."""
    done = folder / "exhaustive.json"
    if not done.exists():
        return None
    stored = json.loads(done.read_text(encoding="utf-8"))
    speeds = {name: read_speeds(Measurement.load(folder / f"{name}.json"), name) for name in stored["candidates"]}
    passing = {place: speed for name in stored["passing"] for place, speed in speeds[name].items()}
    return Exhaustive(passing, stored["seconds"], sum(map(len, speeds.values())))


def read_speeds(measured: Measurement, name: str) -> dict[Place, Speed]:
    """Every setting of a record."""
    return {(name, s.latency.batch_size, s.streams): s for s in measure_speeds(measured)}


def search_exhaustively(subject: Subject, candidates: Candidates, folder: Path, duration_s: float) -> Exhaustive:
    """Evaluate and measure everything."""
    began = time.perf_counter()
    passing = []
    for name, candidate in candidates.by_name.items():
        if candidate.file is None:
            print(f"  {name}: {candidate.problem}", flush=True)
            continue
        if not candidate.reference:
            job = EvaluateSpec(subject.images, subject.evaluate_batch_size)
            evaluate_engine(candidate.file, job, folder / "evaluation", silent)
        judged = candidates.judge(name)
        print(f"  {name}: {judged.outcome}: {judged.reason}", flush=True)
        if judged.outcome == "PASS":
            passing.append(candidate.file)
    files = [each.file for each in candidates.by_name.values() if each.file is not None]
    for file in files:
        measure_all(subject, file, folder, duration_s)
    seconds = time.perf_counter() - began
    names, kept = ([file.folder.name for file in some] for some in (files, passing))
    stored = {"seconds": seconds, "candidates": names, "passing": kept}
    (folder / "exhaustive.json").write_text(json.dumps(stored), encoding="utf-8")
    found = read_exhaustive(folder)
    assert found is not None
    return found


def measure_all(subject: Subject, file: EngineFile, folder: Path, duration_s: float) -> None:
    """Every setting of an engine, as `seatrial run` measures."""
    own = list_contenders(file.folder.name, file.manifest.device, subject.batch_sizes, count_cores())
    spec = SweepSpec(batch_sizes=subject.batch_sizes, streams=tuple(dict.fromkeys(each.streams for each in own)))
    limits = spec.limits.model_copy(
        update={"duration_s": duration_s, "warmup_budget_s": max(LEAST_WARMUP_S, duration_s)}
    )
    measured = sweep(file, spec.model_copy(update={"limits": limits}), silent)
    measured.save(folder / f"{file.folder.name}.json")


@contextmanager
def keep_busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute, until the block ends."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def make_model(name: str, asked: argparse.Namespace) -> tuple[Path, Path]:
    """The network's card and weights; what it predicts is not plausible, and need not be."""
    card: Path = asked.folder / f"{name}.toml"
    path: Path = asked.folder / f"{name}.safetensors"
    resolved = resolve_card(f"timm:{name}", asked.image_size, None, None)
    card.write_text(f"{resolved.text}\n[gates]\nplausible = false\n", encoding="utf-8")
    if not path.exists():
        state = build_network(resolved.recipe.network).state_dict()
        save_file({key: draw_weights(key, tensor.shape) for key, tensor in state.items()}, path)
    return card, path


def prepare(name: str, asked: argparse.Namespace) -> tuple[Path, ChooseSpec]:
    """A run of which engines are compiled and the reference is evaluated, and nothing else."""
    folder = asked.folder / f"{name}-prepared"
    card, checkpoint = make_model(name, asked)
    begin = RunSpec(
        recipe=str(card),
        checkpoint=checkpoint,
        images=make_pictures(asked.folder / "pictures")[0].parent,
        labels=None,
        unlabelled=True,
        engines=(),
        output=folder,
    )
    sizes = tuple(map(int, asked.batch_size.split(",")))
    engines = tuple(asked.engines.split(","))
    spec = ChooseSpec(str(folder), parse_goal("throughput"), LIMIT_PP, engines, sizes, begin=begin)
    if not (folder / "prepared").exists():
        candidates = Candidates(open_subject(spec, silent), silent)
        candidates.compile(list_candidates(engines, False, False, silent))
        candidates.evaluate_reference()
        (folder / "prepared").touch()
    return folder, spec


def run_network(name: str, asked: argparse.Namespace, total: Total, over: float) -> None:
    """The exhaustive search of a network, then the trials of both goals."""
    prepared, spec = prepare(name, asked)
    subject = open_subject(spec, silent)
    scratch = asked.folder / f"{name}-exhaustive"
    load, found = os.getloadavg()[0], read_exhaustive(scratch)
    if found is None:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(prepared, scratch)
        candidates = Candidates(open_subject(move(spec, scratch), silent), silent)
        candidates.compile(list_candidates(spec.engines, False, False, silent))
        load, found = os.getloadavg()[0], search_exhaustively(subject, candidates, scratch, asked.duration)
    print(f"{name}: exhaustive {found.seconds:.0f} s, {found.settings} settings, load {load:.1f}", flush=True)
    limit_ms = found.find_limit()
    for goal, limit in (("throughput", None), (f"latency={limit_ms:g}ms@p99", limit_ms)):
        best = found.find_best(limit)
        for trial in range(asked.trials):
            if time.perf_counter() > over:
                print("the time is up", flush=True)
                return
            work = asked.folder / f"{name}-trial"
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(prepared, work)
            load, began = os.getloadavg()[0], time.perf_counter()
            choice, _ = choose_deployment(move(spec, work, goal), silent)
            seconds = time.perf_counter() - began
            outcome = judge_trial(choice, found, best)
            total.trials, total.missed = total.trials + 1, total.missed + (outcome == "missed")
            total.share.append(seconds / found.seconds)
            done = Trial(f"{goal} {trial + 1}", outcome, seconds / found.seconds, load, choice)
            print(describe(done, found, best), flush=True)


def move(spec: ChooseSpec, folder: Path, goal: str = "throughput") -> ChooseSpec:
    """The same of another folder."""
    return ChooseSpec(str(folder), parse_goal(goal), spec.max_drop_pp, spec.engines, spec.batch_sizes)


def describe(trial: Trial, found: Exhaustive, best: Place | None) -> str:
    """A line for a trial."""
    chosen, times = trial.choice.chosen, trial.choice.times
    place = None if chosen is None else (chosen.candidate, chosen.batch_size, chosen.streams)
    rate = ""
    if place in found.speeds and best is not None:
        rate = f", {found.speeds[place].images_per_s / found.speeds[best].images_per_s:.2f} of the best's rate there"
    return (
        f"  {trial.name}: {trial.outcome:<8} {trial.share:4.0%} of the time, load {trial.load:.1f}: {write(place)}, "
        f"as fast: {len(trial.choice.as_fast)}, best: {write(best)}{rate}; {trial.choice.rounds} rounds, "
        f"measured {times.measure_s:.0f} s, evaluated {times.evaluate_s:.0f} s"
    )


def write(place: Place | None) -> str:
    """A setting in short."""
    return "nothing" if place is None else f"{place[0]} {place[1]}×{place[2]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each trial, and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--batch-size", default="1,4,8,16")
    parser.add_argument("--engines", default="onnxruntime,openvino")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--duration", type=float, default=10.0)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="Begin no trial after so long.")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    total, over = Total(), time.perf_counter() + asked.seconds
    with keep_busy(asked.load):
        for name in asked.networks.split(","):
            if time.perf_counter() < over:
                run_network(name, asked, total, over)
    return conclude(total)


def conclude(total: Total) -> int:
    """Print what the trials come to; 1 where they missed too often or took too long."""
    if not total.trials:
        print("no trial was run")
        return 1
    share = sum(total.share) / len(total.share)
    print(f"{total.trials - total.missed} of {total.trials} agree, in {share:.0%} of the time on average")
    return int(total.missed > MOST_MISSED * total.trials or share > MOST_TIME)


if __name__ == "__main__":
    sys.exit(main())
