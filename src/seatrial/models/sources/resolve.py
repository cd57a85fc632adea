"""From a model reference to a card: `timm:…`, `torchvision:…`, `hf:…`, `FILE.py:CALLABLE`, `FILE.onnx` or a card."""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import tomlkit
from numpy.typing import NDArray
from PIL import Image

from seatrial.errors import UsageError
from seatrial.foreign.files import is_regular
from seatrial.models.build import refuse_graph
from seatrial.models.sources import onnx, python
from seatrial.models.sources.card import PUBLISHED_GATES, Draft
from seatrial.models.sources.listing import Listed
from seatrial.models.sources.own_card import find_own_card
from seatrial.recipes import Recipe
from seatrial.recipes.class_names import name_classes, read_name_file
from seatrial.recipes.load import check_card, find_card, list_cards, read_card
from seatrial.recipes.schema import IMAGENET
from seatrial.strict import find_near, suggest

SOURCES = {
    "timm": "seatrial.models.sources.timm",
    "torchvision": "seatrial.models.sources.torchvision",
    "hf": "seatrial.models.sources.huggingface",
}
"""What stands before the colon of a reference: the module that answers it, loaded when first used."""


HUB_PAGE = re.compile(r"https?://huggingface\.co/([\w.-]+/[\w.-]+)/?")
"""The address of a repository of the Hugging Face hub."""
WEIGHTS = (".pth", ".pt", ".safetensors", ".ckpt", ".bin", ".tar")
"""Suffixes of checkpoints."""
Transform = Callable[[Image.Image], NDArray[np.float32]]
"""An RGB image to what a network takes of it, (3, height, width)."""


class ModelSource(Protocol):
    """A module of `SOURCES`."""

    def resolve(self, name: str, image_size: int | None = None) -> Draft:
        """The card of what the source calls `name`."""

    def list_references(self, pattern: str) -> list[Listed]:
        """Those whose name fits a shell pattern."""

    def make_transform(self, name: str, recipe: Recipe) -> Transform:
        """The library's own preprocessing for what it calls `name`, at the recipe's image size."""


@dataclass(frozen=True, slots=True)
class ResolvedCard:
    """A card, and its text with comments that say where each value is from."""

    recipe: Recipe
    text: str

    def name_classes(self, names: Sequence[str], source: str) -> "ResolvedCard":
        """The card with these names of its classes, unless it has some, or there are more or fewer than classes.

        Args:
            source: where they are from, for the text's comment.
        """
        if self.recipe.labels.names is not None or len(names) != self.recipe.network.classes:
            return self
        document = tomlkit.parse(self.text)
        labels = document.setdefault("labels", tomlkit.table())
        labels["names"] = tomlkit.item(list(names)).comment(source)
        return ResolvedCard(name_classes(self.recipe, names), tomlkit.dumps(document))


def resolve_recipe(
    reference: str, image_size: int | None = None, like: str | None = None, classes: int | None = None
) -> Recipe:
    """As `resolve_card`, without its text."""
    return resolve_card(reference, image_size, like, classes).recipe


def resolve_network(
    reference: str, image_size: int | None = None, like: str | None = None, classes: int | None = None
) -> Recipe:
    """As `resolve_recipe`, of a network that can be built.

    Raises:
        UsageError: it is an ONNX file, or a card of one.
    """
    recipe = None if is_onnx(reference) else resolve_recipe(reference, image_size, like, classes)
    if recipe is None or recipe.network.builder == "onnx":
        refuse_graph(reference)
    return recipe


def resolve_card(
    reference: str, image_size: int | None = None, like: str | None = None, classes: int | None = None
) -> ResolvedCard:
    """The card that a model reference leads to. Nothing is downloaded; the code of a Python file is run.

    Args:
        image_size: height and width in place of those that the source states.
        like: of a Python or an ONNX file, the reference by which its images are prepared.
        classes: of a network that was trained on other classes than the published one; what is published of that one,
            weights, accuracy and the names of its classes, is left out.

    Raises:
        UsageError: there is nothing of that name, what there is cannot be described by a card, `image_size` or
            `classes` is given with what states its own, or `like` where it means nothing or not where it is needed.
        EngineError: the library that describes it is not installed.
    """
    if classes is not None:
        _check_classes(reference)
    if is_python(reference) or is_onnx(reference):
        draft = _draft_file(reference, image_size, like)
    elif like is not None and not reference.endswith(".py"):
        raise UsageError(
            f"--like is for a Python or an ONNX file, and {reference} says itself how images are prepared",
            "leave it out; a card with base = REF changes what it says",
        )
    elif split_reference(reference)[0] is None and image_size is None and classes is None:
        return _read_own_card(reference)
    else:
        draft = _start(reference, image_size)
        if classes is not None:
            before = deepcopy(draft.values["network"])
            draft.put("network.classes", classes, "--classes")
            _drop_of_base(draft, before, {})
    return ResolvedCard(draft.read(), draft.write())


