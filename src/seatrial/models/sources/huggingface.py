"""`hf:ORG/NAME[@REV]` or `hf:./folder`: config.json and preprocessor_config.json, as transformers reads them.

A repository that timm made names a timm architecture and is timm's. Else the network is transformers' class that
config.json names, and the steps follow from what its image processor would do (`image_processor`). Only
`fetch_description` uses the network; no code from a repository is run.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.errors import SeatrialError, UsageError, first_line
from seatrial.models.build import check_timm_name, find_size, sketch_network
from seatrial.models.hub import DESCRIPTION, WEIGHTS, fetch_files
from seatrial.models.sources import timm
from seatrial.models.sources.card import Draft, check_channels
from seatrial.models.sources.image_processor import (
    FIXES,
    add_processor_steps,
    describe_resized,
    import_transformers,
    load_processor,
)
from seatrial.models.sources.library import read_version
from seatrial.models.sources.listing import Listed
from seatrial.recipes.class_names import is_imagenet
from seatrial.recipes.schema import IMAGENET, Network, Preprocessing, Recipe
from seatrial.store.files import expand_home
from seatrial.store.record import read_json

if TYPE_CHECKING:
    from seatrial.models.sources.resolve import Transform

HUB = "https://huggingface.co"
FILES = (*DESCRIPTION, WEIGHTS)
OTHER_WEIGHTS = {
    "*.safetensors.index.json": "they are in several files here: save them as one with save_pretrained",
    "pytorch_model*.bin": "here is only a pickle: give pytorch_model.bin with --checkpoint, it is read safely",
}
REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubFolder:
    """A repository of the hub that is stored on this machine, or a folder like one."""

    name: str
    """What follows `hf:` in the reference."""
    path: Path
    repository: str | None = None
    """`ORG/NAME`; None for a folder."""
    revision: str | None = None
    """Its commit where that is known."""

    def read_config(self) -> dict[str, Any]:
        """What its config.json says.

        Raises:
            SeatrialError: it is missing or damaged.
        """
        return read_json(self.path / "config.json", *FIXES)

    @property
    def is_complete(self) -> bool:
        """Whether it says how its images are prepared, too, as timm's config.json does itself."""
        return "architecture" in self.read_config() or (self.path / DESCRIPTION[1]).is_file()


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
    folder = _find_folder(name)
    with _reading(name):
        config = folder.read_config()
        return (_resolve_timm if "architecture" in config else _resolve_transformers)(folder, config, image_size)


def _resolve_transformers(folder: HubFolder, config: dict[str, Any], image_size: int | None) -> Draft:
    """The card of a repository that transformers made."""
    name = folder.name
    architecture = _check_architecture(name, config)
    processor = load_processor(name, folder.path)
    draft = _start(folder, f"transformers {read_version('transformers')}")
    configuration = import_transformers().AutoConfig.from_pretrained(folder.path)
    names = _read_names(name, config, architecture)
    draft.put("network.builder", "transformers")
    draft.put("network.name", architecture, "config.json: architectures")
    draft.put("network.classes", len(names), "config.json: id2label")
    draft.put("network.arguments", {"config": json.dumps(configuration.to_diff_dict(), sort_keys=True)}, "config.json")
    _add_names(draft, names, "config.json: id2label")
    _add_weights(draft, folder)
    channels = getattr(configuration, "num_channels", 3)
    check_channels(f"hf:{name}", channels)
    add_processor_steps(draft, processor, name, image_size, channels)
    if image_size is not None:
        _check_size(name, Network.read(draft.values["network"], f"hf:{name}"), channels, image_size)
    return draft


