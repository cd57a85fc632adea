"""The presets of resnet50's card are what their sources say, and can be seen."""

import json

import pytest

from seatrial.cli import run_cli
from seatrial.cli.train_aliases import translate
from seatrial.recipes import load_recipe
from seatrial.recipes.training import Train, find_idle

CARD = load_recipe("resnet50")
APEX = {"amp": "fp16", "loss_scale": 1024, "nesterov": False}
"""Both scripts' optimiser is torch's plain SGD under apex O2, whose loss scale they fix whatever the flag says."""


def settle(preset: str) -> Train:
    return Train.model_validate({**CARD.train.model_dump(), **CARD.presets[preset]})


@pytest.mark.parametrize(
    ("preset", "line"),
    [
        # train_full_1p.sh and train_full_8p.sh of the guide; weight decay and momentum of the first are its defaults.
        ("guide-1p", "-b 512 --lr 0.2 --warmup 5 --label-smoothing=0.1 --epochs 90 --wd 1e-4 --momentum 0.9"),
        ("guide-8p", "--seed=49 --learning-rate=1.6 --warmup=8 --label-smoothing=0.1 --mom=0.9 --weight-decay=1.0e-04 "
         "--print-freq=1 --epochs=90 --batch-size=4096"),
    ],
)  # fmt: skip
def test_the_guides_presets_are_their_scripts(preset: str, line: str) -> None:
    words = " ".join(translate(line.split()).words).replace("=", " ").split()
    said = {
        name.removeprefix("--").replace("-", "_"): float(v) for name, v in zip(words[::2], words[1::2], strict=True)
    }
    assert CARD.presets[preset] == {**said, **APEX}
    assert settle(preset).lr_schedule == "cosine"


def test_torchvisions_preset_is_its_reference_command() -> None:
    """As on the blog's page: eight processes of 128 images."""
    settings = settle("torchvision-v2")
    told = {
        "batch_size": 8 * 128,
        "learning_rate": 0.5,
        "lr_schedule": "cosine",
        "warmup_epochs": 5,
        "augment": "trivial",
        "epochs": 600,
        "random_erasing": 0.1,
        "label_smoothing": 0.1,
        "mixup": 0.2,
        "cutmix": 1.0,
        "weight_decay": 0.00002,
        "size": 176,
        "repeats": 4,
        "momentum": 0.9,
        "nesterov": False,
        "optimizer": "sgd",
    }
    assert {name: getattr(settings, name) for name in told} == told


def test_the_average_of_torchvisions_preset_forgets_as_fast_as_theirs() -> None:
    """Theirs is updated at every 32nd step with 1 - 0.00002 · 1024 · 32 / 600, ours at each."""
    theirs = 1 - (1 - 0.99998) * 1024 * 32 / 600
    assert settle("torchvision-v2").ema ** 32 == pytest.approx(theirs, abs=2e-5)


def test_presets_stand_in_the_card_as_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "show", "resnet50"]) == 0
    shown = capsys.readouterr().out
    assert all(f"[presets.{name}]" in shown for name in ("guide-1p", "guide-8p", "torchvision-v2"))
    assert run_cli(["recipes", "show", "resnet50", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["presets"]["guide-8p"]["batch_size"] == 4096


def test_a_preset_is_shown_with_where_each_setting_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "show", "resnet50", "--preset", "guide-8p"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert list(rows) == ["setting", *Train.model_fields]
    assert rows["batch_size"] == ["4096", "preset"]
    assert rows["momentum"] == ["0.9", "preset"]
    assert rows["cutmix"] == ["0.0", "default"]
    assert run_cli(["recipes", "show", "resnet50", "--preset", "torchvision-v2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 176


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["resnet50", "--preset", "guide-8"], "resnet50 has no preset 'guide-8'; did you mean 'guide-8p'?"),
        (["spnasnet_100", "--preset", "guide-1p"], "spnasnet_100 has no preset 'guide-1p'; it has none"),
    ],
)
def test_an_unknown_preset_names_the_nearest(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "show", *words]) == 2
    assert capsys.readouterr().err == f"seatrial: {told}\n"


def test_settings_that_change_nothing_are_found() -> None:
    given = ["loss_scale", "nesterov", "lr_step_epochs", "lr_step_factor", "epochs"]
    assert find_idle(Train(optimizer="adamw"), given) == given[:-1]
    assert find_idle(Train(amp="fp16", lr_schedule="step"), given) == []
    assert find_idle(Train(optimizer="adamw"), ["epochs"]) == []