def _draft_file(reference: str, image_size: int | None, like: str | None) -> Draft:
    """The draft of a Python or an ONNX file, whose images are prepared like those of `like`.

    Raises:
        UsageError: `like` is not given.
    """
    if like is None and is_python(reference):
        raise UsageError(
            f"{reference} does not say how its images are prepared", "give --like REF, such as --like timm:resnet50"
        )
    if like is None:
        raise UsageError(
            onnx.list_missing(reference), "give --like REF, such as --like timm:resnet50, or a card that says it"
        )
    make_draft = python.make_draft if is_python(reference) else onnx.make_draft
    return make_draft(reference, _start_like(like, image_size))


def _read_own_card(reference: str) -> ResolvedCard:
    """A card as it is written; where it has a base or a file of names, with what these say in its place."""
    path = find_own_card(reference)
    text, data = read_card(path)
    if not _read_names(data, path) and "base" not in data:
        return ResolvedCard(check_card(data, text, path), text)
    draft = _overlay_base(data, path) if "base" in data else Draft(reference, values=data)
    return ResolvedCard(check_card(draft.values, text, path), draft.write())


def _check_classes(reference: str) -> None:
    """Refuse `classes` with what states its own.

    Raises:
        UsageError: it is a Python or an ONNX file, or a card of the user's.
    """
    if is_python(reference) or is_onnx(reference):
        raise UsageError(f"--classes is for published networks, and those of {reference} are counted", "leave it out")
    if split_reference(reference)[0] is None and reference not in list_cards():
        raise UsageError(
            f"--classes is for published networks, and {reference} is a card, which states its classes",
            "change its network.classes",
        )


def is_python(reference: str) -> bool:
    """Whether it is `FILE.py:CALLABLE`."""
    return reference.rpartition(":")[0].endswith(".py")


def is_onnx(reference: str) -> bool:
    """Whether it is the path of an ONNX file."""
    return reference.endswith(".onnx") and reference.partition(":")[0] not in SOURCES


def _start_like(like: str, image_size: int | None) -> Draft:
    """As `_start`, of what is to say how images are prepared."""
    if is_onnx(like) or is_python(like):
        kind = "an ONNX" if is_onnx(like) else "a Python"
        raise UsageError(
            f"--like {like} is {kind} file, which does not say how images are prepared", "give --like timm:resnet50"
        )
    return _start(like, image_size)


def _start(reference: str, image_size: int | None = None) -> Draft:
    """The draft of a source's reference or of a card.

    Raises:
        UsageError: there is nothing of that name, or `image_size` is given with a card.
    """
    source, name = split_reference(reference)
    if source is not None:
        return load_source(source).resolve(name, image_size)
    if image_size is not None:
        raise UsageError(
            f"--image-size is for model references, and {reference} is a card, which states its size",
            "change the card's preprocess steps",
        )
    path = find_own_card(reference)
    _, data = read_card(path)
    _read_names(data, path)
    return _overlay_base(data, path) if "base" in data else Draft(reference, values=data)


def _read_names(data: dict[str, Any], path: Path) -> bool:
    """Put the names that a card's file of names has in the place of its path, so that the card needs no other file.

    Raises:
        UsageError: the file cannot be read.
    """
    labels = data.get("labels")
    names = labels.get("names") if isinstance(labels, dict) else None
    if not isinstance(names, str) or names == IMAGENET:
        return False
    data["labels"] = {**data["labels"], "names": list(read_name_file(path.parent / names))}
    return True


def _overlay_base(data: dict[str, Any], path: Path) -> Draft:
    """What a card's base says, and over it what the card says itself.

    Raises:
        UsageError: the base is no reference, or a card that has a base itself.
    """
    base = data.pop("base")
    if not isinstance(base, str):
        raise UsageError(f"{path}: base is {base!r}, not a model reference", 'write it like base = "timm:resnet50"')
    if is_python(base):
        raise UsageError(f"{path}: a base cannot be a Python file", "give the run the file, and this card to --like")
    if base.startswith("hf:."):
        base = f"hf:{path.parent / base.removeprefix('hf:')}"
    if split_reference(base)[0] is None:
        place = base if base in list_cards() else str(path.parent / base)
        if is_onnx(base):
            return _overlay_onnx(place, data, path)
        inner = read_card(find_card(place))[1].get("base")
        if inner is not None:
            raise UsageError(f"{path}: its base {base} has a base itself", f"name {inner} there, or copy its values")
        base = place
    draft = _start(base)
    before = deepcopy(draft.values.get("network", {}))
    overlay(draft, data, f"from {path.name}")
    _drop_of_base(draft, before, data)
    return draft


def _overlay_onnx(base: str, data: dict[str, Any], path: Path) -> Draft:
    """What an ONNX file says, and over it what the card says, which must have the rest."""
    if "preprocess" not in data:
        raise UsageError(f"{path}: {onnx.list_missing(base)}", "add its preprocess steps to the card")
    draft = onnx.make_draft(base, Draft(path.name, values=data))
    overlay(draft, data, f"from {path.name}")
    return draft


