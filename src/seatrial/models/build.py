"""A card's network as a torch module with fresh weights; nothing here is ever downloaded."""

import difflib
from importlib import import_module
from pkgutil import resolve_name
from types import ModuleType
from typing import TYPE_CHECKING

from seatrial.errors import EngineError, UsageError
from seatrial.recipes.schema import Network
from seatrial.strict import check_name

if TYPE_CHECKING:
    from torch import nn

OURS = {
    "sk_resnet50": "seatrial.models.sknet:SkResNet50",
}
"""Networks that we define: name to the class, loaded when first used."""


def build_network(network: Network) -> "nn.Module":
    """The network with random weights, in training mode.

    Raises:
        UsageError: the builder has no such network, or its number of parameters is not the recipe's.
        EngineError: torch or timm is not installed.
    """
    built = _build_ours(network) if network.builder == "seatrial" else _build_timm(network)
    found = count_parameters(built)
    if network.parameters not in (None, found):
        raise UsageError(
            f"network '{network.name}' with {network.classes} classes has {found:,} parameters, "
            f"not the {network.parameters:,} that the recipe states",
            "correct the recipe's network.parameters, or leave it out",
        )
    return built


def sketch_network(network: Network) -> "nn.Module":
    """As `build_network`, without memory for the weights: names, shapes and dtypes only (torch's meta device)."""
    torch = import_extra("torch")
    with torch.device("meta"):
        return build_network(network)


def change_classes(network: Network, classes: int) -> Network:
    """The same network for another number of classes; a count of parameters is of the stated classes only."""
    if classes == network.classes:
        return network
    return network.model_copy(update={"classes": classes, "parameters": None})


def count_parameters(built: "nn.Module") -> int:
    """Learned numbers; running statistics are not counted."""
    return sum(parameter.numel() for parameter in built.parameters())


def import_extra(name: str) -> ModuleType:
    """Import a module of the `torch` extra.

    Raises:
        EngineError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchvision", "timm"):
            raise
        raise EngineError(
            f"networks and checkpoints need {error.name}, which is not installed", "pip install 'seatrial[torch]'"
        ) from None


def _build_ours(network: Network) -> "nn.Module":
    check_name(network.name, OURS, f"seatrial defines no network '{network.name}'")
    for library in ("torch", "torchvision"):
        import_extra(library)
    built: nn.Module = resolve_name(OURS[network.name])(network.classes)
    return built


def _build_timm(network: Network) -> "nn.Module":
    timm = import_extra("timm")
    known = timm.list_models()
    # Only plain names: timm would download those that begin with hf-hub:.
    if network.name not in known:
        # What follows a dot is timm's name for pretrained weights, which are no part of a network.
        near = difflib.get_close_matches(network.name.partition(".")[0], known, n=1, cutoff=0.5)
        fix = f"did you mean '{near[0]}'?" if near else "`timm.list_models()` lists those it has"
        raise UsageError(f"timm {timm.__version__} has no network '{network.name}'", fix)
    built: nn.Module = timm.create_model(network.name, pretrained=False, num_classes=network.classes)
    return built
