"""What a user's program wrote for the images of a kit: tensors, logits, or the best classes."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seatrial.data.preprocessing.steps import normalise
from seatrial.errors import DataError, ParityError, UsageError
from seatrial.foreign.files import open_regular, read_bytes, read_text
from seatrial.foreign.parse import Unparsable, parse_json
from seatrial.recipes.schema import Recipe
from seatrial.store.app_kit import AppKit

Kind = Literal["tensors", "logits", "classes"]
FORMS = "docs/check-app.md has the forms"


@dataclass(frozen=True, slots=True)
class AppPredictions:
    """What a program wrote, in the order of the kit's images."""

    kind: Kind
    values: NDArray[Any]
    """float32 (n, channels, height, width); float32 (n, classes), or a class more; int64 (n, best classes)."""


def read_predictions(path: Path, kit: AppKit, recipe: Recipe) -> AppPredictions:
    """Read a folder of .npy or .bin files, one such file for all images, or JSON or CSV.

    Raises:
        UsageError: there is no such path, or it has another form.
        DataError: images are missing, or shapes are wrong.
        ParityError: a number is not finite.
    """
    if not path.exists():
        raise UsageError(f"there is no {path}", "give the folder or file that your program wrote")
    names = [image.name for image in kit.images]
    try:
        if path.is_dir():
            found = _stack([_read_array(_find(path, name), kit, recipe) for name in names], names)
        elif path.suffix in (".npy", ".bin"):
            found = _split(path, kit, recipe)
        elif path.suffix in (".json", ".csv"):
            rows = _read_json(path) if path.suffix == ".json" else _read_csv(path)
            found = _to_numbers(rows, kit, recipe, path)
        else:
            raise UsageError(f"{path} is no folder, .npy, .bin, .json or .csv", FORMS)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})", "check its permissions") from None
    _check(found, names, recipe)
    return found


def _find(folder: Path, name: str) -> Path:
    paths = [folder / f"{name}{suffix}" for suffix in (".npy", ".bin") if (folder / f"{name}{suffix}").is_file()]
    if not paths:
        raise DataError(
            f"{folder} has nothing for image {name}", f"write {name}.npy or {name}.bin, and one for every other image"
        )
    if len(paths) > 1:
        raise DataError(f"{folder} has {name}.npy and {name}.bin", "leave one of them")
    return paths[0]


