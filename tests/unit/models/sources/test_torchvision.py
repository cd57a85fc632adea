"""torchvision's description of its weights, field by field."""

import pytest
from torchvision import models

from seatrial.errors import UsageError
from seatrial.models.build import build_network, sketch_network
from seatrial.models.sources import resolve_recipe, torchvision
from seatrial.models.sources.library import load_descriptions

NAMES = [listed.reference for listed in torchvision.list_references("*")]


def test_every_classifier_with_weights_is_listed() -> None:
    known = [
        f"torchvision:{m}/{w.name}" for m in models.list_models(module=models) for w in models.get_model_weights(m)
    ]
    assert set(known) - set(NAMES) == {"torchvision:vgg16/IMAGENET1K_FEATURES"} and len(NAMES) > 100
    with pytest.raises(UsageError, match="gives features and no classes"):
        resolve_recipe("torchvision:vgg16/IMAGENET1K_FEATURES")


@pytest.mark.parametrize("reference", NAMES)
def test_every_card_says_what_its_weights_say(reference: str) -> None:
    recipe = resolve_recipe(reference)
    model, name = reference.removeprefix("torchvision:").split("/")
    weights = models.get_model_weights(model)[name]
    preset = weights.transforms()
    assert recipe.input_size == (preset.crop_size[0],) * 2
    assert recipe.normalisation == (tuple(preset.mean), tuple(preset.std))
    assert recipe.network.classes == len(weights.meta["categories"])
    assert recipe.reference is not None
    assert recipe.reference.top1 == pytest.approx(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100)
    assert recipe.weights is not None and weights.url.endswith(recipe.weights.file)


@pytest.mark.parametrize("reference", ["torchvision:vit_b_16/IMAGENET1K_SWAG_E2E_V1", "torchvision:maxvit_t"])
def test_a_network_is_built_for_the_size_of_its_weights(reference: str) -> None:
    sketch_network(resolve_recipe(reference).network)  # refuses another number of parameters


def test_a_network_with_auxiliary_heads_is_the_one_its_weights_are_for() -> None:
    built = build_network(resolve_recipe("torchvision:googlenet").network)
    assert built.transform_input and "aux1.fc1.weight" in built.state_dict()


def test_default_weights_are_those_that_torchvision_calls_so() -> None:
    described = load_descriptions("torchvision", torchvision._describe_torchvision)
    assert described["resnet50/IMAGENET1K_V2"]["default"] and not described["resnet50/IMAGENET1K_V1"]["default"]
    assert resolve_recipe("torchvision:resnet50") == resolve_recipe("torchvision:resnet50/DEFAULT")
