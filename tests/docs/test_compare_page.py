"""What the page on comparing says is run, on the sample logs and on small runs, and it shows what is printed."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from golden_logs import LOGS
from pages import read_commands, read_page
from run_folder import MACHINE, ORT, TORCH, Ship, Trial, build_run
from seatrial.bench.vendor_logs import READERS
from seatrial.cli import run_cli
from seatrial.store.records import RunManifest

PAGE = "docs/compare.md"
COMMANDS = read_commands(PAGE)
CODES = {
    "compare 310.json 310P.json T4.json --baseline 310,T4 --gate best(310P) >= 1.2 * best(310)": 4,
    "compare 310.json 310P.json openvino.json": 7,
    "compare monday tuesday": 4,
    "compare monday/bench/onnxruntime.json tuesday/bench/onnxruntime.json --max-slower-pct 5": 4,
}
"""Of the commands that do not leave with 0."""
ALL_KINDS = next(words for words in COMMANDS if words[0] == "compare" and "mlperf.json" in words)


def time_batches(ship: Ship, ones_ms: float, fours_ms: float) -> Ship:
    """Eight samples of batch 1 and 4 in two processes, of which the second is slower by two in a thousand."""
    times = {1: ones_ms, 4: fours_ms}
    samples = {size: (ms, 1.002 * ms) * 4 for size, ms in times.items()}
    return replace(ship, batch_ms=samples)


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist."""
    folder = tmp_path_factory.mktemp("page") / "logs"
    shutil.copytree(LOGS, folder)
    torch = time_batches(TORCH, 50, 190)
    build_run(folder / "monday", Trial(ships=(torch, time_batches(ORT, 30, 110))))
    build_run(folder / "tuesday", Trial(ships=(torch, time_batches(replace(ORT, wrong=frozenset(range(25))), 30, 121))))
    path = folder / "tuesday" / "run.json"
    newer = MACHINE.model_copy(update={"versions": MACHINE.versions | {"onnxruntime": "1.32.0"}})
    RunManifest.load(path).model_copy(update={"environment": newer}).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words)[-60:])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    assert run_cli(words) == CODES.get(" ".join(words), 0)


def test_every_output_on_the_page_is_what_a_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    shown = re.findall(
        r"^```\n(.*?)^```$", re.sub(r"^```console.*?^```$", "", read_page(PAGE), flags=re.M | re.S), re.M | re.S
    )
    printed = []
    for words in COMMANDS:
        run_cli(words)
        printed += [*capsys.readouterr()]
    assert len(shown) == 5
    assert [block for block in shown if not any(block in text for text in printed)] == []


def test_one_log_of_each_kind_stands_in_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    imported = {
        Path(words[words.index("--output") + 1]).name: words[1] for words in COMMANDS if words[0] == "import-log"
    }
    assert {imported[name] for name in ALL_KINDS if name in imported} == set(READERS)
    assert run_cli(ALL_KINDS) == 0
    header, *rows = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert header.split()[:8] == ["batch", "310P", "310", "T4", "openvino", "ort", "timm", "mlperf"]
    # The logs' own figures: 310P 2500 and 3200, a 310 card 4 · 800, the T4's device time 1000 · 8 / 4 ms.
    cells = [row.split() for row in rows]
    assert cells[0] == ["1", "–", "–", "–", "–", "–", "–", "2,000", *"––––––"]
    assert cells[1] == ["4", "2,500", "–", "–", "160.0", *"–––", *"––", "0.064", *"–––"]
    assert cells[2] == ["8", "3,200", "3,200", "2,000", "–", "400.0", *"––", "1.000", "0.625", "–", "0.125", *"––"]
    assert cells[3] == ["256", *"–––––", "2,000", *"–––––––"]