def _load_npy(path: Path) -> NDArray[Any]:
    try:
        with open_regular(path) as file:
            return np.asarray(np.load(file, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is no .npy file of numbers ({str(error).splitlines()[0]})", FORMS) from None


def _read_array(path: Path, kit: AppKit, recipe: Recipe) -> NDArray[Any]:
    """One image's numbers: a tensor (channels, height, width), or logits (classes,)."""
    if path.suffix == ".bin":
        first: NDArray[Any] = _read_raw(path, 1, kit, recipe)[0]
        return first
    array = _load_npy(path)
    while array.ndim > 1 and array.shape[0] == 1 and array.shape != kit.shape:
        array = array[0]
    own: NDArray[Any] = _accept(array[None], kit, recipe, path)[0]
    return own


def _split(path: Path, kit: AppKit, recipe: Recipe) -> AppPredictions:
    count = len(kit.images)
    if path.suffix == ".bin":
        return _name(_read_raw(path, count, kit, recipe))
    array = _load_npy(path)
    if array.ndim == 0 or array.shape[0] != count:
        raise DataError(
            f"{path} has shape {array.shape}, and the kit has {count} images",
            f"write ({count}, {', '.join(map(str, kit.shape))}) or ({count}, {recipe.network.classes})",
        )
    return _name(_accept(array, kit, recipe, path))


def _read_raw(path: Path, count: int, kit: AppKit, recipe: Recipe) -> NDArray[Any]:
    """Numbers of `count` images without a header: their size says what they are."""
    data, (channels, height, width) = read_bytes(path), kit.shape
    shapes: list[tuple[tuple[int, ...], Any]] = [
        (kit.shape, np.dtype("<f4")),
        ((recipe.network.classes,), np.dtype("<f4")),
        (kit.shape, np.dtype("<f2")),
        ((height, width, channels), np.dtype("u1")),
    ]
    for shape, dtype in shapes:
        if len(data) == count * int(np.prod(shape)) * dtype.itemsize:
            return _accept(np.frombuffer(data, dtype).reshape(count, *shape), kit, recipe, path)
    size = count * int(np.prod(kit.shape)) * 4
    raise DataError(
        f"{path} has {len(data):,} bytes, and float32 tensors of {' × '.join(map(str, kit.shape))} have {size:,}",
        "write float32 or float16 tensors, uint8 pixels (HWC) or float32 logits, as .npy if in doubt",
    )


def _accept(array: NDArray[Any], kit: AppKit, recipe: Recipe, path: Path) -> NDArray[Any]:
    """Images (n, …) as float32 tensors or logits; a wrong shape names the layout that it looks like."""
    shape, (channels, height, width) = array.shape[1:], kit.shape
    if array.dtype == np.uint8 and shape == (height, width, channels):
        return normalise(array, recipe)
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path} holds {array.dtype}, no numbers", FORMS)
    if array.dtype == np.uint8 and shape == kit.shape:
        return normalise(np.ascontiguousarray(array.transpose(0, 2, 3, 1)), recipe)
    if shape == kit.shape or (len(shape) == 1 and shape[0] in (recipe.network.classes, recipe.network.classes + 1)):
        return array.astype(np.float32)
    likely = {
        (height, width, channels): "it looks like HWC: transpose it to CHW, (2, 0, 1)",
        (channels, width, height): "width and height look exchanged",
        (height, width): "a colour channel is missing: write all of them",
        (channels * height * width,): f"it is flat: reshape it to {kit.shape}",
    }
    raise DataError(
        f"{path} has shape {shape} for an image, and the card gives {kit.shape}",
        likely.get(shape, f"write tensors of {kit.shape} or logits of {recipe.network.classes} classes"),
    )


def _stack(arrays: Sequence[NDArray[Any]], names: Sequence[str]) -> AppPredictions:
    for array, name in zip(arrays, names, strict=True):
        if array.shape != arrays[0].shape:
            raise DataError(
                f"{name} has shape {array.shape}, {names[0]} has {arrays[0].shape}", "write one form for all"
            )
    return _name(np.stack(arrays).astype(np.float32))


def _name(values: NDArray[Any]) -> AppPredictions:
    return AppPredictions("tensors" if values.ndim == 4 else "logits", values.astype(np.float32))


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        data = parse_json(read_bytes(path), finite=False)
    except Unparsable as error:
        raise DataError(f"{path} is no JSON ({error})", FORMS) from None
    if not isinstance(data, dict):
        raise DataError(f"{path} is no JSON object of image names", FORMS)
    return data


def _read_csv(path: Path) -> Mapping[str, Any]:
    rows: dict[str, Any] = {}
    try:
        lines = [line for line in csv.reader(read_text(path, None).splitlines()) if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no CSV ({error})", FORMS) from None
    for number, line in enumerate(lines):
        if number == 0 and not any(_is_number(cell) for cell in line[1:]):
            continue  # A head.
        if line[0] in rows:
            raise DataError(f"{path} has image {line[0]} twice", "leave one line for each image")
        rows[line[0]] = line[1:]
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _to_numbers(rows: Mapping[str, Any], kit: AppKit, recipe: Recipe, path: Path) -> AppPredictions:
    by_stem = {Path(name).name: row for name, row in rows.items()}
    found = []
    for image in kit.images:
        row = by_stem.get(image.name, by_stem.get(Path(image.file).name))
        if row is None:
            raise DataError(f"{path} has nothing for image {image.name}", "write a line for every image of the kit")
        row = row if isinstance(row, list) else [row]
        try:
            found.append([float(value) for value in row])
        except (TypeError, ValueError):
            raise DataError(f"{path}: what image {image.name} has is not numbers", FORMS) from None
    lengths = sorted({len(row) for row in found})
    if len(lengths) > 1 or lengths == [0]:
        raise DataError(f"{path} has {lengths[0]} to {lengths[-1]} numbers for an image", "write as many for each")
    values, classes = np.array(found), recipe.network.classes
    whole = bool((np.isfinite(values) & (values == np.rint(values)) & (values >= 0)).all())
    if whole and lengths[0] <= 5:
        return AppPredictions("classes", values.astype(np.int64))
    if lengths[0] in (classes, classes + 1):
        return AppPredictions("logits", values.astype(np.float32))
    raise DataError(
        f"{path} has {lengths[0]} numbers for an image: neither up to five classes nor {classes} logits", FORMS
    )


def _check(found: AppPredictions, names: Sequence[str], recipe: Recipe) -> None:
    flat = found.values.reshape(len(names), -1)
    broken = np.flatnonzero(~np.isfinite(flat).all(axis=1))
    if len(broken):
        raise ParityError(
            f"your program wrote NaN or infinity, first for {names[broken[0]]} ({len(broken)} of {len(names)} images)",
            "mend that first: no step of the card makes such numbers",
        )
    if found.kind != "classes" and len(names) > 1 and (flat == flat[0]).all():
        raise ParityError(
            "your program wrote the same numbers for every image", "look for a buffer that is never filled"
        )
    if found.kind == "classes" and (found.values > recipe.network.classes).any():
        raise DataError(
            f"class {found.values.max()} is none of the network's {recipe.network.classes}", "count classes from 0"
        )
