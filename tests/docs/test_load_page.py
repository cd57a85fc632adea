"""What the page on LoadGen says is run, as shortly as may be."""

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.bench.loadgen.scenarios import SCENARIOS, TARGET_LATENCY_MS, LoadTestJob
from seatrial.cli import run_cli
from seatrial.errors import Interrupted
from seatrial.store.imported import LoadTestRecord
from seatrial.workflow import load_test
from tiny_trial import TinyTrial

pytest.importorskip("mlperf_loadgen", reason="LoadGen has no wheel for this Python")
PAGE = (Path(__file__).parents[2] / "docs" / "load.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line)[1:] for line in re.findall(r"^\$ (seatrial .+)$", PAGE, re.MULTILINE)]


@pytest.fixture(scope="module", autouse=True)
def _place(tiny_trial: TinyTrial, tiny_engines: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "imagenet").symlink_to(tiny_trial.folder)
    shutil.copytree(tiny_engines / "engines", folder / "engines")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, scenario in SCENARIOS.items():
            patch.setitem(SCENARIOS, name, replace(scenario, least_queries=2))  # type: ignore[arg-type]
        yield


@pytest.mark.parametrize("words", [w for w in COMMANDS if "mlperf" not in w], ids=lambda words: words[3])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    # Too few queries, or a machine too busy for a server: every verdict of LoadGen's will do here.
    assert run_cli([*words, "--duration", "0.05", "--min-samples", "2"]) in (0, 4, 7)
    record = LoadTestRecord.load(Path(words[-1]))
    assert record.own.scenario == words[3]
    assert Path(words[-1]).with_suffix(".mlperf").is_dir()


def test_the_long_command_asks_for_mlperfs_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(file: object, job: LoadTestJob) -> None:
        raise Interrupted(job.preset)

    monkeypatch.setattr(load_test, "run_loadgen", load)
    (words,) = (words for words in COMMANDS if "mlperf" in words)
    assert run_cli(words) == Interrupted.exit_code


def test_every_scenario_has_a_row_and_a_command() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE) == list(SCENARIOS)
    assert {words[3] for words in COMMANDS} == set(SCENARIOS)
    assert f"{TARGET_LATENCY_MS:g} ms, MLPerf's for ResNet-50" in PAGE