def _drop_of_base(draft: Draft, before: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Take away what the base says of its own network, weights or steps, where the card has others."""
    after = draft.values.get("network", {})
    lost: set[str] = set()
    if after.get("classes") != before.get("classes"):
        lost |= {"labels", "weights", "reference", "published", "guide"}
    # A tag is of weights, not of a network.
    kinds = [(of.get("builder", "timm"), str(of.get("name")).partition(".")[0]) for of in (before, after)]
    if kinds[0] != kinds[1]:
        lost |= {"weights", "reference", "published", "guide", "paper", "source"}
    if lost and "parameters" not in data.get("network", {}):
        draft.values["network"].pop("parameters", None)
    if "preprocess" in data:
        lost.add("reference")
    for table in lost - data.keys():
        draft.values.pop(table, None)
    if "reference" not in draft.values and not any(gate in data.get("gates", {}) for gate in PUBLISHED_GATES):
        draft.drop_published_gates()


def split_reference(reference: str) -> tuple[str | None, str]:
    """ModelSource and name of `SOURCE:NAME`; no source for a card's name or path.

    Raises:
        UsageError: it has a colon, is no file, and what stands before it is no source.
    """
    source, colon, name = reference.partition(":")
    if not colon or reference in list_cards() or is_regular(reference):
        _refuse_other_kinds(reference)
        return None, reference
    if source not in SOURCES:
        hub = HUB_PAGE.fullmatch(reference)
        fix = f"write hf:{hub[1]}" if hub else suggest(source.lower(), list(SOURCES))
        raise UsageError(f"'{reference}' begins with '{source}:', which is no origin of models", fix)
    hub = HUB_PAGE.fullmatch(name)
    if hub:
        raise UsageError(f"'{reference}' names a page of the hub", f"write hf:{hub[1]}")
    return source, name


def _refuse_other_kinds(reference: str) -> None:
    """Refuse what is there but is no card, with the way to give it.

    Raises:
        UsageError: it is a Python file, a file of weights, a folder, or a name of a library's with a slash.
    """
    path = Path(reference)
    if reference in list_cards():
        return
    if path.suffix == ".py":
        raise UsageError(
            f"{reference} does not say which function makes the network", f"write it like {reference}:make"
        )
    if path.suffix in WEIGHTS and path.is_file():
        raise UsageError(
            f"{reference} is a file of weights, which does not say of what network they are",
            f"give the network, such as timm:resnet50, and --checkpoint {reference}",
        )
    if path.is_dir():
        raise UsageError(
            f"{reference} is a folder", f"write hf:{reference} where it has the config.json of transformers or timm"
        )
    origin, _, name = reference.partition("/")
    if origin in SOURCES and name and not path.exists():
        raise UsageError(
            f"there is no file {reference}", f"write {origin}:{name}, or of a repository of the hub hf:{reference}"
        )


def load_source(name: str) -> ModelSource:
    """A module of `SOURCES`."""
    return cast(ModelSource, import_module(SOURCES[name]))


def list_references(pattern: str) -> list[Listed]:
    """The references that a pattern such as `timm:convnext*` fits, of every source where it names none.

    Raises:
        UsageError: what stands before the colon is no origin, or the pattern fits nothing: names what is near.
        EngineError: a library is not installed.
    """
    source, name = split_reference(pattern) if ":" in pattern else (None, pattern)
    sources = [source] if source else [each for each in SOURCES if each != "hf"]
    found = [listed for each in sources for listed in load_source(each).list_references(name or "*")]
    if found:
        return found
    if source == "hf":
        raise UsageError(
            f"no folder with a config.json fits '{pattern}', and what the Hugging Face hub has is not known here",
            "look there, and give hf:ORG/NAME",
        )
    everything = [each.reference for kind in sources for each in load_source(kind).list_references("*")]
    known = {re.split(r"[./]", reference.partition(":")[2])[0]: reference.partition(":")[0] for reference in everything}
    near = find_near(re.split(r"[./]", name)[0].strip("*?"), known, 3)
    words = " or ".join(f"'{known[each]}:{each}*'" for each in near)
    fix = f"did you mean {words}?" if near else "a pattern such as 'timm:*resnet*' finds more"
    raise UsageError(f"no model reference fits '{pattern}'", fix)


def find_transform(recipe: Recipe) -> Transform | None:
    """The preprocessing of the library that a card was resolved from; None where it was not.

    Raises:
        EngineError: the library is not installed.
    """
    if recipe.origin is None:
        return None
    source, name = split_reference(recipe.origin.partition(" (")[0])
    return None if source is None else load_source(source).make_transform(name, recipe)


def overlay(draft: Draft, data: Mapping[str, Any], comment: str) -> None:
    """Put a card's values over those of a draft: tables key by key, anything else as a whole."""
    for key, value in data.items():
        if isinstance(value, dict) and isinstance(draft.values.get(key), dict):
            for inner, each in value.items():
                draft.put(f"{key}.{inner}", each, comment)
            continue
        draft.values[key] = value
        draft.comments = {path: text for path, text in draft.comments.items() if path[0] != key}
        if not isinstance(value, dict | list):
            draft.comments[key,] = comment
    if "preprocess" in data:
        draft.values.pop("origin", None)  # Its preprocessing is the card's own now.
