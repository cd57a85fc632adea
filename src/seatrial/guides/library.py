"""What calls of torchvision, timm, Pillow, OpenCV and mmcv do to an image, by their names and arguments."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.guides.values import Known, Operation, Transform, Value, find_line, read_filter, read_numbers, read_size

READS = {
    "Image.open": "RGB",
    "cv2.imread": "BGR",
    "mmcv.imread": "BGR",
    "PIL.Image.open": "RGB",
    "imageio.imread": "RGB",
}
"""How functions that open an image order its channels."""
TRAINING = ("Random", "ColorJitter", "AutoAugment", "GaussianBlur")
PASSING = ("ToPILImage", "PILToTensor", "ToTensorNoScale", "Lambda", "LoadImageFromFile", "ImageToTensor", "Collect")
_TIMM_EVAL = ("create_loader", "create_transform", "transforms_imagenet_eval")


@dataclass(frozen=True, slots=True)
class LibraryCall:
    """A call of something that the script does not define."""

    name: str
    """The last part of its dotted name."""
    positional: tuple[Value, ...]
    named: Mapping[str, Value]
    file: str
    line: int

    def argument(self, place: int, *names: str) -> Value | None:
        """The argument at a place or of one of the names."""
        given = next((self.named[name] for name in names if name in self.named), None)
        return given if given is not None else self.positional[place] if place < len(self.positional) else None

    def make(self, name: str, value: Value | None = None, **options: object) -> Operation:
        """An operation that stands where its figure does."""
        line = find_line(value, self.line)
        return Operation(name, {key: each for key, each in options.items() if each is not None}, self.file, line)


def read_transform(call: LibraryCall) -> Transform | None:
    """What a library's transform does; None where the name is none of theirs."""
    if call.name.startswith(TRAINING):
        return Transform((), training=True)
    if call.name in ("Resize", "Scale"):
        return Transform((read_resize(call),))
    if call.name == "CenterCrop":
        size = call.argument(0, "size", "crop_size")
        return Transform((call.make("crop", size, size=_pair(size), offset="half_even"),))
    if call.name == "ToTensor":
        return Transform((call.make("scale", None, by=255.0),))
    if call.name == "Normalize":
        return Transform(_normalise(call))
    if call.name == "Grayscale":
        return Transform((call.make("grey"),))
    if call.name in _TIMM_EVAL:
        return _read_timm(call)
    return Transform(()) if call.name in PASSING else None


def read_resize(call: LibraryCall) -> Operation:
    """torchvision's: one number is the short side's, two are height and width."""
    size = call.argument(0, "size")
    chosen = call.argument(1, "interpolation")
    pixels = read_size(size)
    filter_ = "bilinear" if chosen is None else read_filter(chosen)
    if call.argument(2, "max_size") is not None:
        return call.make("unclear", size, why="max_size of this resize")
    if pixels is None or filter_ is None:
        what = "size" if pixels is None else "interpolation"
        return call.make("unclear", size, why=f"the {what} of this resize")
    if len(pixels) == 1:
        return call.make("resize", size, short_side=pixels[0], interpolation=filter_)
    return call.make("resize", size, size=pixels, interpolation=filter_)


def _pair(value: Value | None) -> tuple[int, int] | None:
    pixels = read_size(value)
    if pixels is None:
        return None
    return (pixels[0], pixels[0]) if len(pixels) == 1 else (pixels[0], pixels[1])


def _normalise(call: LibraryCall) -> tuple[Operation, ...]:
    mean, std = call.argument(0, "mean"), call.argument(1, "std")
    means, stds = read_numbers(mean), read_numbers(std)
    if means is None or stds is None or 0 in stds or not len(means) == len(stds) <= 3:
        return (call.make("unclear", None, why="the mean and std of this normalisation"),)
    return (call.make("subtract", mean, values=means), call.make("divide", std, values=stds))


def _read_timm(call: LibraryCall) -> Transform:
    """timm's way to images for evaluation: its size over crop_pct, rounded down, is the short side before the crop."""
    place = 1 if call.name == "create_loader" else 0
    size, pct = call.argument(place, "input_size", "img_size"), call.argument(99, "crop_pct")
    filter_ = read_filter(call.argument(99, "interpolation"))
    numbers, share = read_numbers(size), read_numbers(pct)
    if numbers is None or share is None or len(share) != 1 or not share[0] or filter_ is None:
        missing = "input_size" if numbers is None else "crop_pct" if not share else "interpolation"
        return Transform((call.make("unclear", None, why=f"{missing} of this {call.name}"),))
    pixels = int(numbers[-1])
    steps = [
        call.make("resize", pct, short_side=math.floor(pixels / share[0]), interpolation=filter_),
        call.make("crop", size, size=(pixels, pixels), offset="half_even"),
    ]
    prefetched = call.argument(99, "use_prefetcher")
    if call.name != "create_loader" and prefetched is not None and not isinstance(prefetched, Known):
        steps.append(call.make("unclear", None, why=f"use_prefetcher of this {call.name}"))
    if call.name == "create_loader" or not (isinstance(prefetched, Known) and prefetched.value):
        named = LibraryCall(
            "Normalize", (), {k: v for k, v in call.named.items() if k in ("mean", "std")}, call.file, call.line
        )
        steps += [call.make("scale", None, by=255.0), *_normalise(named)]
    return Transform(tuple(steps))


def read_pillow_resize(call: LibraryCall, opencv: bool = False) -> Operation | None:
    """`image.resize((width, height), filter)`, or OpenCV's; None where the size is not known."""
    place = 1 if opencv else 0
    size = call.argument(place, "size", "dsize")
    chosen = call.argument(3 if opencv else 1, "interpolation", "resample")
    filter_ = ("bilinear" if opencv else "bicubic") if chosen is None else read_filter(chosen)
    pixels = read_size(size)
    if filter_ is None or pixels is None or len(pixels) != 2:
        return None
    more = {"backend": "tensor", "antialias": False} if opencv else {}
    return call.make("resize", size, size=(pixels[1], pixels[0]), interpolation=filter_, **more)
