"""Speeds of training beside each other; the guides' own figures must give the guides' own ratios."""

import math

import pytest

from seatrial.compare.training_table import make_training_table
from seatrial.errors import NotComparable, UsageError
from training_speeds import make_cards, make_environment, make_speed

ONE, EIGHT = 512 / 1259.591, 4096 / 11898.83
"""Seconds of a step behind the guide's figures."""


def test_the_guides_118_percent_are_impossible() -> None:
    (scaling,) = make_training_table({"1p": make_cards(1, ONE), "8p": make_cards(8, EIGHT)}).scalings
    assert (scaling.of, scaling.to, scaling.times, scaling.differences) == ("8p", "1p", 8, ())
    assert scaling.gain.value == pytest.approx(9.4466, abs=1e-4)
    assert scaling.efficiency == pytest.approx(1.1808, abs=1e-4)
    assert scaling.impossible


def test_what_loses_something_is_possible() -> None:
    found = make_training_table({"1p": make_cards(1, 512 / 2065), "8p": make_cards(8, 4096 / 14268)})
    (scaling,) = found.scalings
    assert scaling.efficiency == pytest.approx(0.8637, abs=1e-4)
    assert not scaling.impossible


def test_a_little_more_than_linear_may_be_chance() -> None:
    noisy = tuple(0.4 + 0.1 * math.sin(n) for n in range(20))
    rows = {"1p": make_cards(1, 0.4, compute_s=noisy), "2p": make_cards(2, 0.39)}
    (scaling,) = make_training_table(rows).scalings
    assert scaling.efficiency > 1 and scaling.gain.bounds is not None and scaling.gain.bounds[0] < 2
    assert not scaling.impossible


def test_each_is_set_against_the_fewest_devices_of_its_kind() -> None:
    rows = {
        "8p": make_cards(8, 1.0),
        "2p": make_cards(2, 1.0),
        "4p": make_cards(4, 1.0),
        "3p": make_cards(3, 1.0),
        "cuda": make_cards(1, 1.0, device="cuda"),
    }
    assert [(s.of, s.to, s.times) for s in make_training_table(rows).scalings] == [("8p", "2p", 4), ("4p", "2p", 2)]


def test_processes_on_one_cpu_are_no_scaling() -> None:
    assert make_training_table({"1": make_speed(), "2": make_speed(processes=2)}).scalings == ()


def test_other_work_is_named() -> None:
    one = make_cards(1, 1.0, environment=make_environment("1.5"), precision="bf16", batch_size=256)
    settings = {**one.settings, "label_smoothing": 0.0, "epochs": 3, "learning_rate": 2.0}
    (scaling,) = make_training_table({"1p": one, "8p": make_cards(8, 1.0, settings=settings)}).scalings
    assert scaling.differences == (
        "precision bf16 and fp16",
        "images a device and step 256 and 512",
        "torch 1.5 and 2.10.0",
        "label_smoothing 0.1 and 0",
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"recipe": "sk_resnet50"}, r"model: resnet50 \(a\), sk_resnet50 \(b\); --allow model compares"),
        ({"synthetic": False}, r"data: random images \(a\), files \(b\)"),
        ({"size": (64, 64)}, r"size: 32x32 \(a\), 64x64 \(b\)"),
    ],
)
def test_what_is_not_alike_is_refused_unless_it_is_allowed(changes: dict[str, object], told: str) -> None:
    rows = {"a": make_speed(), "b": make_speed(**changes)}
    with pytest.raises(NotComparable, match=told):
        make_training_table(rows)
    kind = told.partition(":")[0]
    assert any(note.startswith("not alike, but allowed: " + kind) for note in make_training_table(rows, [kind]).notes)


def test_an_unknown_difference_names_the_nearest() -> None:
    with pytest.raises(
        UsageError, match="--allow modelx: there is no such difference of trainings; did you mean 'model'"
    ):
        make_training_table({"a": make_speed()}, ["modelx"])
