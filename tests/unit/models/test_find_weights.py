"""Published weights are found where the libraries keep them; else the error says what to get and where to put it."""

from pathlib import Path

import pytest

from fake_engine import make_recipe
from seatrial.errors import UsageError
from seatrial.models.find_weights import find_weights, weights_folder
from seatrial.models.sources import resolve_recipe


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def test_in_our_own_folder_and_in_that_of_torch_hub(tmp_path: Path) -> None:
    recipe = resolve_recipe("torchvision:resnet18/IMAGENET1K_V1")
    with pytest.raises(UsageError) as raised:
        find_weights(recipe, None)
    assert str(raised.value) == (
        "the weights resnet18-f37072fd.pth (sha256 f37072fd…) are not on this machine; add --fetch "
        f"to download https://download.pytorch.org/models/resnet18-f37072fd.pth; or put the file into "
        f"{weights_folder()}, or give --checkpoint FILE"
    )
    for folder in (tmp_path / "TORCH_HOME" / "hub" / "checkpoints", weights_folder()):
        folder.mkdir(parents=True)
        (folder / "resnet18-f37072fd.pth").touch()
        assert find_weights(recipe, None) == folder / "resnet18-f37072fd.pth"


def test_what_is_given_is_taken_or_refused(tmp_path: Path) -> None:
    recipe = resolve_recipe("torchvision:resnet18")
    (tmp_path / "mine.pth").touch()
    assert find_weights(recipe, tmp_path / "mine.pth") == tmp_path / "mine.pth"
    with pytest.raises(UsageError, match="is a folder, not a file; give --checkpoint FILE"):
        find_weights(recipe, tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        find_weights(recipe, tmp_path / "no.pth")
    with pytest.raises(UsageError, match="names no published weights; give your own with --checkpoint FILE"):
        find_weights(make_recipe(), None)
