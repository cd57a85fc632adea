"""What the page on gates says is run, and its table is the one in the source."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pages import read_commands, read_page
from run_folder import BF16, INT8, ORT, TORCH, Ship, Trial, build_run
from seatrial.cli import run_cli
from seatrial.compare.gate_expression import read_gate
from seatrial.compare.quantities import QUANTITIES
from seatrial.errors import ExitCode
from seatrial.recipes.schema import Gates
from seatrial.store.records import Verdict
from tiny_trial import TinyTrial

PAGE = read_page("docs/gates.md")
COMMANDS = read_commands("docs/gates.md")
CODES = {
    "p98_ms < 10": 2,
    "top1(openvino-bf61) >= 0.9": 2,
    "memory_bytes < 2GB": 2,
    "top1 >= 0.85": 3,
    "p50_ms(openvino-bf16, 1) <= 10": 4,
}
"""By the first gate of a command."""
EXITS = {"accuracy": ExitCode.ACCURACY, "speed": ExitCode.SPEED, "resources": ExitCode.SPEED}


def time_batches(ship: Ship, ones_ms: float, fours_ms: float) -> Ship:
    """Eight samples of batch 1 and 4 in two processes, of which the second is slower by two in a thousand."""
    return replace(ship, batch_ms={size: (ms, 1.002 * ms) * 4 for size, ms in ((1, ones_ms), (4, fours_ms))})


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which two runs are."""
    folder = tmp_path_factory.mktemp("page")
    ships = [time_batches(ship, 8, 25) for ship in (TORCH, BF16, INT8)]
    for name in ("monday", "tuesday"):
        build_run(folder / name, Trial(ships=(*ships, time_batches(ORT, 20, 70))))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", COMMANDS[1:], ids=lambda words: " ".join(words)[-60:])
def test_a_command_of_the_page_runs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = CODES.get(words[words.index("--gate") + 1], 0)
    assert run_cli(words) == code
    shown = capsys.readouterr()
    if code == 2:
        assert shown.err in PAGE
    if code == 3:
        assert shown.out.split("\n\n")[-1] in PAGE
    if words[-1] == "--json":
        (gate,) = json.loads(shown.out)["gates"]
        assert (gate["value"], gate["limit"]) == pytest.approx((4000 / 25.025, 8000 / 70.07)) and gate[
            "unit"
        ] == "images/s"
        assert gate["limit"] < gate["low"] < gate["value"] < gate["high"]


def test_the_run_of_the_page_is_judged(
    tiny_run: Path, tiny_trial: TinyTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run, "trial")
    Path("imagenet").symlink_to(tiny_trial.folder)
    Path("my-card.toml").symlink_to(tiny_trial.card)
    Path("my-weights.pth").symlink_to(tiny_trial.checkpoint)
    # As the run was measured before.
    brief = ["--batch-size", "1,2", "--bench-duration", "0.01", "--bench-samples", "2"]

    assert run_cli([*COMMANDS[0], *brief]) == 3
    verdict = Verdict.load(Path("trial/verdict.json"))
    judged = [(gate.engine, gate.expression, gate.outcome) for gate in verdict.gates if gate.gate == "require"]
    assert judged == [
        (engine, text, outcome)
        for text, outcome in (("top1 >= 0.76", "FAIL"), ("size_bytes < 1e8", "PASS"))
        for engine in ("onnxruntime", "openvino")
    ]


def test_the_table_is_the_one_in_the_source() -> None:
    batch = {"none": "–", "optional": "may be named", "required": "is named"}
    rows = [
        f"| `{name}` | {row.title} | {row.unit} | {'higher' if row.higher_is_better else 'lower'} | "
        f"{row.interval or '–'} | {batch[row.batch]} | {EXITS[row.kind]:d} |"
        for name, row in QUANTITIES.items()
    ]
    table = PAGE.split("## Quantities")[1].split("\n\n")[1]
    assert table.splitlines()[2:] == rows


def test_the_gates_of_the_page_can_be_read() -> None:
    block = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)[0]
    texts = [re.split(r"  +", line)[0] for line in block.splitlines()]
    assert len(texts) == 6 and all(read_gate(text).text == text for text in texts)


def test_every_key_of_a_card_is_on_the_page() -> None:
    assert all(f"`{name}" in PAGE or f"{name} = [" in PAGE for name in Gates.model_fields)
