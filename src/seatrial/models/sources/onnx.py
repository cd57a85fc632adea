"""`FILE.onnx`: what an ONNX file says of itself, and, by `--like`, how its images are prepared.

The file says name, classes, input size, the names of its ends and its opset, at times the names of its classes, and
whether it normalises its input itself. The rest is taken from another reference or a card.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seatrial.errors import UsageError
from seatrial.models.sources.card import Draft, check_channels, count_channels
from seatrial.recipes.steps import join_size

if TYPE_CHECKING:
    import onnx

    from seatrial.store.records import TensorSpec

OF_THE_FILE = ("name", "title", "source", "network", "weights", "reference", "published", "guide", "paper", "graph")
"""What a card says of its network and not of how images are prepared."""
NAMES = ("names", "labels", "id2label", "classes", "class_names")
"""Keys of the metadata under which exporters write the names of classes."""
MOST_OF_SHARES = 1.5
"""A mean or a deviation above this is of pixels 0..255, not of shares 0..1."""
PLAIN = ("Cast", "Identity", "Transpose")


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What the first nodes of a graph do to its input: (x - mean) / std, on the input's own scale."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def of_pixels(self) -> bool:
        """Whether the input is on the scale 0..255."""
        return max(map(abs, (*self.mean, *self.std))) > MOST_OF_SHARES

    def describe(self) -> str:
        """In words."""
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"the graph normalises by itself: mean {mean}, std {std}, of {'0..255' if self.of_pixels else '0..1'}"


def make_draft(name: str, like: Draft | None) -> Draft:
    """The card of an ONNX file, with the preprocessing of `like`; without it what the file itself says.

    What a card as `like` says of gates, of the classes' names and of the output to take goes before the file's own.

    Raises:
        UsageError: there is no such file, `like` prepares images of another size, or names no output of several.
        RefusedFile: it is no ONNX file of an image classifier.
    """
    from seatrial.models.onnx_file import check_classifier, hash_onnx, load_graph, read_facts

    path = Path(name)
    model = load_graph(path)
    stated = {} if like is None else like.values.get("graph", {})
    facts = read_facts(model, stated.get("output"))
    check_classifier(facts)
    draft = Draft(name)
    if like is not None:
        draft.take_over(like, OF_THE_FILE)
    names = read_names(model)
    title = path.name if like is None else f"{path.name}, its images like those of {like.reference}"
    draft.put_head(path.stem, title, str(path.resolve()))
    draft.put_all("network", builder="onnx", name=str(path.absolute()))
    classes = facts.output.shape[-1] or (len(names) if names else None)
    if classes is None:
        raise UsageError(f"{name} does not say how many classes it has", "export it with a fixed number of classes")
    draft.put("network.classes", classes, "axis 1 of the output" if facts.output.shape[-1] else "as many as are named")
    draft.put("network.sha256", hash_onnx(path), "of the file, with its external data")
    for key in ("input", "output"):
        draft.put(f"graph.{key}", getattr(facts, key).name, "as the file names it")
    draft.put("graph.opset", facts.opset, "of the file")
    _name_classes(draft, names, classes, like)
    if like is not None:
        _check_images(draft, facts.input, like.reference)
        _fit_normalisation(draft, facts.input, find_normalisation(model, facts.input))
    return draft


def list_missing(name: str) -> str:
    """What a file leaves open, and what it says, for the error of a reference without `--like`.

    Raises:
        SeatrialError: as `make_draft`.
    """
    from seatrial.models.onnx_file import load_graph, read_facts

    draft, model = make_draft(name, None), load_graph(Path(name))
    image = read_facts(model, draft.values["graph"]["output"]).input
    inside = find_normalisation(model, image)
    height, width = find_image_size(image)
    lacking = ["how images are resized and cropped"]
    lacking += ["in which order the channels are"] if find_channels(image) != 1 else []
    if image.dtype != "uint8" and inside is None:
        lacking.append("mean and standard deviation")
    if None in (height, width):
        lacking.append("height and width of its images")
    if "labels" not in draft.values:
        lacking.append("the names of its classes (needed for reports only)")
    facts = f"{draft.values['network']['classes']} classes"
    facts += f", images of {height} × {width}" if height and width else ""
    facts += "; it takes uint8 images, and normalises by itself" if image.dtype == "uint8" else ""
    facts += f"; {inside.describe()}" if inside else ""
    return f"{name} has {facts}; it cannot say {', '.join(lacking)}"


def describe_inside(path: Path) -> str | None:
    """What a graph does to its input by itself, in words; None where it does nothing.

    Raises:
        SeatrialError: as `models.onnx_file.load_graph` and `read_facts`.
    """
    from seatrial.models.onnx_file import load_graph, read_facts

    model = load_graph(path)
    image = read_facts(model, model.graph.output[0].name).input
    if image.dtype == "uint8":
        return "the graph takes uint8 images, and is taken to normalise them as the card says"
    inside = find_normalisation(model, image)
    return None if inside is None else inside.describe()


def _name_classes(draft: Draft, names: tuple[str, ...] | None, classes: int, like: Draft | None) -> None:
    own = None if like is None else like.values.get("labels", {}).get("names")
    same = like is not None and like.values.get("network", {}).get("classes") == classes
    # A library says what its own network's classes are called, a card what the user's are.
    of_card = like is not None and "origin" not in like.values
    if own is not None and not same and not (isinstance(own, list | tuple) and len(own) == classes):
        draft.values.pop("labels", None)
        own = None
    if names is not None and len(names) == classes and not (own is not None and of_card):
        draft.put("labels.names", list(names), "metadata of the file")


def _fit_normalisation(draft: Draft, image: "TensorSpec", inside: Normalisation | None) -> None:
    """What a graph normalises itself is not done in front of it too; of uint8 images a card's tail is in the graph."""
    if image.dtype == "uint8":
        index = len(draft.values["preprocess"]) - 1
        draft.comments["preprocess", str(index)] = "in the graph, which takes uint8 images"
    if image.dtype == "uint8" or inside is None:
        return
    steps = [step for step in draft.values["preprocess"] if step["step"] != "normalise"]
    draft.values["preprocess"] = steps
    if inside.of_pixels:
        channels = find_channels(image)
        steps.append({"step": "normalise", "mean": [0.0] * channels, "std": [1 / 255] * channels})
    draft.comments["preprocess", str(len(steps) - 1)] = inside.describe()
    draft.values.pop("origin", None)  # The steps are no longer the library's.


