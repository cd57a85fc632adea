"""Recipes of networks that only differ in their classes."""

from collections.abc import Sequence

from seatrial.recipes import Recipe


def make_recipe(names: Sequence[str] | str | None, classes: int, offset: int = 0) -> Recipe:
    """A recipe whose classes are called so, and whose labels have this added."""
    steps = [
        {"step": "resize", "short_side": 36},
        {"step": "center_crop", "size": [32, 32]},
        {"step": "to_float"},
        {"step": "normalise", "mean": [0.5] * 3, "std": [0.5] * 3},
    ]
    labels = {"offset": offset, **({} if names is None else {"names": names})}
    card = {"name": "mine", "title": "Mine", "preprocess": steps, "labels": labels}
    return Recipe.read({**card, "network": {"name": "test_resnet", "classes": classes}}, "the test")
