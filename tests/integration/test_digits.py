"""The guides' heavier networks learn the demo's digits with the demo's settings, in two to five minutes each."""

from pathlib import Path

import pytest

from seatrial.data.demo import DemoData, make_demo
from seatrial.workflow.train import train_recipe
from seatrial.workflow.train_spec import TrainSpec

NETWORKS = ("sk_resnet50", "seresnext101_32x4d", "resnext50_32x4d")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    return make_demo(tmp_path_factory.mktemp("digits") / "data")


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_it_learns_the_digits(name: str, digits: DemoData, tmp_path: Path) -> None:
    builder = 'builder = "seatrial"\n' if name.startswith("sk_") else ""
    card = tmp_path / "card.toml"
    card.write_text(digits.card.read_text().replace('name = "resnet50"', f'{builder}name = "{name}"'))
    record = train_recipe(TrainSpec(str(card), digits.folder, tmp_path / "trained"))
    assert record.validation is not None and record.validation.images == record.validation.of_images == 539
    assert record.validation.top1 > 0.9