def _check_size(name: str, network: Network, channels: int, image_size: int) -> None:
    """Refuse images of a size that a network does not run on, as far as it can be run without weights.

    Raises:
        UsageError: names the sizes near it that it runs on.
    """
    import torch

    built = sketch_network(network).eval()
    own, patch = (find_size(built.config, key) for key in ("image_size", "patch_size"))

    def fail_at(size: int) -> str:
        try:
            with torch.inference_mode():
                built(torch.zeros(2, channels, size, size, device="meta"))
        except Exception as error:  # transformers' own checks, and torch's
            return first_line(error)
        return ""

    reason = fail_at(image_size)
    if not reason or own is None or fail_at(own):
        return  # Where it cannot be run without weights, the export runs it.
    near = {count * step for step in {patch or 32, 32} for count in (image_size // step, image_size // step + 1)}
    fitting = sorted({own, *(size for size in near if size and not fail_at(size))})
    sizes = " or ".join(map(str, fitting))
    raise UsageError(
        f"hf:{name} does not run on images of {image_size} × {image_size} ({reason})",
        f"give --image-size {sizes}" if len(fitting) > 1 else f"leave --image-size out: it is fixed to {own}",
    )


def make_transform(name: str, recipe: Recipe) -> "Transform":
    """The image processor itself, with the backend whose rounding the card has."""
    folder = _find_folder(name)
    config = folder.read_config()
    if "architecture" in config:
        return timm.make_transform_of(config["pretrained_cfg"], recipe)
    processor = load_processor(name, folder.path)
    own = Draft("")
    add_processor_steps(own, processor, name, None, recipe.channels)
    size = Preprocessing.read(own.values, "the image processor").input_size
    changes = describe_resized(processor, recipe) if size != recipe.input_size else {}
    return lambda image: processor(image, return_tensors="np", **changes)["pixel_values"][0]


def list_references(pattern: str) -> list[Listed]:
    """Folders that fit a shell pattern; what the hub has is not known on this machine."""
    found = []
    for folder in sorted(path for path in glob(str(expand_home(pattern))) if (Path(path) / "config.json").is_file()):
        recipe = resolve(folder).read()
        found.append(Listed(f"hf:{folder}", recipe.input_size, recipe.network.classes, None, None, None))
    return found


def fetch_description(reference: str) -> None:
    """Download what describes a model of the hub, unless it is on this machine; of another reference nothing is.

    Raises:
        UsageError: the hub has no such repository or revision, or nothing in it says what network it is.
        SeatrialError: as `models.hub.fetch_files`.
    """
    source, _, name = reference.partition(":")
    repository, _, revision = name.partition("@")
    if source != "hf" or expand_home(name).is_dir() or not REPOSITORY.fullmatch(repository):
        return
    stored = _find_stored(name)
    if stored is not None and stored.is_complete:
        return
    if not (fetch_files(repository, revision or None, DESCRIPTION) / DESCRIPTION[0]).is_file():
        problem = f"{repository} on the Hugging Face hub has no {DESCRIPTION[0]}, which says what network it is"
        raise UsageError(problem, "give another repository")


def _find_folder(name: str) -> HubFolder:
    """Where a reference leads to.

    Raises:
        UsageError: it is not on this machine.
        EngineError: huggingface_hub is not installed.
    """
    found = _find_stored(name)
    if found is None:
        raise UsageError(
            f"hf:{name} is not on this machine",
            f"`seatrial recipes fetch hf:{name}` downloads it; or give its folder, hf:./folder, with "
            f"{', '.join(FILES)} from {HUB}/{name.partition('@')[0]}",
        )
    return found


def _find_stored(name: str) -> HubFolder | None:
    """The folder that a reference names, or the repository in the store of the hub's client; None: it is not there.

    Raises:
        UsageError: it is neither a folder nor ORG/NAME.
        EngineError: huggingface_hub is not installed.
    """
    if expand_home(name).is_dir() and name:
        return HubFolder(name, expand_home(name))
    repository, _, revision = name.partition("@")
    if name.startswith((".", "/", "~")):
        raise UsageError(f"hf:{name}: there is no folder {name}", "give a folder as save_pretrained writes it")
    if not REPOSITORY.fullmatch(repository):
        raise UsageError(f"hf:{name} is no folder and no ORG/NAME", "write it like hf:google/vit-base-patch16-224")
    read_version("huggingface_hub")
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "config.json", revision=revision or None)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return HubFolder(name, folder, repository, folder.name if COMMIT.fullmatch(folder.name) else revision or None)


def _start(folder: HubFolder, here: str) -> Draft:
    """A draft with its head; `here` is the library that describes it, with its version."""
    repository, revision = folder.repository, folder.revision
    short = repository or folder.path.resolve().name
    at = f"@{revision}" if revision and repository else ""
    source = f"{HUB}/{repository}/tree/{revision or 'main'}" if repository else str(folder.path.resolve())
    draft = Draft(f"hf:{repository}{at}" if repository else f"hf:{source}")
    draft.put_head(short.replace("/", "."), f"{short}, as its configuration describes it", source, here)
    return draft


def _resolve_timm(folder: HubFolder, config: dict[str, Any], image_size: int | None) -> Draft:
    """The card of a repository that timm made."""
    described = {**config.get("pretrained_cfg", {}), "num_classes": config.get("num_classes", 0)}
    if not described["num_classes"]:
        raise UsageError(f"hf:{folder.name} gives features and no classes", "train a head on it")
    draft = _start(folder, f"timm {read_version('timm')}")
    architecture = str(config["architecture"])
    if not any(tag.partition(".")[0] == architecture for tag in timm.load_configs()):
        check_timm_name(architecture, f"hf:{folder.name}: its config.json is of timm, and ")
    draft.put("network.builder", "timm")
    draft.put("network.name", architecture, "config.json: architecture")
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
    _add_weights(draft, folder)
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
    if known is None or "ForImageClassification" not in known or not hasattr(import_transformers(), known):
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


def _add_weights(draft: Draft, folder: HubFolder) -> None:
    file, path = WEIGHTS, folder.path
    if (path / file).is_file():
        draft.put("weights.file", file, "safetensors")
        draft.put("weights.path", str((path / file).absolute()))
    else:
        note = next((words for pattern, words in OTHER_WEIGHTS.items() if any(path.glob(pattern))), None)
        draft.put_all("weights", file=note and file, note=note)
    if folder.repository is not None:
        hub, revision = f"{folder.repository}/{file}", folder.revision
        url = f"{HUB}/{folder.repository}/resolve/{revision or 'main'}/{file}"
        draft.put_all("weights", file=file, hub=hub, revision=revision, url=url)
