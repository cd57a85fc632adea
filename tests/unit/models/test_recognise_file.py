"""Whose weights a file has: of a card's network, in any wrapping that is read, and of no other."""

from pathlib import Path

import pytest
import torch

from golden_weights import make_state
from seatrial.errors import RefusedFile, UsageError
from seatrial.models.build import sketch_network
from seatrial.models.recognise_file import list_fitting_cards
from seatrial.recipes import load_recipe


@pytest.mark.parametrize("name", ["resnet50", "spnasnet_100"])
def test_a_card_is_known_by_the_names_and_shapes_of_its_weights(name: str, tmp_path: Path) -> None:
    wanted = sketch_network(load_recipe(name).network).state_dict()
    # Zeros that take no room.
    zeros = {f"module.{key}": torch.zeros((), dtype=each.dtype).expand(each.shape) for key, each in wanted.items()}
    torch.save({"epoch": 3, "state_dict": zeros}, tmp_path / "a.pth.tar")
    assert list_fitting_cards(tmp_path / "a.pth.tar") == [name]


def test_other_weights_are_nobodys(tmp_path: Path) -> None:
    torch.save(make_state({"conv.weight": (2, 3, 1, 1)}), tmp_path / "a.pth")
    assert list_fitting_cards(tmp_path / "a.pth") == []


def test_a_file_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no checkpoint"):
        list_fitting_cards(tmp_path / "gone.pth")
    (tmp_path / "checkpoint.pth.tar").touch()
    with pytest.raises(
        UsageError, match=r"there is no checkpoint \S+/checkpoint\.pth; did you mean \S+/checkpoint\.pth\.tar\?"
    ):
        list_fitting_cards(tmp_path / "checkpoint.pth")
    (tmp_path / "a.pth").write_bytes(b"<html>")
    with pytest.raises(RefusedFile):
        list_fitting_cards(tmp_path / "a.pth")
