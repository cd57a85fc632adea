"""Recipes: what a model is, one TOML card each."""

from seatrial.recipes.load import list_cards, load_recipe
from seatrial.recipes.schema import Recipe

__all__ = ["Recipe", "list_cards", "load_recipe"]
