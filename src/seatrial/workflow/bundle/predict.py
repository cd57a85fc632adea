"""Name the classes of images with the engine in this folder: it needs that engine's runtime, NumPy and Pillow alone.

python predict.py image.jpg [more ...] [--top 5] [--json]
python predict.py --selftest [--json]

Exit codes: 0 done, or the self-test passed; 2 usage; 3 the self-test failed, or scores that are no numbers;
5 the runtime is missing or opens no engine; 6 an image cannot be read; 8 a file of this folder was altered.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import struct
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
SAMPLE_BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF."""
Step = Mapping[str, Any]


class Failure(Exception):
    """What stops the program, in one line, with its exit code."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


def read_image(data: bytes, name: str) -> Image.Image:
    """The bytes of an image file as RGB: EXIF orientation is ignored, 16 bits are scaled, transparency is dropped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        with image:
            _check_depth(image, name)
            image.load()
            return _to_rgb(image)
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise Failure(6, f"image {name} cannot be read ({error})") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise Failure(6, f"image {name} is refused ({error})") from None


def _check_depth(image: Image.Image, name: str) -> None:
    """Refuse samples whose black and white are not defined."""
    odd = image.mode == "F"
    if isinstance(image, TiffImageFile):
        bits = max(image.tag_v2.get(SAMPLE_BITS, (1,)))
        odd = odd or set(image.tag_v2.get(SAMPLE_FORMAT, (1,))) != {1} or bits not in (1, 2, 4, 8, 16)
        odd = odd or (bits == 16 and image.tag_v2.get(PHOTOMETRIC) == 0)
    if odd:
        raise Failure(6, f"image {name} is refused: convert it to 8 or 16 unsigned bits a sample, 0 being black")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.uint32) // 257).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def resize(image: Image.Image, step: Step) -> Image.Image:
    """Columns first, then rows, each in a call of its own: versions of Pillow differ in the order that they choose."""
    target = _find_target(image.size, step)
    if target == image.size:
        return image
    if step["backend"] == "tensor":
        made = _load_tensor_steps().resize_as_tensor(to_pixels(image), target, step["interpolation"], step["antialias"])
        return Image.fromarray(made if made.shape[2] == 3 else made[..., 0])
    kind = Image.Resampling[step["interpolation"].upper()]
    if kind is Image.Resampling.NEAREST:
        return image.resize(target, kind)
    return image.resize((target[0], image.height), kind).resize(target, kind)


def _find_target(size: tuple[int, int], step: Step) -> tuple[int, int]:
    """Width and height that an image of `size` (width, height) is resized to."""
    width, height = size
    if step.get("size"):
        return step["size"][1], step["size"][0]
    frame = step.get("cover") or step.get("fit")
    if frame:
        ratios = height / frame[0], width / frame[1]
        ratio = min(ratios) if step.get("cover") else max(ratios)
        return max(1, round(width / ratio)), max(1, round(height / ratio))
    short, long = min(size), max(size)
    if step.get("long_side"):
        short, long = max(1, int(step["long_side"] * short / long)), step["long_side"]
    else:
        short, long = step["short_side"], int(step["short_side"] * long / short)
        most = step.get("max_size")
        if most and long > most:
            short, long = max(1, int(most * short / long)), most
    return (short, long) if width <= height else (long, short)