def _check_images(draft: Draft, image: "TensorSpec", reference: str) -> None:
    """Refuse a preprocessing of another size or number of channels than the graph takes."""
    recipe, channels = draft.read(), find_channels(image)
    check_channels(draft.reference, channels)
    if recipe.channels != channels:
        grey = "a channels step with order = 'L' and a normalise step of one mean and std"
        raise UsageError(
            f"{draft.reference} takes images of {count_channels(channels)}, and {reference} prepares "
            f"{count_channels(recipe.channels)}",
            f"give --like a card that has {grey}" if channels == 1 else "give another --like",
        )
    card, fixed = recipe.input_size, find_image_size(image)
    if any(have not in (None, want) for have, want in zip(fixed, card, strict=True)):
        size = " × ".join("N" if axis is None else str(axis) for axis in fixed)
        # A library's reference takes any size of square images; a card states its own.
        resizable = fixed[0] == fixed[1] and ":" in reference
        resize = f"add --image-size {fixed[0]}, or give" if resizable else "give"
        raise UsageError(
            f"{draft.reference} takes images of {size}, and {reference} prepares them at {join_size(card)}",
            f"{resize} another --like",
        )


def find_image_size(image: "TensorSpec") -> tuple[int | None, int | None]:
    """Height and width of a graph's input; None where an axis is free."""
    first = 1 if image.layout == "NHWC" else 2
    return image.shape[first], image.shape[first + 1]


def find_channels(image: "TensorSpec") -> int:
    """How many channels a graph's input has; 3 where that axis is free."""
    return image.shape[-1 if image.layout == "NHWC" else 1] or 3


def read_names(model: "onnx.ModelProto") -> tuple[str, ...] | None:
    """The names of the classes in a file's metadata, in their order; None where there are none.

    They are a list or a mapping of numbers in JSON or as Python writes it, or words with commas or lines between them.
    """
    metadata = {entry.key.lower(): entry.value for entry in model.metadata_props}
    text = next((metadata[key] for key in NAMES if metadata.get(key, "").strip()), None)
    if text is None:
        return None
    found: Any = None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
            break
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    if isinstance(found, Mapping):
        try:
            numbered = {int(key): str(value) for key, value in found.items()}
        except (TypeError, ValueError):
            return None
        whole = sorted(numbered) == [*range(len(numbered))]
        return tuple(numbered[index] for index in sorted(numbered)) if whole else None
    if isinstance(found, list | tuple):
        return tuple(map(str, found))
    parts = text.splitlines() if "\n" in text.strip() else text.split(",")
    return tuple(part.strip() for part in parts if part.strip()) if found is None else None


def find_normalisation(model: "onnx.ModelProto", image: "TensorSpec") -> Normalisation | None:
    """What the first nodes of a graph do to a float input, by channel; None where they do nothing.

    They are Sub, Add, Mul and Div with constants, with Cast and Transpose between them.
    """
    constants, channels = _read_constants(model), find_channels(image)
    scale, shift = np.ones(channels), np.zeros(channels)
    name, changed = image.name, False
    while True:
        users = [node for node in model.graph.node if name in node.input]
        if len(users) != 1 or users[0].op_type not in (*PLAIN, "Sub", "Add", "Mul", "Div"):
            break
        node = users[0]
        if node.op_type not in PLAIN:
            other = constants.get(next((each for each in node.input if each != name), ""))
            from_it = node.op_type in ("Sub", "Div") and node.input[0] != name
            if other is None or other.size not in (1, channels) or from_it:
                break
            value = other.astype(np.float64).reshape(-1)
            match node.op_type:
                case "Sub" | "Add":
                    shift = shift + (value if node.op_type == "Add" else -value)
                case _:
                    factor = value if node.op_type == "Mul" else 1 / value
                    scale, shift = scale * factor, shift * factor
            changed = True
        name = node.output[0]
    if not changed or not np.all(scale):
        return None
    # A zero has no sign in a card.
    return Normalisation(tuple((-shift / scale + 0.0).tolist()), tuple((1 / scale).tolist()))


def _read_constants(model: "onnx.ModelProto") -> dict[str, np.ndarray[Any, Any]]:
    """Constants of three numbers at most, by name."""
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            tensors.update((node.output[0], each.t) for each in node.attribute if each.name == "value")
    small = {name: each for name, each in tensors.items() if np.prod(each.dims) <= 3}
    return {name: numpy_helper.to_array(each) for name, each in small.items()}
