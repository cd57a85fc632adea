"""Every image classifier of transformers as a folder: a small random network, with the image processor of its kind."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEPTHS = ("num_hidden_layers", "depths", "depth", "num_blocks", "layer_depths", "num_encoder_blocks")
"""What configurations call the number of layers, or of those of each stage."""
WHOLE = ("cvt", "poolformer", "pvt")
"""Whose stages belong together: with other depths they do not run."""
BACKENDS = {"pil": "", "torchvision": "Fast"}
"""The suffix by which a stored processor names its arithmetic."""


def list_classifiers() -> dict[str, tuple[str, ...]]:
    """Model types of transformers with the names of their classes for images."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as found

    return {kind: (names,) if isinstance(names, str) else tuple(names) for kind, names in found.items()}


def make_folders(place: Path) -> Iterator[tuple[str, str, Path | Exception]]:
    """Class, backend and folder of each that can be made; the reason where it cannot."""
    for kind, names in list_classifiers().items():
        for name in names:
            for backend in BACKENDS:
                try:
                    yield name, backend, make_folder(place / f"{name}-{backend}", kind, name, backend)
                except Exception as error:
                    yield name, backend, error


def make_folder(folder: Path, kind: str, name: str, backend: str) -> Path:
    """config.json and preprocessor_config.json of a small network of this class; found where it was made before."""
    import transformers

    if (folder / "preprocessor_config.json").exists():
        return folder
    config = transformers.CONFIG_MAPPING[kind](num_labels=10)
    # The names of stages, where there are some, are of so many layers.
    if kind not in WHOLE and not hasattr(config, "stage_names"):
        shrink(config)
    config.architectures = [name]
    processor = find_processor(kind, backend)(**fit_size(config))
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    written = json.loads(path.read_text())
    plain = written["image_processor_type"].removesuffix("Pil").removesuffix("Fast")
    path.write_text(json.dumps({**written, "image_processor_type": plain + BACKENDS[backend]}))
    return folder


def shrink(config: Any) -> None:
    """Put one or two layers in the place of many, where the configuration has a number of them."""
    for name in DEPTHS:
        value = getattr(config, name, None)
        if isinstance(value, list | tuple):
            setattr(config, name, [1] * len(value))
        elif isinstance(value, int) and value > 2:
            setattr(config, name, 2)
    if hasattr(config, "vision_config"):
        shrink(config.vision_config)


def find_processor(kind: str, backend: str) -> Any:
    """The image processor class that transformers takes for a model type."""
    import transformers
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES as known

    names = known.get(kind) or known["vit"]
    return getattr(transformers, names[backend])


def fit_size(config: Any) -> dict[str, Any]:
    """A network that is built for one size wants its images so."""
    size = getattr(getattr(config, "vision_config", config), "image_size", None)
    if isinstance(size, list | tuple):
        size = size[0]
    return {"size": {"height": size, "width": size}} if isinstance(size, int) and size != 224 else {}
