"""A card's network as a torch module with fresh weights; nothing here is ever downloaded."""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from inspect import signature
from pkgutil import resolve_name
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from seatrial.errors import SeatrialError, UsageError, first_line
from seatrial.extras import naming_extras
from seatrial.recipes.schema import Argument, Network
from seatrial.strict import check_name

if TYPE_CHECKING:
    import torch
    from torch import nn

OURS = {
    "sk_resnet50": "seatrial.models.sknet:SkResNet50",
}
"""Networks that we define: name to the class, loaded when first used."""


def build_network(network: Network) -> "nn.Module":
    """The network with random weights, in training mode.

    Raises:
        UsageError: the builder has no such network or refuses its arguments, or its number of parameters is not the
            recipe's.
        EngineError: torch or the builder's library is not installed.
    """
    try:
        built = BUILDERS[network.builder](network)
    except SeatrialError:
        raise
    except (
        Exception,
        SystemExit,
    ) as error:  # A library's or the user's own code: whatever it raises is about what was asked of it.
        given = ", ".join(f"{key} = {value!r}" for key, value in network.arguments.items()) or "no arguments"
        raise UsageError(
            f"{network.builder} does not build '{network.name}' with {given} ({first_line(error)})",
            "mend network.arguments of the card, or --image-size",
        ) from None
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
    """Import a module that networks and checkpoints need, of an extra.

    Raises:
        EngineError: it is not installed.
    """
    with naming_extras("networks and checkpoints need"):
        return import_module(name)


def _build_ours(network: Network) -> "nn.Module":
    check_name(network.name, OURS, f"seatrial defines no network '{network.name}'")
    for library in ("torch", "torchvision"):
        import_extra(library)
    built: nn.Module = resolve_name(OURS[network.name])(network.classes)
    return built


def _build_timm(network: Network) -> "nn.Module":
    timm = import_extra("timm")
    check_timm_name(network.name)
    # The tag decides the image size of a network that is built for one.
    arguments = {**_as_lists(network.arguments), "num_classes": network.classes}
    built: nn.Module = timm.create_model(network.name, pretrained=False, **arguments)
    return built


def check_timm_name(name: str, where: str = "") -> None:
    """Refuse a name, or a name with a tag, that timm does not have: it would download what begins with hf-hub:.

    Args:
        where: what is said of the name in front of the error.

    Raises:
        UsageError: names the nearest architecture.
        EngineError: timm is not installed.
    """
    timm = import_extra("timm")
    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    if architecture not in known or (tag and not timm.models.is_model_pretrained(name)):
        fix = "`timm.list_models()` lists those it has"
        _refuse_name(f"{where}timm", timm.__version__, name, known, fix)


def _build_torchvision(network: Network) -> "nn.Module":
    torchvision = import_extra("torchvision")
    known = torchvision.models.list_models(module=torchvision.models)
    if network.name not in known:
        fix = "`torchvision.models.list_models()` lists those it has"
        _refuse_name("torchvision", torchvision.__version__, network.name, known, fix)
    arguments = {**_as_lists(network.arguments), "num_classes": network.classes}
    built: nn.Module = torchvision.models.get_model(network.name, weights=None, **arguments)
    return built


def _build_transformers(network: Network) -> "nn.Module":
    transformers = import_extra("transformers")
    built: nn.Module = getattr(transformers, network.name)(_read_config(transformers, network))
    own, size = type(built), find_size(built.config, "image_size")
    # Classes that pass on what they do not name themselves have the parameter below.
    resampling = {"interpolate_pos_encoding", "kwargs"} & signature(own.forward).parameters.keys()

    class Logits(own):  # type: ignore[misc, valid-type]
        """The network, which gives its logits alone; the names of its weights stay.

        For images of another size than its own it resamples its position embeddings where it can.
        """

        def forward(self, images: "torch.Tensor") -> "torch.Tensor":
            other = size is not None and any(int(side) != size for side in images.shape[-2:])
            given = {"interpolate_pos_encoding": True} if other and resampling else {}
            logits: torch.Tensor = super().forward(pixel_values=images, **given).logits
            return logits

    built.__class__ = Logits
    return built


def find_size(config: Any, key: str) -> int | None:
    """A size of transformers' configuration, such as image_size, where it is one number; None where there is none."""
    found = getattr(config, key, None) or getattr(getattr(config, "vision_config", None), key, None)
    if isinstance(found, list | tuple) and len(set(found)) == 1:
        found = found[0]
    return found if isinstance(found, int) else None


def _read_config(transformers: ModuleType, network: Network) -> Any:
    """transformers' configuration of a card, which carries config.json as text."""
    stated = json.loads(str(network.arguments["config"]))
    config = transformers.AutoConfig.for_model(**stated)
    config.return_dict = True
    if config.num_labels != network.classes:
        config.num_labels = network.classes
    return config


def _build_python(network: Network) -> "nn.Module":
    import_extra("torch")
    from seatrial.models.python_file import build_from_file

    return build_from_file(network, _as_lists(network.arguments))


def refuse_graph(name: str) -> NoReturn:
    """Refuse an ONNX file, or a card of one, where a network is to be built.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        f"{name} is a graph with its weights: there is no checkpoint and no network to build",
        "`seatrial run` puts it through its trial, `seatrial compile` makes an engine of it",
    )


def _refuse_name(library: str, release: str, name: str, known: Sequence[str], fix: str) -> NoReturn:
    # What follows a dot is timm's name for pretrained weights, which are no part of a network.
    near = difflib.get_close_matches(name.partition(".")[0], known, n=1, cutoff=0.5)
    raise UsageError(f"{library} {release} has no network '{name}'", f"did you mean '{near[0]}'?" if near else fix)


def _as_lists(arguments: Mapping[str, Argument]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in arguments.items()}


BUILDERS: Mapping[str, Callable[[Network], "nn.Module"]] = {
    "seatrial": _build_ours,
    "timm": _build_timm,
    "torchvision": _build_torchvision,
    "transformers": _build_transformers,
    "python": _build_python,
    "onnx": lambda network: refuse_graph(network.name),
}
"""Who builds a network, by `Network.builder`."""
