"""`timm:ARCH[.TAG]`: what the installed timm says of its pretrained weights, as its own validate.py would run them.

The fields are those of timm's `PretrainedCfg` (timm/models/_pretrained.py). Where a test-time size or crop is given it
is taken, and the steps are those of `timm.data.transforms_factory.transforms_imagenet_eval`. Nothing is downloaded.
"""

import csv
import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from seatrial.errors import UsageError
from seatrial.models.sources.card import Draft, check_channels
from seatrial.models.sources.library import Descriptions, find_stated_hash, load_descriptions, put_weights, read_version
from seatrial.models.sources.listing import Listed
from seatrial.recipes.schema import Recipe
from seatrial.strict import find_near

if TYPE_CHECKING:
    from seatrial.models.sources.resolve import Transform

ORIGIN = "https://github.com/huggingface/pytorch-image-models"
HUB = "https://huggingface.co"
FIELDS = (
    "url", "hf_hub_id", "hf_hub_filename", "custom_load", "input_size", "test_input_size", "fixed_input_size",
    "interpolation", "crop_pct", "test_crop_pct", "crop_mode", "mean", "std", "num_classes", "license",
)  # fmt: skip
"""What of a PretrainedCfg is stored."""
RESULTS_COMMIT = "aa4b5850c1543fa488abf260f18390eda46cf85d"
"""Of timm's repository, from which timm_results.csv was made."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """What timm published of a tag at one image size."""

    top1: float
    """A share."""
    top5: float
    parameters: float
    """Millions."""


def resolve(name: str, image_size: int | None = None) -> Draft:
    """The card of `ARCH` or `ARCH.TAG`; without a tag, that of the weights that timm prefers.

    Raises:
        UsageError: timm has no such architecture or tag, or the tag has no classes.
        EngineError: timm is not installed.
    """
    configs = load_configs()
    name = _find_name(name, configs)
    config = configs[name]
    draft = Draft(f"timm:{name}")
    here = f"timm {read_version('timm')}"
    if not config.get("num_classes"):
        of_same = [tag for tag in configs if tag.partition(".")[0] == name.partition(".")[0]]
        with_classes = [tag for tag in of_same if configs[tag].get("num_classes")]
        raise UsageError(
            f"timm:{name} gives features and no classes (num_classes = 0)",
            f"those of this architecture with classes are {', '.join(with_classes[:8])}"
            if with_classes
            else "train a head on it",
        )
    if _is_embedding(name):
        raise UsageError(
            f"timm:{name} gives {config['num_classes']} numbers to compare with texts, and no classes",
            "train a head on it, or take one that was fine-tuned (`_ft_` in its tag)",
        )
    draft.put_head(name, f"{name}, as timm describes it", ORIGIN, here)
    draft.put_all("network", builder="timm", name=name)
    draft.put("network.classes", config["num_classes"], f"{here}: num_classes")
    if image_size is not None and config.get("fixed_input_size"):
        draft.put("network.arguments", {"img_size": image_size}, "--image-size, for a network built for one size")
    _add_weights(draft, name, config, here)
    add_steps(draft, config, here, image_size)
    if config["num_classes"] == 1000:
        draft.put("labels.names", "imagenet-1k", "1000 classes")
    _add_published(draft, load_published().get(name, {}), _choose_size(config, image_size)[0])
    return draft


def make_transform(name: str, recipe: Recipe) -> "Transform":
    """timm's own transform for evaluation, with the test-time size and crop that its validate.py takes."""
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    assert config is not None
    return make_transform_of(dataclasses.asdict(config), recipe)


def make_transform_of(config: Mapping[str, Any], recipe: Recipe) -> "Transform":
    """The transform of a pretrained configuration, at the recipe's image size."""
    from timm.data.config import resolve_data_config
    from timm.data.transforms_factory import create_transform

    own_size = _choose_size(config, None)
    resized = {} if recipe.input_size == own_size else {"input_size": (recipe.channels, *recipe.input_size)}
    # The test-time crop is of the test-time size.
    settings = resolve_data_config(resized, pretrained_cfg=dict(config), use_test_size=not resized)  # type: ignore[no-untyped-call]
    transform = create_transform(**settings, is_training=False)
    return lambda image: transform(image).numpy()


def list_references(pattern: str) -> list[Listed]:
    """Every pretrained tag with classes whose name fits a shell pattern."""
    published = load_published()
    found = []
    for name, config in sorted(load_configs().items()):
        fits = fnmatchcase(name, pattern) or fnmatchcase(name.partition(".")[0], pattern)
        if not fits or not config.get("num_classes") or _is_embedding(name):
            continue
        size = _choose_size(config, None)
        rows = published.get(name, {})
        row = rows.get(size[0])
        parameters = next((round(row.parameters * 1e6) for row in rows.values()), None)
        top1, licence = None if row is None else row.top1, config.get("license")
        found.append(Listed(f"timm:{name}", size, config["num_classes"], parameters, top1, licence))
    return found


def load_configs() -> Descriptions:
    """What the installed timm says of each of its pretrained tags, by `ARCH.TAG`.

    Raises:
        EngineError: timm is not installed.
    """
    return load_descriptions("timm", _describe_timm)


def _describe_timm() -> Descriptions:
    from timm.models import get_pretrained_cfg, list_models, list_pretrained

    configs = {}
    for name in list_pretrained():
        config = get_pretrained_cfg(name)
        configs[name] = {key: getattr(config, key) for key in FIELDS if getattr(config, key) is not None}
    # The weights that timm takes for an architecture without a tag.
    for name in list_models(pretrained=True, include_tags=False):
        config = get_pretrained_cfg(name)
        preferred = f"{name}.{config.tag}" if config and config.tag else name
        if preferred in configs:
            configs[preferred]["default"] = True
    return configs


