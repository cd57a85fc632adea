"""Model references: each origin's description of a model, as an ordinary card.

A new origin is a file here with `resolve` and `list_references`, and a line in `resolve.SOURCES`.
"""

from seatrial.models.sources.resolve import ResolvedCard, resolve_card, resolve_network, resolve_recipe

__all__ = ["ResolvedCard", "resolve_card", "resolve_network", "resolve_recipe"]
