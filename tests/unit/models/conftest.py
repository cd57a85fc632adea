"""One thread for big networks, a recipe for any network, and a tiny network's weights."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from golden_weights import make_state
from seatrial.models.build import sketch_network
from seatrial.recipes.schema import Network, Recipe
from seatrial.recipes.steps import CenterCrop, ToFloat

TINY = Network(name="test_resnet", classes=10)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def recipe_for() -> Callable[[Network], Recipe]:
    def make(network: Network) -> Recipe:
        steps = (CenterCrop(step="center_crop", size=(224, 224)), ToFloat(step="to_float"))
        return Recipe(name="trial", title="A trial", network=network, preprocess=steps)

    return make


@pytest.fixture
def tiny(recipe_for: Callable[[Network], Recipe]) -> Recipe:
    """timm's smallest ResNet, for 10 classes."""
    return recipe_for(TINY)


@pytest.fixture
def tiny_state() -> dict[str, Tensor]:
    """Weights for `tiny`, in the network's order."""
    return make_state({key: tensor.shape for key, tensor in sketch_network(TINY).state_dict().items()})
