"""What transformers' image processor of a repository does to an image, as steps of a card.

It follows `image_processing_backends.PilBackend`, or `TorchvisionBackend` where preprocessor_config.json names a fast
processor, and the classes that resize in their own way.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

from seatrial.errors import UsageError, first_line
from seatrial.models.sources.card import Draft, count_channels
from seatrial.models.sources.library import read_version
from seatrial.recipes.schema import Recipe
from seatrial.store.record import read_json

FIXES = ("give a folder as save_pretrained writes it", "fetch it again")
"""Where a JSON file is missing, and where it is damaged."""
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
    "MobileNetV2ImageProcessor",
    "MobileViTImageProcessor", "PPLCNetImageProcessor", "PoolFormerImageProcessor", "SegformerImageProcessor",
}  # fmt: skip
"""Processors that work otherwise than their backend and are known here."""


def import_transformers() -> ModuleType:
    """The library.

    Raises:
        EngineError: it is not installed.
    """
    read_version("transformers")
    import transformers

    return transformers


def load_processor(name: str, folder: Path) -> Any:
    """The image processor, with the backend that preprocessor_config.json names: a fast one is torchvision's.

    Raises:
        UsageError: there is none, or a card cannot say what it does.
    """
    stated = read_json(folder / "preprocessor_config.json", *FIXES)
    kind = stated.get("image_processor_type") or stated.get("feature_extractor_type") or ""
    backend = "torchvision" if kind.endswith("Fast") else "pil"
    try:
        processor = import_transformers().AutoImageProcessor.from_pretrained(folder, backend=backend)
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


def add_processor_steps(draft: Draft, processor: Any, name: str, image_size: int | None, channels: int) -> None:
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


def describe_resized(processor: Any, recipe: Recipe) -> dict[str, Any]:
    """Arguments of a call that give the recipe's size."""
    steps = {step.step: step for step in recipe.preprocess}
    height, width = recipe.input_size
    crop = {"crop_size": {"height": height, "width": width}} if "center_crop" in steps else {}
    resize = steps["resize"]
    side, sides = getattr(resize, "short_side", None), getattr(resize, "size", None) or (height, width)
    if _find_kind(processor) in ("ConvNextImageProcessor", "LevitImageProcessor", "PoolFormerImageProcessor"):
        return {"size": {"shortest_edge": height}, **crop}
    return {"size": {"shortest_edge": side} if side else dict(zip(("height", "width"), sides, strict=True)), **crop}
