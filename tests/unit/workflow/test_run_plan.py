"""What a run would do: nothing is done, and every time is one that this machine stored."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.errors import UsageError
from seatrial.machine.environment import machine_hash, read_environment
from seatrial.progress import Update, silent
from seatrial.store.records import RunManifest
from seatrial.store.stage_times import LatestStageTimes, StageTime
from seatrial.workflow.run_plan import PlannedStage, RunPlan, plan_run
from seatrial.workflow.run_spec import RunSpec, check_run
from seatrial.workflow.time_budget import fit_budget
from tiny_trial import TinyTrial

ENGINES = ("onnxruntime", "openvino")


@pytest.fixture
def spec(unlabelled_run: Path, tiny_trial: TinyTrial, tmp_path: Path) -> RunSpec:
    """The run of an ONNX file, in a copy of its folder, where all is done."""
    output = tmp_path / "trial"
    shutil.copytree(unlabelled_run / "trial", output)
    return RunSpec(
        recipe=str(unlabelled_run / "net.onnx"),
        checkpoint=None,
        images=unlabelled_run / "photos",
        labels=None,
        engines=ENGINES,
        output=output,
        batch_sizes=(1,),
        bench_duration_s=0.01,
        bench_min_samples=2,
        like=str(tiny_trial.card),
    )


def list_open(plan: RunPlan) -> list[tuple[str, str]]:
    return [(stage.stage, stage.engine) for stage in plan.stages if not stage.done]


ALL = [("copy", ""), *((stage, name) for stage in ("compile", "evaluate", "bench") for name in ENGINES)]


def test_a_run_that_is_done_has_nothing_to_do(spec: RunSpec) -> None:
    plan = plan_run(spec)
    assert [(stage.stage, stage.engine) for stage in plan.stages] == ALL
    assert list_open(plan) == [] and plan.seconds == 0 and plan.unknown == ()


def test_only_what_changed_is_to_do(spec: RunSpec) -> None:
    assert list_open(plan_run(replace(spec, bench_duration_s=0.02))) == [("bench", name) for name in ENGINES]
    assert list_open(plan_run(replace(spec, measure_again=True))) == [("bench", name) for name in ENGINES]
    assert list_open(plan_run(replace(spec, evaluate_batch_size=8))) == [("evaluate", name) for name in ENGINES]
    (spec.output / "engines" / "openvino" / "engine.json").unlink()
    assert list_open(plan_run(spec)) == [(stage, "openvino") for stage in ("compile", "evaluate", "bench")]
    (spec.output / "evaluation" / "onnxruntime.json").unlink()
    assert ("evaluate", "onnxruntime") in list_open(plan_run(spec))
    (spec.output / "model.onnx.json").unlink()
    assert list_open(plan_run(spec)) == ALL


def test_nothing_is_written(spec: RunSpec, tmp_path: Path) -> None:
    def look() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    before = look()
    plan_run(spec)
    plan_run(replace(spec, output=tmp_path / "other", bench_duration_s=3))
    assert look() == before


def write_times(output: Path, machine: str | None = None, network: str | None = None) -> None:
    """Times of a run beside another: each stage took ten seconds, of 48 images and of 2 points of 3 s each."""
    known = LatestStageTimes.load(output / "times.json")
    stages = [StageTime(stage="copy", seconds=10)]
    for name in ENGINES:
        stages += [
            StageTime(stage="compile", engine=name, seconds=10),
            StageTime(stage="evaluate", engine=name, seconds=10, images=48),
            StageTime(stage="bench", engine=name, seconds=10, points=2, duration_s=3),
        ]
    LatestStageTimes(
        network=network or known.network, machine=machine or machine_hash(read_environment()), stages=tuple(stages)
    ).save(output / "times.json")


def test_times_are_those_of_runs_beside_it(spec: RunSpec, tmp_path: Path) -> None:
    write_times(spec.output)
    found = plan_run(replace(spec, output=tmp_path / "new", batch_sizes=(1, 4), bench_duration_s=1.0))
    # 24 of 48 images take half the time; a point takes 2 s beside its timing.
    seconds = {"copy": 10, "compile": 10, "evaluate": 5, "bench": 2 * (2 + 1)}
    assert [(stage.stage, stage.seconds) for stage in found.stages] == [
        (stage, pytest.approx(seconds[stage])) for stage, _ in ALL
    ]
    assert {stage.source for stage in found.stages} == {str(tmp_path / "trial")}
    assert found.seconds == pytest.approx(10 + 2 * (10 + 5 + 6))


def test_a_point_that_ended_before_its_time_will_again() -> None:
    time = StageTime(stage="bench", seconds=14, points=4, duration_s=10)
    assert (time.overhead_s, time.estimate_point(10)) == (0, 10), "of records that do not say, as they are"
    early = time.model_copy(update={"timed_s": 1.5})
    assert early.overhead_s == pytest.approx(2)
    assert [early.estimate_point(most) for most in (10, 20, 1)] == pytest.approx([3.5, 3.5, 3])
    late = time.model_copy(update={"seconds": 48.0, "timed_s": 10.2})
    assert late.estimate_point(20) == pytest.approx(21.8), "a wider limit is used up"


@pytest.mark.parametrize("other", [{"machine": "another"}, {"network": "another"}])
def test_times_of_another_machine_or_network_say_nothing(other: dict[str, str], spec: RunSpec, tmp_path: Path) -> None:
    write_times(spec.output, **other)
    plan = plan_run(replace(spec, output=tmp_path / "new"))
    assert plan.seconds == 0 and [(stage.stage, stage.engine) for stage in plan.unknown] == ALL


def test_a_dry_run_prints_the_plan(spec: RunSpec, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_times(spec.output)
    words = ["run", spec.recipe, "--like", spec.like or "", "--images", str(spec.images), "--engines", "openvino"]
    assert run_cli([*words, "--output", str(tmp_path / "new"), "--dry-run", "--batch-size", "1"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["stage", "engine", "state", "time", "what"]
    assert shown[3].split() == ["compile", "openvino", "to", "do", "10", "s"]
    assert shown[-1] == f"1 min 4 s, as long as they took on this machine in {tmp_path / 'trial'}"
    write_times(spec.output, machine="another")
    assert run_cli([*words, "--output", str(tmp_path / "new"), "--dry-run"]) == 0
    assert "unknown, as no run on this machine took their time: copy, compile onnxruntime" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


def test_a_dry_run_finds_what_a_run_would_find_wrong(spec: RunSpec) -> None:
    with pytest.raises(UsageError, match=r"gate 'top1.nobody. > 0': there is no engine 'nobody' here; known: onnx"):
        plan_run(replace(spec, gates=("top1(nobody) > 0",)))
    with pytest.raises(UsageError, match="batch 8 is not measured; --batch-size is 1"):
        plan_run(replace(spec, gates=("p99_ms(openvino, 8) < 5",)))


def test_a_gate_of_a_card_is_named_with_its_line(spec: RunSpec, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    card = tmp_path / "card.toml"
    written = '[gates]\nrequire = [\n  "top1 > 0.1",\n  "top1 => 0.2",\n]\n'
    card.write_text(tiny_trial.card.read_text().replace("[gates]\n", written))
    line = card.read_text().splitlines().index('  "top1 => 0.2",') + 1
    of_card = replace(spec, recipe=str(card), like=None, checkpoint=tiny_trial.checkpoint, unlabelled=True)
    with pytest.raises(UsageError, match=rf"card.toml:{line}: gate 'top1 => 0.2': column 6: '=>' is no comparison"):
        plan_run(of_card)


def test_weights_that_are_not_there_are_to_be_fetched(
    spec: RunSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "caches"))
    published = replace(spec, recipe="resnet50", like=None, unlabelled=True)
    with pytest.raises(UsageError, match="are not on this machine"):
        plan_run(published)
    plan = plan_run(replace(published, fetch=True, output=tmp_path / "new"))
    assert plan.stages[0] == PlannedStage("fetch", "", False, what="resnet50-0676ba61.pth")
    assert all(not stage.done for stage in plan.stages) and not (tmp_path / "caches").exists()


SIZES = (1, 4, 8)


def fit(spec: RunSpec, budget_s: float, **more: object) -> tuple[RunSpec, list[str]]:
    """The spec that a budget leaves of three batch sizes for 10 s each, and what is said of it."""
    asked = replace(
        spec,
        output=spec.output.parent / "new",
        batch_sizes=SIZES,
        bench_duration_s=10.0,
        bench_min_samples=50,
        time_budget_s=budget_s,
        **more,  # type: ignore[arg-type]
    )
    told: list[Update] = []
    return fit_budget(plan_run(asked), told.append), [update.note for update in told]


@pytest.mark.parametrize(
    ("budget_s", "sizes", "duration_s", "samples"),
    [
        # What is not measured takes 10 + 2 · (10 + 5) = 40 s; a point 2 s and its timing, for each of two engines.
        (40 + 2 * 3 * 12, SIZES, 10, 50),
        (40 + 2 * 3 * 12 - 1, SIZES, 5, 25),
        (40 + 2 * 3 * 5, SIZES, 3, 15),
        (40 + 2 * 3 * 3, SIZES, 1, 10),
        (40 + 2 * 3 * 3 - 1, (1, 8), 2, 10),
        (40 + 2 * 2 * 3 - 1, (8,), 3, 15),
        (40 + 2 * 1 * 3, (8,), 1, 10),
    ],
)
def test_a_budget_chooses_what_is_measured(
    budget_s: float, sizes: tuple[int, ...], duration_s: float, samples: int, spec: RunSpec
) -> None:
    write_times(spec.output)
    found, told = fit(spec, budget_s)
    assert (found.batch_sizes, found.bench_duration_s, found.bench_min_samples) == (sizes, duration_s, samples)
    assert found.before_budget is not None and found.before_budget.batch_sizes == SIZES
    left_out = [str(size) for size in SIZES if size not in sizes]
    assert (f"left out: batch {', '.join(left_out)}" in told) == bool(left_out)
    assert "what else is left takes 40 s" in told[0]
    assert told[-1] == "all 24 images are evaluated, however long it takes"


def test_a_budget_that_is_too_small_is_an_error_before_any_work(spec: RunSpec) -> None:
    write_times(spec.output)
    told = r"--time-budget 45s is not enough: what else is left takes 40 s, and .* makes it 46 s; give .* 1m or more"
    with pytest.raises(UsageError, match=told):
        fit(spec, 45)


def test_batch_sizes_that_gates_name_are_kept(spec: RunSpec) -> None:
    write_times(spec.output)
    found, _ = fit(spec, 40 + 2 * 3 * 3 - 1 + 6, gates=("p50_ms(openvino, 4) < 5",))
    assert found.batch_sizes == SIZES
    with pytest.raises(UsageError, match="is not enough"):
        fit(spec, 40 + 2 * 2 * 3 - 1, gates=("p50_ms(openvino, 4) < 5",))


def test_what_nobody_timed_gets_half_of_the_budget(spec: RunSpec) -> None:
    write_times(spec.output, machine="another")
    # A point may warm up for as long as it is timed, at least 2 s.
    found, told = fit(spec, 2 * 2 * 3 * (5 + 5))
    assert (found.batch_sizes, found.bench_duration_s) == (SIZES, 5)
    assert "as nothing on this machine says how long, copy, compile onnxruntime, compile openvino, evaluate" in told[0]


def test_a_run_with_a_budget_goes_on_with_what_it_chose(spec: RunSpec) -> None:
    write_times(spec.output)
    chosen, _ = fit(spec, 40 + 2 * 3 * 5)
    assert chosen.before_budget is not None
    budget = [70.0, list(SIZES), 10.0, 50]
    settings = {"batch_sizes": [1, 4], "bench_duration_s": 2.0, "bench_min_samples": 7, "engines": list(ENGINES)}
    manifest = RunManifest.load(spec.output / "run.json")
    (spec.output.parent / "new").mkdir()
    path = spec.output.parent / "new" / "run.json"
    manifest.model_copy(update={"spec": {**settings, "time_budget": budget}}).save(path)
    again, told = fit(spec, 70)
    assert (again.batch_sizes, again.bench_duration_s, again.bench_min_samples) == ((1, 4), 2.0, 7) and told == []
    other, _ = fit(spec, 71)
    assert other.batch_sizes == SIZES


def test_a_run_notes_what_its_budget_was(
    spec: RunSpec, tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", spec.recipe, "--like", spec.like or "", "--images", str(spec.images), "--output", str(spec.output)]
    words += ["--engines", ",".join(ENGINES), "--bench-duration", "0.01", "--bench-samples", "2", "--batch-size", "1"]
    assert run_cli([*words, "--time-budget", "1h"]) == 0
    manifest = RunManifest.load(spec.output / "run.json")
    assert manifest.spec["time_budget"] == [3600.0, [1], 0.01, 2]
    assert "--time-budget 1h" in manifest.command
    assert run_cli([*words, "--time-budget", "1h"]) == 0 and "longer than" not in capsys.readouterr().err


def test_a_budget_needs_nothing_for_what_is_measured(spec: RunSpec) -> None:
    """A run that was done at two batch sizes once measured again for a budget, and kept one of them."""
    write_times(spec.output)
    told: list[Update] = []
    found = fit_budget(plan_run(replace(spec, time_budget_s=1.0)), told.append)
    assert (found.batch_sizes, [*found.measured_as]) == ((1,), [*ENGINES])
    assert [update.note for update in told] == ["1s: all that it allows is measured already"]
    assert list_open(plan_run(found)) == []
    # One engine's record is not there: only that one is planned, and the other keeps its own.
    (spec.output / "bench" / "openvino.json").unlink()
    long = replace(spec, time_budget_s=0.5)
    with pytest.raises(UsageError, match="is not enough: what else is left takes"):
        fit_budget(plan_run(long), silent)
    found = fit_budget(plan_run(replace(spec, time_budget_s=2.5)), told.append)
    assert [*found.measured_as] == ["onnxruntime"] and "measures batch 1 for 0.01 s" in told[1].note
    assert list_open(plan_run(found)) == [("bench", "openvino")]


def test_a_smaller_budget_keeps_what_a_larger_one_measured(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    write_times(spec.output)
    monkeypatch.setattr("seatrial.workflow.time_budget.DURATIONS_S", (3.0, 0.01))
    asked = replace(spec, bench_duration_s=10.0, bench_min_samples=50)
    chosen = {"batch_sizes": [1], "bench_duration_s": 0.01, "bench_min_samples": 2, "engines": list(ENGINES)}
    manifest = RunManifest.load(spec.output / "run.json")
    budget = {"time_budget": [6.0, [1], 10.0, 50]}
    manifest.model_copy(update={"spec": {**chosen, **budget}}).save(spec.output / "run.json")
    small = fit_budget(plan_run(replace(asked, time_budget_s=1.0)), silent)
    assert ([*small.measured_as], small.bench_duration_s) == ([*ENGINES], 0.01)
    assert list_open(plan_run(small)) == []
    large = fit_budget(plan_run(replace(asked, time_budget_s=12.0)), silent)
    assert ([*large.measured_as], large.bench_duration_s) == ([], 3.0)


def test_labels_through_a_pipe_are_refused_before_any_work(spec: RunSpec, tmp_path: Path) -> None:
    """A pipe can be read once, and `run` hashes its labels besides, and reads them again when it goes on."""
    os.mkfifo(tmp_path / "labels")
    with pytest.raises(UsageError, match="labels is a pipe, which can be read once"):
        check_run(replace(spec, labels=tmp_path / "labels"), silent)
