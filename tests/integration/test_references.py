"""A run of a model reference, from its word to its report: the card is frozen, its preprocessing proved."""

import tomllib
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.models.build import build_network
from seatrial.models.find_weights import weights_folder
from seatrial.models.sources import resolve_recipe
from seatrial.recipes import Recipe
from seatrial.results.run_folder import read_run
from tiny_trial import TinyTrial

REFERENCE = "timm:test_resnet.r160_in1k"
FAST = ("--engines", "onnxruntime", "--batch-size", "1", "--bench-duration", "0.01", "--bench-samples", "2")
NETS = """
import timm

def make_network():
    return timm.create_model("test_resnet", num_classes=4)
"""


def run(trial: TinyTrial, output: Path, *words: str) -> int:
    images = ("--images", str(trial.images), "--labels", str(trial.labels), "--output", str(output))
    return run_cli(["run", *words, *images, *FAST])


def test_a_card_with_a_base_is_a_whole_trial(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    card = tmp_path / "mine.toml"
    gates = '[gates]\nreference_drop_pp = 30.0\nplausible = false\n[network]\nname = "test_resnet"\nclasses = 4\n'
    card.write_text(f'base = "{REFERENCE}"\nname = "mine"\n{gates}[labels]\nnames = ["a", "b", "c", "d"]\n')
    out = tmp_path / "run"
    assert run(tiny_trial, out, str(card), "--checkpoint", str(tiny_trial.checkpoint)) == 0
    frozen = Recipe.read(tomllib.loads((out / "card.toml").read_text()), "card.toml")
    assert frozen == read_run(out).recipe == resolve_recipe(str(card))
    proof = read_run(out).preprocessing
    assert proof is not None and proof.holds and proof.images == 24 and not proof.drawn
    page = (out / "report.md").read_text()
    assert f"equals that of {REFERENCE}" in page and f"{REFERENCE} (timm " in page


def test_a_network_from_a_file_is_exported_from_there(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    words = (f"{tmp_path / 'nets.py'}:make_network", "--like", REFERENCE, "--image-size", "32")
    # Labels drawn at random prove nothing, which is for the verdict to say.
    assert run(tiny_trial, tmp_path / "run", *words, "--checkpoint", str(tiny_trial.checkpoint)) == 7
    found = read_run(tmp_path / "run")
    assert found.recipe.network.builder == "python" and found.recipe.input_size == (32, 32)
    assert set(found.accuracy) == {"torch", "onnxruntime"}
    assert f"--like {REFERENCE} " in found.manifest.command and "--image-size 32 " in found.manifest.command


def test_published_weights_are_taken_from_where_they_are(
    tiny_trial: TinyTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_file

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run(tiny_trial, tmp_path / "run", REFERENCE) == 2
    told = capsys.readouterr().err
    assert "the weights" in told and "are not on this machine" in told and "add --fetch to download https://" in told
    assert not (tmp_path / "run").exists()
    recipe = resolve_recipe(REFERENCE)
    assert recipe.weights is not None
    weights_folder().mkdir(parents=True)
    stored = weights_folder() / recipe.weights.file
    save_file(build_network(recipe.network).state_dict(), stored)
    assert run(tiny_trial, tmp_path / "run", REFERENCE) == 7
    assert read_run(tmp_path / "run").manifest.checkpoint == str(stored)


def test_a_card_whose_steps_are_not_the_librarys_is_no_run(
    tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["recipes", "make", REFERENCE, "--output", str(tmp_path / "card.toml")]) == 0
    text = (tmp_path / "card.toml").read_text()
    (tmp_path / "card.toml").write_text(text.replace("short_side = 168", "short_side = 170"))
    checkpoint = tmp_path / "fresh.pth"
    import torch

    torch.save(build_network(resolve_recipe(REFERENCE).network).state_dict(), checkpoint)
    assert run(tiny_trial, tmp_path / "run", str(tmp_path / "card.toml"), "--checkpoint", str(checkpoint)) == 3
    assert f"the card's preprocessing is not that of {REFERENCE}" in capsys.readouterr().err
    assert run_cli(["recipes", "check", str(tmp_path / "card.toml")]) == 3
    assert run_cli(["recipes", "check", REFERENCE, "--images", str(tiny_trial.images)]) == 0
