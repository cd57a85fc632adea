"""A network that cannot take a training's images is refused before the first step, in one line."""

from pathlib import Path

import pytest
import torch

from seatrial.cli import run_cli
from seatrial.errors import UsageError
from seatrial.recipes import load_recipe
from seatrial.train.distributed.process_group import ProcessGroup
from seatrial.train.distributed.rank import RankInfo
from seatrial.train.network import TrainedNetwork
from tiny_trial import CARD, NETWORK, TinyTrial

ALONE = ProcessGroup(RankInfo(), torch.device("cpu"), None)


@pytest.mark.parametrize("more", [(), ("--performance", "--synthetic"), ("--size", "64")])
def test_train_at_a_size_that_the_network_is_not_built_for(
    more: tuple[str, ...], tiny_trial: TinyTrial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card, size = tmp_path / "vit.toml", 64 if "--size" in more else 32
    built_for_160 = "classes = 4\narguments = { dynamic_img_size = false }"
    card.write_text(CARD.replace(NETWORK, "test_vit").replace("classes = 4", built_for_160))
    for part in ("train", "val"):
        (tmp_path / part).symlink_to(tiny_trial.folder / "train")
    data = () if "--synthetic" in more else ("--data", str(tmp_path))
    assert run_cli(["train", str(card), *data, "--output", str(tmp_path / "out"), *more]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("seatrial: ")]
    assert f"'test_vit' does not run on 2 images of {size} × {size} (Input height ({size}) doesn't match" in line


def test_running_statistics_stay_as_they_are(tiny_trial: TinyTrial) -> None:
    network = TrainedNetwork(load_recipe(str(tiny_trial.card)), ALONE)
    before = {name: value.clone() for name, value in network.plain.state_dict().items()}
    network.check_images((2, 3, 32, 32), "")
    assert all(torch.equal(before[name], value) for name, value in network.plain.state_dict().items())
    with pytest.raises(UsageError, match=r"does not run on an image of 1 × 1 .*; take more"):
        network.check_images((1, 3, 1, 1), "take more")


def test_what_gives_no_logits_is_refused(tiny_trial: TinyTrial) -> None:
    network = TrainedNetwork(load_recipe(str(tiny_trial.card)), ALONE)
    network.plain = torch.nn.Identity()
    with pytest.raises(UsageError, match="gives a tensor of 4 axes for a batch of images; its forward must return"):
        network.check_images((2, 3, 32, 32), "")
    network.plain = torch.nn.Flatten()
    with pytest.raises(UsageError, match="gives 3072 numbers for an image, its card has 4 classes"):
        network.check_images((2, 3, 32, 32), "")
