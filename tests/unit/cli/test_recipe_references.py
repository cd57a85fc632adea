"""`seatrial recipes list|make|check|show|fetch` with model references."""

import json
import tomllib
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.models.sources import resolve_recipe
from seatrial.recipes import Recipe

REFERENCE = "timm:test_resnet.r160_in1k"


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "list", "timm:test_resnet*"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0] == "reference" and line.split()[:3] == [REFERENCE, "160x160", "1000"]
    assert run_cli(["recipes", "list", "torchvision:resnet18", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["reference"], listed["parameters"]) == ("torchvision:resnet18/IMAGENET1K_V1", 11_689_512)
    assert run_cli(["recipes", "list"]) == 2
    assert "takes a pattern of model references; give one such as 'timm:resnet50*'" in capsys.readouterr().err
    assert run_cli(["recipes", "list", "timm:no_such*"]) == 2
    assert "no model reference fits 'timm:no_such*'" in capsys.readouterr().err


def test_make_prints_a_card_or_writes_one_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["recipes", "make", REFERENCE]) == 0
    text = capsys.readouterr().out
    assert Recipe.read(tomllib.loads(text), "card.toml") == resolve_recipe(REFERENCE)
    target = tmp_path / "card.toml"
    assert run_cli(["recipes", "make", REFERENCE, "--output", str(target)]) == 0
    assert target.read_text() == text
    assert run_cli(["recipes", "make", REFERENCE, "--image-size", "96", "--output", str(target)]) == 2
    assert target.read_text() == text and "is there already" in capsys.readouterr().err


def test_show_prints_what_a_base_gives_and_refuses_a_gate_that_run_would_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "mine.toml"
    card.write_text(f'base = "{REFERENCE}"\nname = "mine"\n')
    assert run_cli(["recipes", "show", str(card)]) == 0
    shown = tomllib.loads(capsys.readouterr().out)
    assert shown["name"] == "mine" and len(shown["preprocess"]) == 4
    card.write_text(f'base = "{REFERENCE}"\n[gates]\nspeed = ["openvino >>= 2 * torch"]\n')
    assert run_cli(["recipes", "show", str(card)]) == 2
    assert "openvino >>= 2 * torch" in capsys.readouterr().err


def test_check_needs_a_library_to_compare_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "check", "resnet50"]) == 2
    assert "is a card that no library describes" in capsys.readouterr().err
    assert run_cli(["recipes", "check", REFERENCE, "--json"]) == 0
    proof = json.loads(capsys.readouterr().out)
    assert proof["difference"]["share"] == 0 and proof["drawn"] and proof["images"] == 32
