"""What the page on training says is run, on a tiny card, and its tables are those of the code."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages import ROOT, read_commands, read_page
from seatrial.api.training import PERFORMANCE
from seatrial.cli import run_cli
from seatrial.cli.train_aliases import FLAGS, translate
from seatrial.recipes import load_recipe
from tiny_trial import make_trial
from training_speeds import make_cards

PAGE = read_page("docs/train.md")
PRESET = "\n[presets.long]\nepochs = 3\nlearning_rate = 0.02\n"


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder in which the page's names exist; the guide's two NPU rows as records of ours."""
    folder = tmp_path_factory.mktemp("page")
    trial = make_trial(folder / "imagenet")
    (folder / "my-card.toml").write_text(trial.card.read_text() + PRESET)
    make_cards(1, 512 / 1259.591, top1=None).save(folder / "1p.json")
    make_cards(8, 4096 / 11898.83, top1=0.76702, epochs=90).save(folder / "8p.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


@pytest.mark.parametrize("words", read_commands("docs/train.md"), ids=lambda words: " ".join(words)[:60])
def test_a_command_of_the_page_runs(words: list[str]) -> None:
    assert run_cli(words) == 0


def test_what_a_training_leaves_is_what_the_page_lists() -> None:
    listed = re.search(r"^\| in `--output`.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    assert listed is not None
    left = {path.name for path in Path("trained").iterdir() if not path.name.startswith(".")}
    assert left == {n for n in re.findall(r"`([\w.]+)`", listed[0]) if "snapshot" not in n}
    step = json.loads(Path("trained/train.jsonl").read_text().splitlines()[0])
    described = PAGE.partition("## What it reports")[2].partition("those of epochs")[0]
    assert [name for name in re.findall(r"`(\w+)`", described) if name in step] == list(step)
    named = {"dllogger.log", "dllogger.json", "checkpoint.pth.tar", "train_0.log"}
    assert named <= {path.name for path in Path("logged").iterdir()}


def test_the_page_shows_the_table_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["compare", "1p.json", "8p.json"]) == 0
    assert capsys.readouterr().out.partition("\nnote:")[0] in PAGE


def test_the_figures_beside_other_loops_are_those_that_were_measured() -> None:
    measured = (ROOT / "benchmarks" / "results" / "train.txt").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+), (\d+), (\w+) \| ([\d.]+) \| ([\d.]+) \((\w+)\) \| ([\d.]+) \|$", PAGE, re.M)
    assert len(rows) == 8
    for network, pixels, precision, ours, theirs, peer, ratio in rows:
        point = rf"^{network} +{pixels} +{precision} +"
        assert re.search(rf"{point}seatrial +{ours} .*\n +{ratio}× the better peer$", measured, re.M)
        rates = re.findall(rf"{point}(examples|timm) +([\d.]+)", measured, re.M)
        assert max(rates, key=lambda row: float(row[1])) == (peer, theirs)


def test_every_flag_of_theirs_is_on_the_page() -> None:
    table = PAGE.partition("| theirs | ours |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [
        f"| {' '.join(f'`{name}`' for name in flag.names)} | {'' if flag.translate else 'refused: '}{flag.ours} |"
        for flag in FLAGS
    ]
    assert table.splitlines() == rows


def test_every_script_has_a_command_that_is_understood() -> None:
    table = PAGE.partition("| script | here")[2].partition("\n\n")[0]
    commands = re.findall(r"`[^`]*?seatrial (train [^`]*)`", table)
    assert len(commands) == 6
    for command in commands:
        translation = translate(shlex.split(command)[1:], launched="torchrun" in command)
        assert translation.words[0] == "resnet50"


def test_the_presets_are_those_of_the_card() -> None:
    presets = load_recipe("resnet50").presets
    rows = [
        [cell.strip(" `") for cell in row.split("|")[1:5]] for row in re.findall(r"^\| `[\w-]+` \| \d.*", PAGE, re.M)
    ]
    assert {row[0]: row[1:] for row in rows} == {
        name: [str(settings[key]) for key in ("batch_size", "learning_rate", "warmup_epochs")]
        for name, settings in presets.items()
    }


def test_the_length_of_a_performance_run_is_reported() -> None:
    assert PERFORMANCE["epochs"] == 1
    assert f"trains one epoch of {PERFORMANCE['max_train_steps']} steps at most" in PAGE
    assert f"validates {PERFORMANCE['max_eval_steps']} batches" in PAGE
