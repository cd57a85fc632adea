"""`seatrial choose` beside an exhaustive search: does it find the same, and in what share of the time?

    python benchmarks/choose.py --folder WORK [--networks …] [--trials 2] [--batch-size 1,4,8,16] [--engines …]
                                [--image-size 224] [--load 0] [--seconds 3000]

The exhaustive search evaluates every candidate on all images and measures every setting as `seatrial run` measures by
default: until its rate is known within 2.5 %, for 10 s at most. It is done once for each network and serves both goals:
throughput, and a latency that about half of its settings keep (in the widest gap there, so that it can be decided).
Each trial of `choose` begins with the same compiled engines and with nothing measured or evaluated but the reference.
Compiling is in neither time. Trials of throughput take turns with the engines of the exhaustive search, so that other
work on the machine falls on both; seconds of processor time are given beside those of the clock.

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
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

from networks import draw_weights, make_pictures
from safetensors.torch import save_file

from seatrial.bench.sweep import sweep
from seatrial.data.preprocessing.input_pipeline import read_pipeline
from seatrial.engines.base import EngineFile
from seatrial.evaluation.executor import EvaluateSpec
from seatrial.machine.cpu import count_cores
from seatrial.metrics.race import judge_share
from seatrial.models.build import build_network
from seatrial.models.sources import resolve_card
from seatrial.progress import silent
from seatrial.results.speed import Speed, measure_speeds
from seatrial.store.choice import Choice
from seatrial.store.measurement import Measurement
from seatrial.workflow.bench import prepare_pixels
from seatrial.workflow.choose.candidates import Candidates
from seatrial.workflow.choose.measuring import list_contenders
from seatrial.workflow.choose.search import choose_deployment
from seatrial.workflow.choose.spec import ChooseSpec, Subject, list_candidates, open_subject, parse_goal
from seatrial.workflow.evaluate import evaluate_engine
from seatrial.workflow.run_jobs import make_sweep
from seatrial.workflow.run_spec import RunSpec

NETWORKS = ("resnet18", "mobilenetv3_small_100", "spnasnet_100", "regnety_004", "efficientnet_b0")
"""Of timm."""
LIMIT_PP = 30.0
MOST_MISSED, MOST_TIME = 0.05, 0.25
Place = tuple[str, int, int]
"""Candidate, batch size and streams."""


@dataclass(frozen=True)
class Spent:
    """What something took."""

    seconds: float
    processor_s: float
    """Of this process and all that it waited for."""

    @staticmethod
    def now() -> "Spent":
        """Until now."""
        return Spent(time.perf_counter(), sum(os.times()[:4]))

    def since(self, before: "Spent") -> "Spent":
        """From then on."""
        return Spent(self.seconds - before.seconds, self.processor_s - before.processor_s)

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds + other.seconds, self.processor_s + other.processor_s)


@dataclass
class Exhaustive:
    """What an exhaustive search found."""

    speeds: dict[Place, Speed]
    """Of the candidates that keep the accuracy."""
    durations_ms: dict[Place, tuple[float, ...]]
    """Of every batch, of the same."""
    spent: Spent
    settings: int

    def find_best(self, limit_ms: float | None) -> Place | None:
        """The most images a second, where certainly 99 % of the batches are within the limit, as the goal wants it."""
        within = [place for place in self.speeds if limit_ms is None or self.keeps(place, limit_ms)]
        return max(within, key=lambda place: self.speeds[place].images_per_s, default=None)

    def keeps(self, place: Place, limit_ms: float) -> bool:
        """Whether what was measured of a setting proves at 95 % that it keeps a latency."""
        durations = self.durations_ms[place]
        return judge_share(sum(ms > limit_ms for ms in durations), len(durations), 99, 0.05) is True

    def find_limit(self) -> float:
        """A latency in ms that about half of the settings keep, in the widest gap of the middle half."""
        found = sorted(speed.latency.p99_ms for speed in self.speeds.values())
        first, last = len(found) // 4, max(len(found) // 4 + 2, len(found) - len(found) // 4)
        low, high = max(pairwise(found[first:last]), key=lambda gap: gap[1] / gap[0])
        return float(f"{(low * high) ** 0.5:.3g}")


@dataclass(frozen=True)
class Trial:
    """One choice."""

    goal: str
    spent: Spent
    load: float
    choice: Choice


@dataclass
class Total:
    """All trials so far."""

    trials: int = 0
    missed: int = 0
    share: list[float] = field(default_factory=list)
    processor_share: list[float] = field(default_factory=list)


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
    measured = {name: Measurement.load(folder / f"{name}.json") for name in stored["candidates"]}
    speeds = {
        (name, speed.latency.batch_size, speed.streams): speed
        for name in stored["passing"]
        for speed in measure_speeds(measured[name])
    }
    durations = {
        (name, point.batch_size, point.streams): point.durations_ms
        for name in stored["passing"]
        for point in measured[name].points
    }
    return Exhaustive(speeds, durations, Spent(**stored["spent"]), sum(len(each.points) for each in measured.values()))


def search_exhaustively(subject: Subject, candidates: Candidates, folder: Path) -> Iterator[None]:
    """Evaluate and measure everything; yields after each engine, whose time until the next is not counted."""
    spent, passing = Spent(0, 0), []
    files = [each.file for each in candidates.by_name.values() if each.file is not None]
    for file in files:
        name, began = file.folder.name, Spent.now()
        if not candidates.by_name[name].reference:
            job = EvaluateSpec(subject.images, subject.evaluate_batch_size)
            evaluate_engine(file, job, folder / "evaluation", silent)
        judged = candidates.judge(name)
        measure_all(subject, file, folder)
        spent += Spent.now().since(began)
        print(f"  {name}: {judged.outcome}: {judged.reason}", flush=True)
        passing += [name] if judged.outcome == "PASS" else []
        yield
    names = [file.folder.name for file in files]
    stored = {"spent": asdict(spent), "candidates": names, "passing": passing}
    (folder / "exhaustive.json").write_text(json.dumps(stored), encoding="utf-8")


def measure_all(subject: Subject, file: EngineFile, folder: Path) -> None:
    """Every setting of an engine, as `seatrial run` measures."""
    own = list_contenders(file.folder.name, file.manifest.device, subject.batch_sizes, count_cores())
    begin = RunSpec("", None, folder, None, (), folder, batch_sizes=subject.batch_sizes)
    paths, pipeline = [image.path for image in subject.images], read_pipeline(subject.graph.manifest)
    spec = make_sweep(begin, prepare_pixels(paths, pipeline, folder / "images.npy"))
    measured = sweep(file, spec.model_copy(update={"streams": tuple(dict.fromkeys(each.streams for each in own))}))
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
    scratch, trials = asked.folder / f"{name}-exhaustive", []
    if read_exhaustive(scratch) is None:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(prepared, scratch)
        subject = open_subject(move(spec, scratch), silent)
        candidates = Candidates(subject, silent)
        candidates.compile(list_candidates(spec.engines, False, False, silent))
        for _ in search_exhaustively(subject, candidates, scratch):
            if len(trials) < asked.trials:
                trials.append(try_once(asked.folder / f"{name}-trial", prepared, spec, "throughput"))
    found = read_exhaustive(scratch)
    assert found is not None
    spent = f"{found.spent.seconds:.0f} s, {found.spent.processor_s:.0f} s of processor time"
    print(f"{name}: exhaustive {spent}, {found.settings} settings", flush=True)
    limit_ms = found.find_limit()
    for goal, limit in (("throughput", None), (f"latency={limit_ms:g}ms@p99", limit_ms)):
        while sum(each.goal == goal for each in trials) < asked.trials and time.perf_counter() < over:
            trials.append(try_once(asked.folder / f"{name}-trial", prepared, spec, goal))
        for trial in trials:
            if trial.goal == goal:
                count(trial, found, found.find_best(limit), total)


def try_once(work: Path, prepared: Path, spec: ChooseSpec, goal: str) -> Trial:
    """One choice from the beginning."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(prepared, work)
    load, began = os.getloadavg()[0], Spent.now()
    choice, _ = choose_deployment(move(spec, work, goal), silent)
    return Trial(goal, Spent.now().since(began), load, choice)


