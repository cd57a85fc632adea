"""`hf:ORG/NAME[@REV]` or `hf:./folder`: config.json and preprocessor_config.json, as transformers reads them.

A repository that timm made names a timm architecture and is timm's. Else the network is transformers' class that
config.json names, and the steps follow from what its image processor would do: `image_processing_backends.PilBackend`,
or `TorchvisionBackend` where the file names a fast processor, and the classes that resize in their own way. Only
`fetch` uses the network; no code from a repository is run.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from seatrial.errors import DataError, SeatrialError, UsageError, first_line
from seatrial.models.sources import timm
from seatrial.models.sources.card import Draft, check_channels, count_channels
from seatrial.models.sources.library import read_version
from seatrial.models.sources.listing import Listed
from seatrial.recipes.class_names import is_imagenet
from seatrial.recipes.schema import IMAGENET, Preprocessing, Recipe
from seatrial.store.record import read_json

if TYPE_CHECKING:
    from seatrial.models.sources.resolve import Transform

HUB = "https://huggingface.co"
FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers of its filters."""
UNSAID = {
    "PerceiverImageProcessor": "crops a share of the shorter side before it resizes",
    "TextNetImageProcessor": "gives another size for each image",
    "ImageGPTImageProcessor": "replaces pixels by the numbers of colour clusters",
    "Siglip2ImageProcessor": "gives another number of patches for each image",
    "DonutImageProcessor": "turns and pads pages",
}
"""Processors whose preprocessing no card can say."""
OWN_WAY = {
    "BeitImageProcessor", "ConvNextImageProcessor", "EfficientNetImageProcessor", "LevitImageProcessor",
    "MobileViTImageProcessor", "PPLCNetImageProcessor", "PoolFormerImageProcessor", "SegformerImageProcessor",
}  # fmt: skip
"""Processors that work otherwise than their backend and are known here."""
OTHER_WEIGHTS = {
    "*.safetensors.index.json": "they are in several files here: save them as one with save_pretrained",
    "pytorch_model*.bin": "here is only a pickle: give pytorch_model.bin with --checkpoint, it is read safely",
}
COMMIT = re.compile(r"[0-9a-f]{40}")
FIXES = ("give a folder as save_pretrained writes it", "fetch it again")
"""Where a JSON file is missing, and where it is damaged."""


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Whatever the libraries raise of a configuration, which anybody may have written, is about the configuration."""
    try:
        yield
    except SeatrialError:
        raise
    except Exception as error:
        raise UsageError(
            f"hf:{name}: its config.json is not read ({type(error).__name__}: {first_line(error)})",
            "mend it, or give the network as FILE.py:CALLABLE with --like",
        ) from None


def resolve(name: str, image_size: int | None = None) -> Draft:
    """The card of a repository that is stored on this machine, or of a folder.

    Raises:
        UsageError: it is not on this machine, or is no image classifier that a card can describe.
        EngineError: transformers or huggingface_hub is not installed.
    """
    place = _find_folder(name)
    with _reading(name):
        config = read_json(place[0] / "config.json", *FIXES)
        if "architecture" in config:
            return _resolve_timm(name, *place, config, image_size)
        return _resolve_transformers(name, *place, config, image_size)


def _resolve_transformers(
    name: str,
    folder: Path,
    repository: str | None,
    revision: str | None,
    config: dict[str, Any],
    image_size: int | None,
) -> Draft:
    """The card of a repository that transformers made."""
    architecture = _check_architecture(name, config)
    processor = _load_processor(name, folder)
    here = f"transformers {read_version('transformers', 'hf')}"
    draft = Draft(f"hf:{name}")
    _start(draft, name, repository, revision, here)
    configuration = _transformers().AutoConfig.from_pretrained(folder)
    loaded = configuration.to_diff_dict()
    names = _read_names(name, config, architecture)
    draft.put("network.builder", "transformers")
    draft.put("network.name", architecture, "config.json: architectures")
    draft.put("network.classes", len(names), "config.json: id2label")
    if image_size is not None and "image_size" in {**config, **loaded}:
        loaded["image_size"] = image_size
    draft.put("network.arguments", {"config": json.dumps(loaded, sort_keys=True)}, "config.json")
    _add_names(draft, names, "config.json: id2label")
    _add_weights(draft, folder, repository, revision)
    channels = getattr(configuration, "num_channels", 3)
    check_channels(f"hf:{name}", channels)
    _add_steps(draft, processor, name, image_size, channels)
    return draft


def make_transform(name: str, recipe: Recipe) -> "Transform":
    """The image processor itself, with the backend whose rounding the card has."""
    folder, _, _ = _find_folder(name)
    config = read_json(folder / "config.json", *FIXES)
    if "architecture" in config:
        return timm.make_transform_of(config["pretrained_cfg"], recipe)
    processor = _load_processor(name, folder)
    own = Draft("")
    _add_steps(own, processor, name, None, recipe.channels)
    size = Preprocessing.read(own.values, "the image processor").input_size
    changes = _resize_processor(processor, recipe) if size != recipe.input_size else {}
    return lambda image: processor(image, return_tensors="np", **changes)["pixel_values"][0]


def list_references(pattern: str) -> list[Listed]:
    """Folders that fit a shell pattern; what the hub has is not known on this machine."""
    found = []
    for folder in sorted(
        path for path in glob(str(Path(pattern).expanduser())) if (Path(path) / "config.json").is_file()
    ):
        recipe = resolve(folder).read()
        found.append(Listed(f"hf:{folder}", recipe.input_size, recipe.network.classes, None, None, None))
    return found


def fetch(name: str) -> Path:
    """Download what a reference needs into the Hugging Face client's own store; returns the folder.

    Raises:
        DataError: the hub cannot be reached.
        UsageError: the hub has no such repository or revision.
        EngineError: huggingface_hub is not installed.
    """
    if Path(name).is_dir():
        return Path(name)
    read_version("huggingface_hub", "hf")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES)))
    except (RepositoryNotFoundError, LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        first = str(error).partition("\n")[0]
        if isinstance(error, RepositoryNotFoundError):
            raise UsageError(f"the hub has no repository {repository} ({first})", "check its name") from None
        raise DataError(f"hf:{name} cannot be fetched ({first})", "check the network and run it again") from None


def _find_folder(name: str) -> tuple[Path, str | None, str | None]:
    """Folder, repository and commit of a reference.

    Raises:
        UsageError: it is not on this machine.
        EngineError: huggingface_hub is not installed.
    """
    if Path(name).expanduser().is_dir() and name:
        return Path(name).expanduser(), None, None
    repository, _, revision = name.partition("@")
    if name.startswith((".", "/", "~")):
        raise UsageError(f"hf:{name}: there is no folder {name}", "give a folder as save_pretrained writes it")
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", repository):
        raise UsageError(f"hf:{name} is no folder and no ORG/NAME", "write it like hf:google/vit-base-patch16-224")
    read_version("huggingface_hub", "hf")
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "config.json", revision=revision or None)
    if not isinstance(found, str):
        raise UsageError(
            f"hf:{name} is not on this machine",
            f"`seatrial recipes fetch hf:{name}` or --fetch downloads it; or give its folder, hf:./folder, with "
            f"{', '.join(FILES)} from {HUB}/{repository}",
        )
    folder = Path(found).parent
    return folder, repository, folder.name if COMMIT.fullmatch(folder.name) else revision or None


def _transformers() -> ModuleType:
    read_version("transformers", "hf")
    import transformers

    return transformers


def _start(draft: Draft, name: str, repository: str | None, revision: str | None, here: str) -> None:
    short = repository or Path(name).resolve().name
    at = f"@{revision}" if revision and repository else ""
    source = f"{HUB}/{repository}/tree/{revision or 'main'}" if repository else str(Path(name).resolve())
    draft.reference = f"hf:{repository}{at}" if repository else f"hf:{source}"
    draft.put_head(short.replace("/", "."), f"{short}, as its configuration describes it", source, here)


def _resolve_timm(
    name: str,
    folder: Path,
    repository: str | None,
    revision: str | None,
    config: dict[str, Any],
    image_size: int | None,
) -> Draft:
    """The card of a repository that timm made."""
    described = {**config.get("pretrained_cfg", {}), "num_classes": config.get("num_classes", 0)}
    if not described["num_classes"]:
        raise UsageError(f"hf:{name} gives features and no classes", "train a head on it")
    draft = Draft(f"hf:{name}")
    _start(draft, name, repository, revision, f"timm {read_version('timm')}")
    draft.put("network.builder", "timm")
    draft.put("network.name", config["architecture"], "config.json: architecture")
    draft.put("network.classes", described["num_classes"], "config.json: num_classes")
    arguments = dict(config.get("model_args") or {})
    if image_size is not None and described.get("fixed_input_size"):
        arguments["img_size"] = image_size
    draft.put("network.arguments", arguments or None, "config.json: model_args")
    names = config.get("label_names")
    if names and len(names) == described["num_classes"]:
        descriptions = config.get("label_descriptions") or {}
        _add_names(draft, [descriptions.get(each, each) for each in names], "config.json: label_names")
    elif described["num_classes"] == 1000:
        draft.put("labels.names", IMAGENET, "1000 classes")
    _add_weights(draft, folder, repository, revision)
    timm.add_steps(draft, described, "config.json: pretrained_cfg", image_size)
    return draft


def _check_architecture(name: str, config: Mapping[str, Any]) -> str:
    """The name of transformers' class.

    Raises:
        UsageError: it is no image classifier with one label an image, or its code is in the repository.
    """
    named = config.get("architectures") or [None]
    known = named if isinstance(named, str) else named[0]
    if "auto_map" in config:
        raise UsageError(f"hf:{name} brings code of its own", "give the network as FILE.py:CALLABLE, and read it first")
    if known is None or "ForImageClassification" not in known or not hasattr(_transformers(), known):
        raise UsageError(
            f"hf:{name} is a {known or config.get('model_type') or 'model of no known kind'}, not one of "
            f"transformers' …ForImageClassification",
            "give an image classifier",
        )
    if config.get("problem_type") == "multi_label_classification":
        raise UsageError(f"hf:{name} gives several labels an image", "a card describes one class an image")
    return str(known)


def _read_names(name: str, config: Mapping[str, Any], architecture: str) -> list[str]:
    labels = config.get("id2label")
    if labels is None:
        count = config.get("num_labels", 2)
        return [f"LABEL_{index}" for index in range(count)]
    try:
        return [str(labels[str(index)]) for index in range(len(labels))]
    except KeyError as error:
        raise UsageError(f"hf:{name}: id2label has no class {error}", "number the classes from 0 on") from None


def _add_names(draft: Draft, names: list[str], comment: str) -> None:
    if all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        return
    draft.put("labels.names", IMAGENET if is_imagenet(names) else names, comment)


def _add_weights(draft: Draft, folder: Path, repository: str | None, revision: str | None) -> None:
    file = FILES[-1]
    if (folder / file).is_file():
        draft.put("weights.file", file, "safetensors")
        draft.put("weights.path", str((folder / file).absolute()))
    else:
        note = next((words for pattern, words in OTHER_WEIGHTS.items() if any(folder.glob(pattern))), None)
        draft.put_all("weights", file=note and file, note=note)
    if repository is not None:
        url = f"{HUB}/{repository}/resolve/{revision or 'main'}/{file}"
        draft.put_all("weights", file=file, hub=f"{repository}/{file}", revision=revision, url=url)


def _load_processor(name: str, folder: Path) -> Any:
    """The image processor, with the backend that preprocessor_config.json names: a fast one is torchvision's.

    Raises:
        UsageError: there is none, or a card cannot say what it does.
    """
    said = read_json(folder / "preprocessor_config.json", *FIXES)
    kind = said.get("image_processor_type") or said.get("feature_extractor_type") or ""
    backend = "torchvision" if kind.endswith("Fast") else "pil"
    try:
        processor = _transformers().AutoImageProcessor.from_pretrained(folder, backend=backend)
    except Exception as error:  # transformers raises of everything what it cannot read
        raise UsageError(
            f"hf:{name}: transformers does not read its preprocessor_config.json ({first_line(error)})",
            "mend it, or write a card",
        ) from None
    own = _find_kind(processor)
    if own in UNSAID:
        raise UsageError(f"hf:{name}: {own} {UNSAID[own]}, which no card can say", "use another model")
    if own not in OWN_WAY and _works_otherwise(processor):
        raise UsageError(
            f"hf:{name}: {own} prepares images in a way of its own, which is not known here",
            "write a card, or give the network as FILE.py:CALLABLE with --like",
        )
    return processor


def _works_otherwise(processor: Any) -> bool:
    """Whether its class does not leave to its backend what happens to an image."""
    from transformers import image_processing_backends

    kind = "TorchvisionBackend" if processor.backend == "torchvision" else "PilBackend"
    base = getattr(image_processing_backends, kind)
    methods = ("_preprocess", "resize", "center_crop", "rescale", "normalize", "rescale_and_normalize", "pad")
    return any(getattr(type(processor), m, None) is not getattr(base, m, None) for m in methods)


def _find_kind(processor: Any) -> str:
    return type(processor).__name__.removesuffix("Pil").removesuffix("Fast")


def _add_steps(draft: Draft, processor: Any, name: str, image_size: int | None, channels: int) -> None:
    """What the processor does to an image, in its order."""
    kind, backend = _find_kind(processor), processor.backend
    rounding = "torchvision's tensors" if backend == "torchvision" else "Pillow"
    why = f"{type(processor).__name__} with {rounding}"
    tensor = "tensor" if backend == "torchvision" else None
    if channels == 1:
        draft.add_step("channels", "config.json: num_channels", order="L")
    if processor.do_resize:
        resample = getattr(processor.resample, "value", processor.resample)
        if resample not in FILTERS:
            raise UsageError(
                f"hf:{name}: there is no filter {resample}", f"Pillow's are {', '.join(map(str, FILTERS))}"
            )
        filtered = {"interpolation": FILTERS[int(resample)], "backend": tensor}
        for step, options in _list_resizes(processor, kind, name, image_size):
            draft.add_step(step, f"{why}: size", **options, **(filtered if step == "resize" else {}))
    if processor.do_center_crop and not (kind == "ConvNextImageProcessor" and processor.do_resize):
        sides = [image_size] * 2 if image_size else [int(processor.crop_size.height), int(processor.crop_size.width)]
        half = "truncate" if tensor else "floor"
        draft.add_step("center_crop", f"{why}: crop_size", size=sides, offset=half, pad=[0, 0, 0])
    swaps = kind == "MobileViTImageProcessor" and processor.do_flip_channel_order
    if swaps or kind == "PPLCNetImageProcessor":
        draft.add_step("channels", f"{why}: gives blue first", order="BGR")
    if getattr(processor, "do_pad", None):
        raise UsageError(f"hf:{name} pads what is normalised already, which no card can say", "use another model")
    draft.add_step("to_float", f"{why}: rescale_factor")
    mean, std = _find_normalisation(processor, name, channels)
    if kind == "PPLCNetImageProcessor":
        mean, std = mean[::-1], std[::-1]  # It normalises first and swaps then.
    if (mean, std) != ([0.0] * channels, [1.0] * channels):
        draft.add_step("normalise", f"{why}: image_mean, image_std", mean=mean, std=std)


def _list_resizes(processor: Any, kind: str, name: str, image_size: int | None) -> list[tuple[str, dict[str, Any]]]:
    """The resize, and the crop that belongs to it, by the class of the processor."""
    size = processor.size
    if kind == "PPLCNetImageProcessor" and processor.resize_short is not None and image_size is None:
        if processor.size_divisor not in (None, 1):
            raise UsageError(
                f"hf:{name} rounds sizes to {processor.size_divisor}, which no card can say", "use another"
            )
        return [("resize", {"cover": [processor.resize_short] * 2})]
    short = size.shortest_edge
    square = short is None and size.height is not None
    if not square and (short is None or size.longest_edge):
        raise UsageError(f"hf:{name} resizes to {dict(size)}, which no card can say", "use another model")
    if image_size is not None:
        # The crop keeps its share of the resized image.
        cropped = processor.crop_size.height if processor.do_center_crop and processor.crop_size else None
        scale = image_size / (cropped or short or size.height)
        short = round(short * scale) if short else None
        sides = [round(size.height * scale), round(size.width * scale)] if square else []
    else:
        sides = [size.height, size.width] if square else []
    if kind == "ConvNextImageProcessor":
        if short is None:
            raise UsageError(f"hf:{name} has no shortest_edge", "mend its preprocessor_config.json")
        if short >= 384:
            return [("resize", {"size": [short, short]})]
        crop = ("center_crop", {"size": [short, short], "offset": "truncate"})
        return [("resize", {"short_side": int(short / processor.crop_pct)}), crop]
    if kind == "PoolFormerImageProcessor" and processor.crop_pct is not None:
        return [("resize", {"short_side": int((short or sides[0]) / processor.crop_pct)})]
    if kind == "LevitImageProcessor" and short:
        return [("resize", {"short_side": int((256 / 224) * short)})]
    return [("resize", {"short_side": short} if short else {"size": sides})]


def _find_normalisation(processor: Any, name: str, channels: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation on the 0..1 scale, with the rescaling and a second division folded in."""
    scale = 255 * processor.rescale_factor if processor.do_rescale else 255.0
    offset = -1.0 if getattr(processor, "rescale_offset", False) else 0.0
    mean, std = [0.0] * channels, [1.0] * channels
    if processor.do_normalize and _find_kind(processor) != "MobileViTImageProcessor":  # which never does
        mean, std = (
            [float(value) for value in values] if isinstance(values, list | tuple) else [float(values)] * channels
            for values in (processor.image_mean, processor.image_std)
        )
    if (len(mean), len(std)) != (channels, channels) or (channels == 1 and getattr(processor, "do_convert_rgb", False)):
        prepared = 3 if getattr(processor, "do_convert_rgb", False) else max(len(mean), len(std))
        raise UsageError(
            f"hf:{name}: its config.json says images of {count_channels(channels)}, "
            f"and its preprocessor_config.json prepares {count_channels(prepared)}",
            "mend num_channels, or image_mean, image_std and do_convert_rgb",
        )
    again = getattr(processor, "include_top", False) and hasattr(processor, "rescale_offset")
    twice = std if again else [1.0] * channels
    # ((255 p · factor + offset) − mean) / std, and once more / std.
    means = [(value - offset) / scale for value in mean]
    stds = [value * again / scale for value, again in zip(std, twice, strict=True)]
    if processor.do_rescale and abs(scale - 1) < 1e-9:
        means, stds = [value - offset for value in mean], [s * again for s, again in zip(std, twice, strict=True)]
    return means, stds


def _resize_processor(processor: Any, recipe: Recipe) -> dict[str, Any]:
    """Arguments of a call that give the recipe's size."""
    steps = {step.step: step for step in recipe.preprocess}
    height, width = recipe.input_size
    crop = {"crop_size": {"height": height, "width": width}} if "center_crop" in steps else {}
    resize = steps["resize"]
    side = getattr(resize, "short_side", None)
    if _find_kind(processor) in ("ConvNextImageProcessor", "LevitImageProcessor", "PoolFormerImageProcessor"):
        return {"size": {"shortest_edge": height}, **crop}
    return {"size": {"shortest_edge": side} if side else {"height": height, "width": width}, **crop}