@cache
def load_published() -> dict[str, dict[int, PublishedRow]]:
    """Published accuracies by tag and image size (timm_results.csv)."""
    text = (resources.files("seatrial.models.sources") / "timm_results.csv").read_text(encoding="utf-8")
    found: dict[str, dict[int, PublishedRow]] = {}
    for row in csv.DictReader(text.splitlines()):
        figures = PublishedRow(float(row["top1"]), float(row["top5"]), float(row["parameters"]))
        found.setdefault(row["tag"], {})[int(row["size"])] = figures
    return found


def _add_published(draft: Draft, rows: Mapping[int, PublishedRow], size: int) -> None:
    """The accuracy published for images of this size, else for the nearest."""
    if not rows:
        return
    nearest = min(rows, key=lambda known: abs(known - size))
    draft.put("reference.top1", rows[nearest].top1, "timm's results/results-imagenet.csv")
    source = f"{ORIGIN}/blob/{RESULTS_COMMIT}/results/results-imagenet.csv"
    draft.put_all("reference", top5=rows[nearest].top5, size=nearest, source=source)


def _find_name(name: str, configs: Mapping[str, Mapping[str, Any]]) -> str:
    """The full tag of what was asked.

    Raises:
        UsageError: there is none; names the nearest.
    """
    if name in configs:
        return name
    tags = [tag for tag in configs if tag.partition(".")[0] == name]
    if tags:
        return next((tag for tag in tags if configs[tag].get("default")), tags[0])
    architecture = name.partition(".")[0]
    of_same = [tag for tag in configs if tag.partition(".")[0] == architecture]
    if of_same:
        # The nearest tags first.
        near = difflib.get_close_matches(name, of_same, n=8, cutoff=0)
        raise UsageError(f"timm has no weights '{name}'", f"it has {', '.join(near)}")
    near = find_near(architecture, {tag.partition(".")[0] for tag in configs}, 3)
    known = f"did you mean {' or '.join(near)}?" if near else "`seatrial recipes list 'timm:*'` lists them"
    raise UsageError(f"timm {read_version('timm')} has no pretrained model '{name}'", known)


def _is_embedding(name: str) -> bool:
    """Whether what timm calls classes are the numbers of a CLIP embedding; fine-tuned ones say so in their tags."""
    architecture, _, tag = name.partition(".")
    return "clip" in architecture.split("_") and "_ft_" not in f"_{tag}_" and "_in1k" not in tag


def _choose_size(config: Mapping[str, Any], image_size: int | None) -> tuple[int, int]:
    if image_size is not None:
        return image_size, image_size
    _, height, width = config.get("test_input_size") or config["input_size"]
    return height, width


def _add_weights(draft: Draft, name: str, config: Mapping[str, Any], here: str) -> None:
    url, hub = config.get("url"), config.get("hf_hub_id")
    file = config.get("hf_hub_filename") or "model.safetensors"
    if url and (find_stated_hash(url) or not hub):
        put_weights(draft, url, here)
    elif hub:
        draft.put("weights.file", f"{name}.{file.rpartition('.')[2]}", f"{here}: hf_hub_id")
        draft.put("weights.url", f"{HUB}/{hub}/resolve/main/{file}")
    if hub:
        draft.put("weights.hub", f"{hub}/{file}", f"{here}: hf_hub_id")
    draft.put("weights.licence", config.get("license") if "weights" in draft.values else None, f"{here}: license")


def add_steps(draft: Draft, config: Mapping[str, Any], here: str, image_size: int | None) -> None:
    """The steps of `transforms_imagenet_eval` for a pretrained configuration."""
    size, channels = _choose_size(config, image_size), config["input_size"][0]
    check_channels(draft.reference, channels)
    if channels == 1:
        draft.put("network.arguments", {"in_chans": 1, **draft.values["network"].get("arguments", {})}, "input_size")
        draft.add_step("channels", f"{here}: input_size, as timm's data sets read images of one channel", order="L")
    which = "test_crop_pct" if image_size is None and config.get("test_crop_pct") else "crop_pct"
    share = config.get(which) or 0.875
    scaled = tuple(math.floor(side / share) for side in size)
    kind = config.get("interpolation") or "bicubic"
    kind = "bilinear" if kind == "random" else kind
    mode = config.get("crop_mode") or "center"
    sized = "--image-size" if image_size else "test_input_size" if config.get("test_input_size") else "input_size"
    why = f"{here}: {sized} {size[0]}, {which} {share:g}, crop_mode {mode}"
    targets = {"squash": {"size": list(scaled)}, "border": {"fit": list(scaled)}}
    own = {"short_side": scaled[0]} if scaled[0] == scaled[1] else {"cover": list(scaled)}
    draft.add_step("resize", why, **targets.get(mode, own), interpolation=kind)
    mean, std = (list(values) * (channels if len(values) == 1 else 1) for values in (config["mean"], config["std"]))
    pad = None
    if mode == "border":
        pad = [round(255 * value) for value in mean] * (3 if channels == 1 else 1)
    elif share > 1:
        pad = [0, 0, 0]
    if mode != "squash" or scaled != size:
        draft.add_step("center_crop", why, size=list(size), pad=pad)
    draft.add_step("to_float", "torchvision's ToTensor")
    draft.add_step("normalise", f"{here}: mean, std", mean=mean, std=std)
