"""The smallest by made-up verdicts, and whole choices on the miniature trial with processes as short as they may be."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from seatrial.cli import run_cli
from seatrial.errors import ExitCode
from seatrial.store.choice import Choice
from seatrial.workflow.choose import measuring, race
from seatrial.workflow.choose.candidates import Candidates
from seatrial.workflow.choose.contenders import Judged
from seatrial.workflow.choose.search import Watch, choose_smallest, hash_calibration
from tiny_trial import TinyTrial


@dataclass
class MadeUpCandidates:
    """Sizes, and whether they keep the accuracy."""

    sizes: dict[str, int | None]
    lossy: set[str]
    judged: list[str] = field(default_factory=list)
    mixed: dict[str, int] = field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, int | None]:
        return self.sizes

    def measure_size(self, name: str) -> int | None:
        return self.sizes[name]

    def judge(self, name: str) -> Judged:
        self.judged.append(name)
        return Judged("FAIL" if name in self.lossy else "PASS", "")

    def mix(self, name: str) -> Any:
        if name not in self.mixed:
            return None
        self.sizes[f"{name}-mixed"] = self.mixed[name]
        return type("Mixed", (), {"name": f"{name}-mixed"})


def find_smallest(made_up: MadeUpCandidates, budget_s: float | None = None) -> list[str]:
    found = choose_smallest(cast(Candidates, made_up), Watch(budget_s))
    return [name for name, judged in found.verdicts.items() if judged.outcome == "PASS"]


def test_the_smallest_that_passes_is_found_without_evaluating_the_larger() -> None:
    made_up = MadeUpCandidates({"big": 9, "small": 1, "middle": 5, "broken": None, "same": 5}, {"small"})
    assert find_smallest(made_up) == ["middle", "same"]
    assert made_up.judged == ["small", "middle", "same"]


def test_a_mixed_one_takes_its_place_by_its_size() -> None:
    made_up = MadeUpCandidates({"int8": 1, "fp32": 4}, {"int8"}, mixed={"int8": 2})
    assert find_smallest(made_up) == ["int8-mixed"]
    assert made_up.judged == ["int8", "int8-mixed"]


def test_other_calibration_images_in_the_same_folder_are_another_choice(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"one picture")
    texts = ("openvino:fp32", "openvino:int8")
    before = hash_calibration(tmp_path, texts)
    assert hash_calibration(tmp_path, texts) == before is not None
    (tmp_path / "a.jpg").write_bytes(b"two picture")
    assert hash_calibration(tmp_path, texts) != before
    assert hash_calibration(tmp_path, texts[:1]) is hash_calibration(None, texts) is None


def test_nothing_is_evaluated_once_the_time_is_up() -> None:
    made_up = MadeUpCandidates({"a": 1}, set())
    assert find_smallest(made_up, budget_s=0) == [] and made_up.judged == []


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "DURATION_S", 0.01)
    monkeypatch.setattr(measuring, "CONFIRM_S", 0.01)
    monkeypatch.setattr(measuring, "SCREEN_S", 0.01)
    for name in ("ROUNDS", "LEAST_ROUNDS", "LEAST_PROCESSES"):
        monkeypatch.setattr(race, name, 2)


@pytest.mark.usefixtures("_short")
def test_a_run_is_chosen_from_and_the_same_command_finds_it(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "trial"
    shutil.copytree(tiny_run, run)
    verdict = (run / "verdict.json").read_bytes()
    words = ["choose", str(run), "--goal", "throughput", "--max-drop-pp", "40", "--batch-size", "1"]
    words += ["--engines", "onnxruntime:fp32", "--json"]
    assert run_cli(words) == ExitCode.PASS
    printed = json.loads(capsys.readouterr().out)
    stored = Choice.load(run / "choice.json")
    assert printed == stored.model_dump(mode="json", by_alias=True)
    assert stored.chosen is not None and stored.chosen.candidate == "onnxruntime" and stored.complete
    assert stored.candidates[0].outcome == "PASS" and {each.streams for each in stored.settings} >= {1, 2}
    assert stored.command[0].startswith(f"seatrial compile {run}/model.onnx --engine onnxruntime")
    assert (run / "verdict.json").read_bytes() == verdict
    assert run_cli(words) == ExitCode.PASS
    again = capsys.readouterr()
    assert "already chosen: throughput" in again.err and json.loads(again.out) == printed
    # What is left takes no time, and a limit that 24 images cannot prove stays open.
    strict = [*words, "--max-drop-pp", "0.1"]
    assert run_cli(strict) == ExitCode.INCONCLUSIVE
    assert json.loads(capsys.readouterr().out)["chosen"] is None


@pytest.mark.usefixtures("_short")
def test_no_latency_below_what_a_batch_takes_is_kept(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "trial"
    shutil.copytree(tiny_run, run)
    words = ["choose", str(run), "--goal", "latency=0.001ms@p99", "--max-drop-pp", "40", "--batch-size", "2"]
    assert run_cli([*words, "--engines", "openvino:fp32"]) == ExitCode.SPEED
    stored = Choice.load(run / "choice.json")
    assert {each.state for each in stored.settings} == {"latency"}
    assert stored.candidates[0].outcome is None


def test_options_of_a_reference_are_refused_for_a_run(
    tiny_run: Path, tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["choose", str(tiny_run), "--goal", "size", "--images", str(tiny_trial.images)]) == 2
    assert "--images is for a model reference" in capsys.readouterr().err
    assert run_cli(["choose", str(tiny_trial.card), "--goal", "size"]) == 2
    assert "of a model reference --images is missing; give --images" in capsys.readouterr().err
    assert run_cli(["choose", str(tiny_run), "--goal", "speed"]) == 2
