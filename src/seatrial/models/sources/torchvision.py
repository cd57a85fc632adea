"""`torchvision:NAME[/WEIGHTS]`: what the installed torchvision says of its weights: `transforms()` and `meta`.

The steps are those of `torchvision.transforms._presets.ImageClassification` on a PIL image. Nothing is downloaded.
"""

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from seatrial.errors import UsageError
from seatrial.models.sources.card import Draft
from seatrial.models.sources.library import Descriptions, load_descriptions, put_weights, read_version
from seatrial.models.sources.listing import Listed
from seatrial.recipes.class_names import is_imagenet
from seatrial.recipes.schema import IMAGENET, Recipe
from seatrial.strict import find_near

if TYPE_CHECKING:
    from seatrial.models.sources.resolve import Transform

ORIGIN = "https://github.com/pytorch/vision"
WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
"""Their weights have heads for training, and their inputs are rescaled inside (`transform_input`)."""


def resolve(name: str, image_size: int | None = None) -> Draft:
    """The card of `NAME` (with the weights that torchvision calls DEFAULT) or `NAME/WEIGHTS`.

    Raises:
        UsageError: torchvision has no such model or weights.
        EngineError: torchvision is not installed.
    """
    described = load_descriptions("torchvision", _describe_torchvision)
    name = _find_name(name, described)
    facts, (model, weights) = described[name], name.split("/")
    if not facts["categories"]:
        raise UsageError(
            f"torchvision:{name} gives features and no classes", "train a head on it, and give the network's own file"
        )
    here = f"torchvision {read_version('torchvision')}"
    draft = Draft(f"torchvision:{name}")
    draft.put_head(f"{model}.{weights}", f"{model} with {weights}, as torchvision describes it", ORIGIN, here)
    draft.put_all("network", builder="torchvision", name=model)
    draft.put("network.classes", len(facts["categories"]), f"{here}: meta.categories")
    if model not in WITH_AUXILIARY_HEADS:
        draft.put("network.parameters", facts["num_params"], f"{here}: meta.num_params")
    arguments = _find_arguments(model, facts, image_size)
    draft.put("network.arguments", arguments or None, "what torchvision sets for these weights")
    names = IMAGENET if is_imagenet(facts["categories"]) else facts["categories"]
    draft.put("labels.names", names, f"{here}: meta.categories")
    put_weights(draft, facts["url"], here)
    _add_steps(draft, facts, here, image_size)
    metrics = facts["metrics"]
    if metrics:
        draft.put("reference.top1", round(metrics["acc@1"] / 100, 5), f"{here}: meta._metrics")
        top5, source = round(metrics["acc@5"] / 100, 5), facts.get("recipe") or ORIGIN
        draft.put_all("reference", top5=top5, size=facts["crop_size"], source=source)
    return draft


def make_transform(name: str, recipe: Recipe) -> "Transform":
    """torchvision's own transform for these weights."""
    from torchvision import models

    model, weights = name.split("/")
    preset = models.get_model_weights(model)[weights].transforms()
    height = recipe.input_size[0]
    if height != preset.crop_size[0]:
        preset.resize_size = [round(preset.resize_size[0] * height / preset.crop_size[0])]
        preset.crop_size = [height]
    return lambda image: preset(image).numpy()


def list_references(pattern: str) -> list[Listed]:
    """Every model with weights whose name fits a shell pattern."""
    return [
        Listed(
            f"torchvision:{name}",
            (facts["crop_size"], facts["crop_size"]),
            len(facts["categories"]),
            facts["num_params"],
            facts["metrics"]["acc@1"] / 100 if facts["metrics"] else None,
            None,
        )
        for name, facts in sorted(load_descriptions("torchvision", _describe_torchvision).items())
        if facts["categories"] and (fnmatchcase(name, pattern) or fnmatchcase(name.partition("/")[0], pattern))
    ]


def _describe_torchvision() -> Descriptions:
    from torchvision import models

    described = {}
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            preset, meta = weights.transforms(), weights.meta
            described[f"{name}/{weights.name}"] = {
                "default": weights == type(weights).DEFAULT,
                "url": weights.url,
                "crop_size": preset.crop_size[0],
                "resize_size": preset.resize_size[0],
                "mean": preset.mean,
                "std": preset.std,
                "interpolation": preset.interpolation.value,
                "categories": meta["categories"] or [],
                "num_params": meta["num_params"],
                "min_size": meta["min_size"],
                "recipe": meta.get("recipe"),
                "metrics": meta.get("_metrics", {}).get("ImageNet-1K"),
            }
    return described


def _find_name(name: str, described: Descriptions) -> str:
    """The full name of what was asked.

    Raises:
        UsageError: there is none; names the nearest.
    """
    model, _, weights = name.partition("/")
    of_same = [known for known in described if known.partition("/")[0] == model]
    if not of_same:
        near = find_near(model, {known.partition("/")[0] for known in described}, 3)
        fix = f"did you mean {' or '.join(near)}?" if near else "`seatrial recipes list 'torchvision:*'` lists them"
        raise UsageError(f"torchvision {read_version('torchvision')} has no classifier '{model}'", fix)
    if weights in ("", "DEFAULT"):
        return next(known for known in of_same if described[known]["default"])
    if name not in of_same:
        raise UsageError(f"torchvision has no weights '{name}'", f"it has {', '.join(of_same)}")
    return name


def _find_arguments(model: str, facts: dict[str, Any], image_size: int | None) -> dict[str, Any]:
    """What torchvision's builder takes from the weights besides the number of classes."""
    if model in WITH_AUXILIARY_HEADS:
        return {"transform_input": True, "aux_logits": True, "init_weights": False}
    size = image_size or facts["min_size"][0]
    if model.startswith("vit_"):
        return {"image_size": size}
    return {"input_size": [size, size]} if model.startswith("maxvit") else {}


def _add_steps(draft: Draft, facts: dict[str, Any], here: str, image_size: int | None) -> None:
    crop, side = facts["crop_size"], facts["resize_size"]
    why = f"{here}: transforms()"
    if image_size is not None:
        crop, side = image_size, round(side * image_size / crop)
        why += ", scaled to --image-size"
    draft.add_step("resize", why, short_side=side, interpolation=facts["interpolation"])
    draft.add_step("center_crop", why, size=[crop, crop])
    draft.add_step("to_float", why)
    draft.add_step("normalise", why, mean=facts["mean"], std=facts["std"])
