"""Model references: each origin's description of a model, as an ordinary card.

A new origin is a file here with `resolve` and `list_references`, and a line in `resolve.SOURCES`.
"""

from seatrial.models.sources.resolve import ResolvedCard, refuse_onnx, resolve_card, resolve_recipe

__all__ = ["ResolvedCard", "refuse_onnx", "resolve_card", "resolve_recipe"]
