"""A bare name that is no card, but a network of a library."""

from types import SimpleNamespace

import pytest

from seatrial.errors import EngineError, UsageError
from seatrial.models.sources import own_card
from seatrial.models.sources.own_card import find_own_card


def fake_library(path: str) -> SimpleNamespace:
    """A module of a library: timm has two networks, torchvision is not installed."""

    def list_references(pattern: str) -> list[str]:
        if path.endswith("torchvision"):
            raise EngineError("torchvision is not installed", "install it")
        return [name for name in ("resnet18", "vit_b") if name == pattern]

    return SimpleNamespace(list_references=list_references)


def test_a_name_that_a_library_has_is_answered_with_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_card, "import_module", fake_library)
    with pytest.raises(UsageError, match=r"there is no recipe 'resnet18'; write timm:resnet18$"):
        find_own_card("resnet18")
    # Digits of the same kind first, where no library has it either.
    with pytest.raises(UsageError, match=r"there is no recipe 'resnet51'; did you mean 'resnet50'?"):
        find_own_card("resnet51")
    with pytest.raises(UsageError, match=r"there is no recipe '.*'; "):
        find_own_card("*")
    assert find_own_card("resnet50").name == "resnet50.toml"
