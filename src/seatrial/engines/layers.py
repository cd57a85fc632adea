"""The layers of what was compiled, as far as an engine names them."""

from collections import Counter
from collections.abc import Iterable

from seatrial.store.records import LayerPrecision

MOST_LAYERS = 100
"""Named in a manifest."""


def count_layers(layers: Iterable[LayerPrecision]) -> dict[str, int]:
    """Layers by the precision that they compute in."""
    return dict(Counter(layer.precision for layer in layers))


def choose_others(layers: Iterable[LayerPrecision], precision: str) -> tuple[LayerPrecision, ...]:
    """The first layers that compute in another precision than the requested one."""
    return tuple(layer for layer in layers if layer.precision != precision)[:MOST_LAYERS]
