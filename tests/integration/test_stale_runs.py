"""A run folder that is run again with other inputs: refused, or killed anywhere, it never shows the old verdict."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from golden_weights import fill_golden_weights
from sealed import edit_record
from seatrial.cli import run_cli
from seatrial.models.build import build_network
from seatrial.recipes import load_recipe
from seatrial.report.terminal import describe_run
from seatrial.results.run_folder import Run, read_run
from seatrial.store import unfinished
from seatrial.store.files import hash_file
from seatrial.store.records import AccuracyRecord, RunManifest
from seatrial.workflow.run import run_pipeline
from seatrial.workflow.run_spec import RunSpec
from tiny_trial import TinyTrial


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, which passed."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def spec(tiny_trial: TinyTrial, run: Path) -> RunSpec:
    """What the run was made with."""
    return RunSpec(
        recipe=str(tiny_trial.card),
        checkpoint=tiny_trial.checkpoint,
        images=tiny_trial.images,
        labels=tiny_trial.labels,
        engines=("onnxruntime", "openvino"),
        output=run,
        batch_sizes=(1, 2),
        bench_duration_s=0.01,
        bench_min_samples=2,
    )


def make_other_weights(trial: TinyTrial, path: Path) -> Path:
    """Another checkpoint of the same network."""
    network = build_network(load_recipe(str(trial.card)).network)
    fill_golden_weights(network, "other")
    torch.save(network.state_dict(), path)
    return path


def read_all(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture
def kill_after(run: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], bool]], None]:
    """Kill the process once a file or folder of the run is in its place, and a predicate of its name says so."""
    rename, exchange = Path.rename, unfinished._exchange

    def arm(strikes: Callable[[str], bool]) -> None:
        def strike(target: Path) -> None:
            place = Path(target).relative_to(run) if Path(target).is_relative_to(run) else Path(".")
            if not any(part.startswith(".") for part in place.parts) and place.parts and strikes(str(place)):
                raise Killed(str(place))

        def watched(self: Path, target: Path) -> Path:
            moved = rename(self, target)
            strike(target)
            return moved

        def watched_exchange(one: Path, other: Path) -> bool:
            exchanged = exchange(one, other)
            if exchanged:
                strike(other)
            return exchanged

        monkeypatch.setattr(Path, "rename", watched)
        monkeypatch.setattr(unfinished, "_exchange", watched_exchange)

    return arm


def check_honest(found: Run, weights: str) -> None:
    """Nothing that is shown is of other weights, and nothing is judged."""
    text = describe_run(found)
    assert found.verdict is None and "PASS" not in text and "NOT JUDGED" in text
    assert not (found.folder / "report.html").exists() and not (found.folder / "report.md").exists()
    assert found.checkpoint is None or found.checkpoint.source_sha256 == weights
    stored = {found.checkpoint.sha256} if found.checkpoint else set()
    shown = {record.checkpoint_sha256 for record in found.accuracy.values()}
    shown |= {built.graph.checkpoint_sha256 for built in found.built.values()}
    shown |= {found.graph.checkpoint_sha256} if found.graph else set()
    assert shown <= stored
    for name, measured in found.measurements.items():
        assert measured.engine_identity == found.built[name].identity


def test_killed_at_every_file_a_run_never_shows_a_verdict_of_other_inputs(
    run: Path,
    spec: RunSpec,
    tiny_trial: TinyTrial,
    tmp_path: Path,
    kill_after: Callable[[Callable[[str], bool]], None],
) -> None:
    other = make_other_weights(tiny_trial, tmp_path / "other.pth")
    again = replace(spec, checkpoint=other, engines=("onnxruntime",))
    seen: list[str] = []

    def strike(name: str) -> bool:
        if name in seen:
            return False
        seen.append(name)
        return True

    kill_after(strike)
    for _ in range(60):
        try:
            verdict = run_pipeline(again).verdict
            break
        except Killed:
            found = read_run(run)
            if (run / "verdict.json").exists():
                assert found.verdict is not None and not found.stale
            else:
                check_honest(found, hash_file(other))
    assert {"run.json", "checkpoint.safetensors", "model.onnx.json", "engines/torch"} <= set(seen)
    assert {"evaluation/torch.json", "bench/onnxruntime.json", "verdict.json", "report.html"} <= set(seen)
    assert read_run(run).verdict == verdict and not read_run(run).stale


def change_labels(spec: RunSpec, folder: Path) -> RunSpec:
    assert spec.labels is not None
    lines = [line.split() for line in spec.labels.read_text().splitlines()]
    (folder / "labels.txt").write_text("".join(f"{name} {(int(label) + 1) % 4}\n" for name, label in lines))
    return replace(spec, labels=folder / "labels.txt")


def change_images(spec: RunSpec, folder: Path) -> RunSpec:
    shutil.copytree(spec.images, folder / "images")
    first = min((folder / "images").iterdir())
    first.write_bytes((folder / "images" / "image_001.JPEG").read_bytes())
    return replace(spec, images=folder / "images")


def change_card(old: str, new: str) -> Callable[[RunSpec, Path], RunSpec]:
    def change(spec: RunSpec, folder: Path) -> RunSpec:
        (folder / "card.toml").write_text(Path(spec.recipe).read_text().replace(old, new))
        return replace(spec, recipe=str(folder / "card.toml"))

    return change


ALL = {f"evaluation/{name}.json" for name in ("torch", "onnxruntime", "openvino")}
SPEEDS = {f"bench/{name}.json" for name in ("torch", "onnxruntime", "openvino")}


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        pytest.param(change_labels, ALL | SPEEDS, id="labels"),
        pytest.param(change_images, ALL | SPEEDS, id="images"),
        pytest.param(change_card("drop_pp = 30.0", "drop_pp = 29.0"), ALL | SPEEDS, id="a gate"),
        pytest.param(change_card("0.485", "0.5"), ALL | SPEEDS, id="preprocessing"),
        pytest.param(lambda spec, _: replace(spec, opset=16), ALL | SPEEDS, id="opset"),
        pytest.param(lambda spec, _: replace(spec, evaluate_batch_size=8), ALL, id="batch size of evaluation"),
        pytest.param(lambda spec, _: replace(spec, batch_sizes=(1, 4)), SPEEDS, id="batch sizes measured"),
        pytest.param(lambda spec, _: replace(spec, bench_min_samples=3), set(), id="samples"),
        pytest.param(lambda spec, _: replace(spec, engines=("openvino",)), set(), id="engines"),
    ],
)
def test_results_of_other_inputs_go_before_run_json_names_these(
    change: Callable[[RunSpec, Path], RunSpec],
    stale: set[str],
    run: Path,
    spec: RunSpec,
    tmp_path: Path,
    kill_after: Callable[[Callable[[str], bool]], None],
) -> None:
    (run / "diagnosis.json").write_text("{}")
    kill_after(lambda name: name == "run.json")
    with pytest.raises(Killed):
        run_pipeline(change(spec, tmp_path))
    found = read_run(run)
    figures = {path for path in found.stale if path.startswith(("evaluation/", "bench/"))}
    assert {path for path in figures if "throughput" not in path} == stale
    assert found.verdict is None and not stale & {f"evaluation/{name}.json" for name in found.accuracy}
    assert [
        name for name in ("verdict.json", "report.html", "report.md", "diagnosis.json") if (run / name).exists()
    ] == []
    assert describe_run(found).splitlines()[-1].startswith("NOT JUDGED")


@pytest.mark.parametrize("wrong", ["cut off", "another network's", "no labels"])
def test_a_run_that_is_refused_leaves_the_old_one_whole(
    wrong: str, run: Path, spec: RunSpec, tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, labels = tmp_path / "new.pth", tiny_trial.labels
    if wrong == "cut off":
        checkpoint.write_bytes(tiny_trial.checkpoint.read_bytes()[:5000])
    elif wrong == "another network's":
        torch.save({"state_dict": torch.nn.Linear(2, 2).state_dict()}, checkpoint)
    else:
        make_other_weights(tiny_trial, checkpoint)
        labels = tmp_path / "none.txt"
    before = read_all(run)
    words = tiny_trial.run_arguments(run, "--engines", "onnxruntime,openvino")
    words[words.index("--checkpoint") + 1], words[words.index("--labels") + 1] = str(checkpoint), str(labels)
    assert run_cli(words) == (6 if wrong == "no labels" else 8)
    assert read_all(run) == before
    capsys.readouterr()
    assert run_cli(["report", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("PASS: ")


def test_report_says_what_is_stale_and_leaves_with_7(
    run: Path,
    spec: RunSpec,
    tiny_trial: TinyTrial,
    tmp_path: Path,
    kill_after: Callable[[Callable[[str], bool]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kill_after(lambda name: name == "run.json")
    with pytest.raises(Killed):
        run_pipeline(replace(spec, checkpoint=make_other_weights(tiny_trial, tmp_path / "other.pth")))
    monkeypatch.undo()
    assert run_cli(["report", str(run)]) == 7
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "NOT JUDGED: 14 records of this folder are of other inputs than its run.json names; run it again."
    text = (run / "report.md").read_text()
    assert "| stale: evaluation/openvino.json is of another checkpoint and left out; run it again | run |" in text
    assert "PASS" not in text.partition("## ")[0]


def test_a_verdict_names_what_it_was_judged_from(run: Path) -> None:
    found = read_run(run)
    assert found.verdict is not None
    assert found.verdict.run == RunManifest.load(run / "run.json").identity
    assert set(found.verdict.evidence) == ALL | SPEEDS
    edit_record(run / "bench" / "openvino.json", doubts=["measured again by hand"])
    found = read_run(run)
    assert found.verdict is None and found.stale == {"verdict.json": "another bench/openvino.json"}


@pytest.fixture
def edited(run: Path) -> Iterator[Path]:
    """A run in which one hit was added to a record beside its untouched predictions."""
    path = run / "evaluation" / "onnxruntime.json"
    hits = AccuracyRecord.load(path).hits
    edit_record(path, hits=[hits[0] + 1, *hits[1:]])
    yield run


def test_report_counts_again(edited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["report", str(edited)]) == 8
    assert "evaluation/onnxruntime.json was edited or damaged: its hits are" in capsys.readouterr().err
    assert not (edited / "report.html").exists() and not (edited / "report.md").exists()


def test_run_evaluates_again_what_was_edited(
    edited: Path, tiny_run: Path, tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tiny_trial.run_arguments(edited, "--engines", "onnxruntime,openvino")) == 0
    assert "onnxruntime.json was edited or damaged: its hits are" in capsys.readouterr().err
    whole = AccuracyRecord.load(tiny_run / "evaluation" / "onnxruntime.json")
    assert AccuracyRecord.load(edited / "evaluation" / "onnxruntime.json").hits == whole.hits


def test_counts_against_the_reference_are_counted_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "evaluation" / "openvino.json"
    versus = AccuracyRecord.load(path).versus
    assert versus is not None
    edit_record(path, versus=versus.model_copy(update={"lost": versus.lost + 1}).model_dump(mode="json"))
    assert run_cli(["report", str(run)]) == 8
    assert "its counts against its reference are" in capsys.readouterr().err
