"""Other names for the same weights: the builder's own conversion of files that its library knows.

timm's modules have a `checkpoint_filter_fn`, by which `create_model(pretrained=True)` reads files of the authors' own
code and resamples position embeddings to another image size. transformers stores under older names than it uses, and
renames when it loads.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.recipes.schema import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

    State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class AdaptedState:
    """Weights as the network's library renames them."""

    state: "State"
    how: str
    """What did it, and what it did, in words."""
    changed: dict[str, tuple[str, ...]]
    """Every key that is not as it was: `gone` of the file, `new`, and `reshaped`."""


def adapt_state(state: "State", network: Network, built: "nn.Module") -> AdaptedState | None:
    """Weights as the network's library would rename them; None where it knows nothing.

    Args:
        built: the network, whose names and shapes are wanted.
    """
    from seatrial.models.account import count_keys

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
    gone = tuple(key for key in state if key not in converted)
    new = tuple(key for key in converted if key not in state)
    reshaped = tuple(key for key in state if key in converted and state[key].shape != converted[key].shape)
    changes = [f"{count_keys('new names', new)} for {count_keys('of the file', gone)}"] if new else []
    changes += [count_keys("left out", gone)] if gone and not new else []
    changes += [count_keys("reshaped", reshaped)] if reshaped else []
    changed = {name: keys for name, keys in (("gone", gone), ("new", new), ("reshaped", reshaped)) if keys}
    return AdaptedState(converted, f"{how}: {'; '.join(changes) or 'nothing changed'}", changed)


def _convert_as_timm(state: "State", network: Network, built: "nn.Module") -> "tuple[State, str] | None":
    from timm.models import model_entrypoint

    module = sys.modules[model_entrypoint(network.name.partition(".")[0]).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None)
    return None if convert is None else (convert(state, built), "timm's checkpoint_filter_fn")


def _convert_as_transformers(state: "State", network: Network, built: "nn.Module") -> "tuple[State, str] | None":
    kind: Any = type(built).__mro__[1]  # transformers' own class, of which `models.build` makes one that gives logits
    loaded, info = kind.from_pretrained(
        None, config=built.config, state_dict=state, output_loading_info=True, ignore_mismatched_sizes=True
    )
    # What it would fill with random numbers or pass over is for the accounting to name.
    if any(info.get(fault) for fault in ("missing_keys", "unexpected_keys", "error_msgs")):
        return None
    own = {key: state[key] for key, *_ in info.get("mismatched_keys") or ()}
    return {**loaded.state_dict(), **own}, "transformers' renaming"