def center_crop(image: Image.Image, step: Step) -> Image.Image:
    """Cut the middle out; a smaller image is padded around evenly."""
    sides = step.get("size") or [max(1, int(side * step["fraction"])) for side in (image.height, image.width)]
    height, width = sides
    down = step["offset"] == "floor"
    spare = max(0, width - image.width), max(0, height - image.height)
    if any(spare):
        corner = [-(-side // 2) if down else side // 2 for side in spare]
        image = _put_on(image, spare, (corner[0], corner[1]), step.get("pad") or (0, 0, 0))
    left, top = image.width - width, image.height - height
    if step["offset"] == "half_even":
        left, top = round(left / 2), round(top / 2)
    else:
        left, top = left // 2, top // 2
    return image.crop((left, top, left + width, top + height))


def pad(image: Image.Image, step: Step) -> Image.Image:
    """A border of one colour up to a size."""
    spare = step["size"][1] - image.width, step["size"][0] - image.height
    if min(spare) < 0:
        raise Failure(6, f"an image of {image.height} × {image.width} is larger than the pad step's {step['size']}")
    at = (spare[0] // 2, spare[1] // 2) if step["position"] == "center" else (0, 0)
    return _put_on(image, spare, at, step["colour"])


def _put_on(image: Image.Image, by: tuple[int, int], at: tuple[int, int], colour: Sequence[int]) -> Image.Image:
    red, green, blue = colour
    shown = Image.new("RGB", (1, 1), (red, green, blue)).convert(image.mode).getpixel((0, 0))
    padded = Image.new(image.mode, (image.width + by[0], image.height + by[1]), shown)
    padded.paste(image, at)
    return padded


def channels(image: Image.Image, step: Step) -> Image.Image:
    """Swap red and blue, or make grey."""
    if step["order"] == "BGR":
        return Image.merge(image.mode, image.split()[::-1])
    if image.mode == "L":
        return image
    if step["backend"] == "tensor":
        return Image.fromarray(_load_tensor_steps().make_grey_as_tensor(np.asarray(image)))
    return image.convert("L")


STEPS: dict[str, Callable[[Image.Image, Step], Image.Image]] = {
    "resize": resize,
    "center_crop": center_crop,
    "pad": pad,
    "channels": channels,
}
"""Every step that works on pixels, by its name in the card."""


def load_beside(name: str, folder: Path) -> Any:
    """A module of this folder, wherever Python looks for others; it leaves nothing behind."""
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


def _load_tensor_steps() -> Any:
    """Torchvision's arithmetic, which is there where the card has a step with backend = "tensor"."""
    return load_beside("tensor_resize", Path(__file__).parent)


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """The pixels (height, width, channels) of an image, a grey one too."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def count_threads(wanted: int | None) -> int:
    """The threads that were requested, else all cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return wanted or cores or 1


class Package:
    """The folder of a package, its engine opened when it is first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Failure(8, f"manifest.json cannot be read ({error})") from None
        said = {key: value for key, value in self.manifest.items() if key != "checksum"}
        if _hash(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()) != self.manifest.get("checksum"):
            raise Failure(8, "manifest.json was altered")
        self.settings: dict[str, Any] = self.manifest["settings"]
        self._run: Callable[[NDArray[Any]], NDArray[Any]] | None = None
        names = folder / "classes.txt"
        self.names = names.read_text(encoding="utf-8").splitlines() if names.is_file() else []

    def check_files(self, under: str = "") -> None:
        """Refuse files that are not those that were packaged; `under` is a folder, or all of it."""
        for name, sha256 in self.manifest["files"].items():
            path = self.folder / name
            if name.startswith(under) and (not path.is_file() or _hash(path.read_bytes()) != sha256):
                raise Failure(8, f"{name} is {'altered' if path.exists() else 'missing'}: copy the package again")

    def prepare(self, path: Path) -> NDArray[np.uint8]:
        """An image file as pixels (height, width, channels) of the engine's size."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Failure(6, f"image {path} cannot be read ({error.strerror})") from None
        image = read_image(data, str(path))
        for step in self.settings["steps"]:
            image = STEPS[step["step"]](image, step)
        return to_pixels(image)

    def score(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The scores (classes,) of prepared pixels."""
        if self._run is None:
            self._run = self._open()
        batch = self._to_input(pixels)[None]
        size = self.settings["batch_size"] or 1
        scores: NDArray[np.float32] = self._run(np.ascontiguousarray(np.repeat(batch, size, axis=0)))[0].astype(
            np.float32
        )
        if not np.isfinite(scores).all():
            raise Failure(3, "the engine gives scores that are no numbers")
        return scores

    def _open(self) -> Any:
        """What gives the scores (n, classes) of a batch."""
        self.check_files("engine/")
        self.check_files("open_engine.py")
        name, runtime = self.manifest["engine"], dict(self.settings["runtime"])
        runtime["threads"] = count_threads(runtime["threads"])
        path = self.folder / "engine" / self.settings["file"]
        try:
            return load_beside("open_engine", self.folder).open_engine(path, runtime, self.settings["output"])
        except ImportError as error:
            fix = "pip install -r requirements.txt"
            raise Failure(5, f"{name} cannot be used: {error.name or error} is missing; {fix}") from None
        except Exception as error:  # The runtimes' exceptions share no base but this.
            raise Failure(5, f"{name} does not open {path.name} ({' '.join(str(error).split())[:200]})") from None

    def _to_input(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Pixels as the engine takes one image: as they are, or normalised, in its layout."""
        wanted, made = self.settings["input"], pixels
        if wanted["dtype"] == "uint8":
            return made.transpose(2, 0, 1) if wanted["layout"] == "NCHW" else made
        planes = pixels.transpose(2, 0, 1).astype(np.float32)
        for plane, mean, std in zip(planes, self.settings["mean"], self.settings["std"], strict=True):
            plane /= np.float32(255)
            plane -= np.float32(mean)
            plane /= np.float32(std)
        return (planes.transpose(1, 2, 0) if wanted["layout"] == "NHWC" else planes).astype(wanted["dtype"])

    def name(self, index: int) -> str:
        """What a class is called; empty where it has no name."""
        return self.names[index] if index < len(self.names) else ""

    def predict(self, path: Path, top: int) -> list[dict[str, Any]]:
        """The best classes of an image, best first; of equal scores the lower class comes first."""
        scores = self.score(self.prepare(path))
        shares = scores.astype(np.float64)
        if not self.settings["probabilities"]:
            powers = np.exp(shares - shares.max())
            shares = powers / powers.sum()
        order = np.argsort(-scores, kind="stable")[:top].tolist()
        return [
            {"class": c, "name": self.name(c), "score": float(scores[c]), "probability": float(shares[c])}
            for c in order
        ]

    def test(self) -> dict[str, Any]:
        """What differs from the machine that was measured, on the pictures in `kit`."""
        self.check_files()
        with np.load(self.folder / "kit" / "expected.npz", allow_pickle=False) as kept:
            pixels, logits = kept["pixels"], kept["logits"]
        pictures = self.manifest["kit"]
        made = np.stack([self.prepare(self.folder / "kit" / name) for name in pictures])
        given = np.stack([self.score(each) for each in made])
        before, now = logits.argmax(axis=1).tolist(), given.argmax(axis=1).tolist()
        apart = given.astype(np.float64) - logits
        levels = np.abs(made.astype(np.int16) - pixels)
        found = {
            "pictures": len(pictures),
            "pictures_with_other_pixels": int((levels.reshape(len(levels), -1).max(axis=1) > 0).sum()),
            "largest_difference_of_pixels": int(levels.max()),
            "largest_difference_of_logits": float(np.abs(apart).max()),
            "relative_difference": float(np.linalg.norm(apart) / (np.linalg.norm(logits.astype(np.float64)) or 1)),
            "limit": self.settings["limit"],
            "other_first_classes": {
                name: [old, new] for name, old, new in zip(pictures, before, now, strict=True) if old != new
            },
            "other_versions": self._compare_versions(),
        }
        same = found["relative_difference"] <= found["limit"] and not found["other_first_classes"]
        return {"passed": same, **found}

    def _compare_versions(self) -> dict[str, list[str]]:
        """What is installed in another version than was measured: that one, and this."""
        there = {}
        for name, version in self.manifest["versions"].items():
            try:
                installed = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                installed = "not installed"
            if installed != version:
                there[name] = [version, installed]
        return there


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def describe_test(found: Mapping[str, Any]) -> str:
    """The result of the self-test in lines."""
    count, changed = found["pictures"], found["other_first_classes"]
    lines = [
        f"pixels: {found['pictures_with_other_pixels']} of {count} pictures differ, "
        f"by {found['largest_difference_of_pixels']} of 255 levels at most",
        f"logits: largest difference {found['largest_difference_of_logits']:.3g}, relative "
        f"{found['relative_difference']:.1e}; rounding explains {found['limit']:g}",
        f"first classes: {len(changed)} of {count} are others",
    ]
    lines += [f"  {name}: {old} was measured, {new} here" for name, (old, new) in changed.items()]
    lines += [f"{name}: {old} was measured, {new} is here" for name, (old, new) in found["other_versions"].items()]
    return "\n".join([*lines, "self-test passed" if found["passed"] else "self-test FAILED"])


def _predict_all(package: Package, images: Sequence[str], top: int, as_json: bool) -> int:
    """Print what the images are; one that cannot be read leaves the others alone."""
    code, rows = 0, []
    for image in images:
        try:
            classes = package.predict(Path(image), top)
        except Failure as failure:
            if failure.code != 6:
                raise
            code = failure.code
            print(f"predict.py: {failure}", file=sys.stderr)
            continue
        rows.append({"image": image, "classes": classes})
        if not as_json:
            lines = [f"  {each['probability']:8.4f}  {each['class']} {each['name']}".rstrip() for each in classes]
            print("\n".join([image, *lines]))
    if as_json:
        print(json.dumps(rows, indent=1))
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and do what it says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="predict.py", description="Name the classes of images.")
    parser.add_argument("images", nargs="*", help="image files")
    parser.add_argument("--top", type=int, default=5, help="how many classes to print (5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--selftest", action="store_true", help="compare with the answers that were measured")
    given = parser.parse_args(arguments)
    if given.selftest == bool(given.images) or given.top < 1:
        parser.error("give image files, or --selftest alone; --top is 1 or more")
    try:
        package = Package(Path(__file__).resolve().parent)
        if not given.selftest:
            return _predict_all(package, given.images, given.top, given.json)
        found = package.test()
    except Failure as failure:
        print(f"predict.py: {failure}", file=sys.stderr)
        return failure.code
    print(json.dumps(found, indent=1) if given.json else describe_test(found))
    return 0 if found["passed"] else 3


if __name__ == "__main__":
    sys.exit(main())
