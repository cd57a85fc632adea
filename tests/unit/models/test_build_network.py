"""Networks are built by name, checked against the recipe, and a missing library or name is said in one line."""

import subprocess
import sys

import pytest
import torch

from seatrial.errors import EngineError, UsageError
from seatrial.models.build import build_network, change_classes, count_parameters, sketch_network
from seatrial.recipes.load import list_cards, load_recipe
from seatrial.recipes.schema import Network


def test_timm_network_has_the_classes_asked_for() -> None:
    built = build_network(Network(name="test_resnet", classes=7))
    assert built(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    assert built.training


@pytest.mark.parametrize("card", list_cards())
def test_every_card_builds_with_the_parameters_it_states(card: str) -> None:
    network = load_recipe(card).network
    sketch = sketch_network(network)
    assert network.parameters in (None, count_parameters(sketch))
    assert all(tensor.device.type == "meta" for tensor in sketch.state_dict().values())


def test_another_number_of_parameters_is_an_error_with_both_counts() -> None:
    with pytest.raises(
        UsageError, match="'test_resnet' with 10 classes has 373,658 parameters, not the 469,000"
    ) as raised:
        build_network(Network(name="test_resnet", classes=10, parameters=469000))
    assert raised.value.exit_code == 2


def test_what_a_library_raises_is_said_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"timm does not build 'test_vit' with depth = 'deep' .*network\.arguments"):
        build_network(Network(name="test_vit", classes=2, arguments={"depth": "deep"}))


def test_stated_parameters_hold_for_the_stated_classes_only() -> None:
    network = Network(name="resnet50", classes=1000, parameters=25557032)
    assert change_classes(network, 1000) is network
    assert count_parameters(sketch_network(change_classes(network, 10))) == 25557032 - 990 * (2048 + 1)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Network(name="resnett50", classes=2), "has no network 'resnett50'; did you mean 'resnet50'?"),
        (Network(name="hf-hub:timm/resnet50", classes=2), "has no network 'hf-hub:timm/resnet50'"),
        (Network(name="resnet50.a9_in1k", classes=2), "did you mean 'resnet50'?"),
        (
            Network(builder="torchvision", name="resnet5", classes=2),
            "has no network 'resnet5'; did you mean 'resnet50'?",
        ),
        (Network(name="qqqqqqqqqqq", classes=2), "`timm.list_models()` lists those it has"),
        (Network(builder="seatrial", name="sk_resnet5", classes=2), "did you mean 'sk_resnet50'?"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(network: Network, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        build_network(network)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("network", "missing"),
    [
        (Network(name="resnet50", classes=2), "timm"),
        (Network(builder="seatrial", name="sk_resnet50", classes=2), "torch"),
    ],
)
def test_a_missing_library_is_named_with_what_brings_it(
    network: Network, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr("seatrial.models.build.import_module", fail)
    with pytest.raises(EngineError, match=rf"^{missing}, which .* need, .*pip install 'seatrial\[torch\]'"):
        build_network(network)


def test_importing_the_package_imports_no_torch() -> None:
    code = (
        "import sys, seatrial.models, seatrial.models.build, seatrial.models.checkpoint; "
        "print([m for m in ('torch', 'timm', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
