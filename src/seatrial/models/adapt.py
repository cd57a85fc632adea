"""Other names for the same weights: the builder's own conversion of files that its library knows.

timm's modules have a `checkpoint_filter_fn`, by which `create_model(pretrained=True)` reads files of the authors' own
code and resamples position embeddings to another image size. transformers stores under older names than it uses, and
renames when it loads.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seatrial.recipes.schema import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

    State = Mapping[str, Tensor]


def adapt_state(state: "State", network: Network, built: "nn.Module") -> "tuple[State, str] | None":
    """Weights as the network's library would rename them, with what was done in words; None where it knows nothing.

    Args:
        built: the network, whose names and shapes are wanted.
    """
    converter = {"timm": _convert_as_timm, "transformers": _convert_as_transformers}.get(network.builder)
    if converter is None:
        return None
    try:
        found = converter(dict(state), network, built)
    except Exception:  # Written for the files that the library publishes: of another's it raises anything.
        return None
    if found is None:
        return None
    converted, how = found
    new, gone = len(converted.keys() - state.keys()), len(state.keys() - converted.keys())
    reshaped = sum(state[key].shape != converted[key].shape for key in state.keys() & converted.keys())
    changes = [f"{count} {what}" for count, what in ((new, "new names"), (reshaped, "reshaped")) if count]
    if gone > new:
        changes.append(f"{gone - new} left out")
    return converted, f"{how} ({', '.join(changes) or 'nothing changed'})"


def _convert_as_timm(state: "State", network: Network, built: "nn.Module") -> "tuple[State, str] | None":
    from timm.models import model_entrypoint

    module = sys.modules[model_entrypoint(network.name.partition(".")[0]).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None)
    return None if convert is None else (convert(state, built), "timm's checkpoint_filter_fn")


def _convert_as_transformers(state: "State", network: Network, built: "nn.Module") -> "tuple[State, str] | None":
    kind: Any = type(built).__mro__[1]  # transformers' own class, of which `models.build` makes one that gives logits
    loaded, info = kind.from_pretrained(None, config=built.config, state_dict=state, output_loading_info=True)
    # What it would fill with random numbers or pass over is for the accounting to name.
    faults = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
    return None if any(info.get(fault) for fault in faults) else (loaded.state_dict(), "transformers' renaming")