def count(trial: Trial, found: Exhaustive, best: Place | None, total: Total) -> None:
    """Hold a trial against the exhaustive search, and print a line for it."""
    outcome = judge_trial(trial.choice, found, best)
    total.trials, total.missed = total.trials + 1, total.missed + (outcome == "missed")
    total.share.append(trial.spent.seconds / found.spent.seconds)
    total.processor_share.append(trial.spent.processor_s / found.spent.processor_s)
    print(f"  {describe(trial, outcome, found, best)}", flush=True)


def move(spec: ChooseSpec, folder: Path, goal: str = "throughput") -> ChooseSpec:
    """The same of another folder."""
    return ChooseSpec(str(folder), parse_goal(goal), spec.max_drop_pp, spec.engines, spec.batch_sizes)


def describe(trial: Trial, outcome: str, found: Exhaustive, best: Place | None) -> str:
    """A line for a trial."""
    choice, spent = trial.choice, trial.spent
    place = (
        None if choice.chosen is None else (choice.chosen.candidate, choice.chosen.batch_size, choice.chosen.streams)
    )
    rate = ""
    if place in found.speeds and best is not None:
        rate = f", {found.speeds[place].images_per_s / found.speeds[best].images_per_s:.2f} of the best's rate there"
    shares = spent.seconds / found.spent.seconds, spent.processor_s / found.spent.processor_s
    return (
        f"{trial.goal}: {outcome:<7} {shares[0]:4.0%} of the time, {shares[1]:4.0%} of the processor time, "
        f"load {trial.load:.1f}: {write(place)}, as fast: {len(choice.as_fast)}, best: {write(best)}{rate}; "
        f"{choice.screenings}+{choice.rounds} rounds, {choice.processes} processes, "
        f"measured {choice.times.measure_s:.0f} s, evaluated {choice.times.evaluate_s:.0f} s"
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
    share, processor = (sum(some) / len(some) for some in (total.share, total.processor_share))
    agree = f"{total.trials - total.missed} of {total.trials} agree"
    print(f"{agree}, in {share:.0%} of the time and {processor:.0%} of the processor time on average")
    return int(total.missed > MOST_MISSED * total.trials or share > MOST_TIME)


if __name__ == "__main__":
    sys.exit(main())
