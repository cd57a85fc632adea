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
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

CODE = ("prepare.py", "open_engine.py", "tensor_resize.py", "classes.txt")
INSTALL = "pip install -r requirements.txt"

try:
    import numpy as np
    from numpy.typing import NDArray
except ImportError as error:
    print(f"predict.py: {error.name} is missing; {INSTALL}", file=sys.stderr)
    sys.exit(5)


class Failure(Exception):
    """What stops the program, in one line, with its exit code."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


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
        stated = {key: value for key, value in self.manifest.items() if key != "checksum"}
        if _hash(json.dumps(stated, sort_keys=True, separators=(",", ":")).encode()) != self.manifest.get("checksum"):
            raise Failure(8, "manifest.json was altered")
        self.settings: dict[str, Any] = self.manifest["settings"]
        self.check_files(*CODE)
        try:
            self._prepare = load_beside("prepare", folder)
        except ImportError as error:
            raise Failure(5, f"{error.name} is missing; {INSTALL}") from None
        self._run: Callable[[NDArray[Any]], NDArray[Any]] | None = None
        named = "classes.txt" in self.manifest["files"]
        self.names = (folder / "classes.txt").read_text(encoding="utf-8").splitlines() if named else []

    def check_files(self, *under: str) -> None:
        """Refuse files that are not those that were packaged: those whose paths begin so, or all."""
        for name, sha256 in self.manifest["files"].items():
            path, meant = self.folder / name, not under or name.startswith(under)
            if meant and (not path.is_file() or _hash(path.read_bytes()) != sha256):
                raise Failure(8, f"{name} is {'altered' if path.exists() else 'missing'}: copy the package again")

    def prepare(self, path: Path) -> NDArray[np.uint8]:
        """An image file as pixels (height, width, channels) of the engine's size."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Failure(6, f"image {path} cannot be read ({error.strerror})") from None
        try:
            pixels: NDArray[np.uint8] = self._prepare.prepare_image(data, str(path), self.settings["steps"])
        except self._prepare.ImageError as error:
            raise Failure(6, str(error)) from None
        return pixels

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
        name, runtime = self.manifest["engine"], dict(self.settings["runtime"])
        runtime["threads"] = count_threads(runtime["threads"])
        path = self.folder / "engine" / self.settings["file"]
        try:
            return load_beside("open_engine", self.folder).open_engine(path, runtime, self.settings["output"])
        except ImportError as error:
            raise Failure(5, f"{name} cannot be used: {error.name or error} is missing; {INSTALL}") from None
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
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # Whoever reads the output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 0
    sys.exit(code)
