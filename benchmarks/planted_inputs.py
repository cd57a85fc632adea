"""Faults in what a trial is given: labels, preprocessing, images and files made of them."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image
from planted_bench import Bench, Fault, Tried
from planted_trial import CLASSES, INKS

from seatrial.recipes import Recipe, load_recipe

NAMES = 150
EVERY = 5
"""Of so many images one is damaged."""
Labels = dict[str, int]


def list_input_faults() -> Iterator[Fault]:
    """All of them."""
    yield from _list_labels()
    yield from _list_cards()
    yield from _list_bins()
    yield from _list_images()
    yield from _list_layouts()
    yield from _list_replaced()


def _list_labels() -> Iterator[Fault]:
    for name, change in (
        ("labels plus one, the last class first", lambda labels: {n: (k + 1) % CLASSES for n, k in labels.items()}),
        ("labels through a random permutation", _permute),
        ("labels of another set: shuffled over the images", _shuffle),
        ("half of the labels wrong", _spoil_half),
    ):
        yield Fault(name, "run", lambda bench, change=change: _run_labels(bench, change))
        if "plus one" in name:
            yield Fault(name, "evaluate", lambda bench, change=change: _evaluate_labels(bench, change))
            yield Fault(name, "compare", lambda bench, change=change: _compare_labels(bench, change))
    yield Fault("class folders 1 to 10, sorted as strings", "run", _sort_as_strings)
    yield Fault("one image under 150 names with four labels", "run", _repeat_image)


def _write_labels(bench: Bench, change: Callable[[Labels], Labels]) -> Path:
    path = bench.place / "labels.txt"
    path.write_text("".join(f"{n} {k}\n" for n, k in sorted(change(bench.trial.read_labels()).items())))
    return path


def _run_labels(bench: Bench, change: Callable[[Labels], Labels]) -> Tried:
    return bench.run(bench.trial.but(labels=_write_labels(bench, change)), bench.copy_run())


def _evaluate_labels(bench: Bench, change: Callable[[Labels], Labels]) -> Tried:
    trial = bench.trial.but(labels=_write_labels(bench, change))
    first = bench.evaluate(bench.sound / "engines" / "torch", trial=trial)
    if first.code:
        return Tried.of(first)
    reference = bench.place / "found" / "torch.parquet"
    return Tried.of(bench.judge(bench.sound / "engines" / "onnxruntime", reference, trial=trial))


def _compare_labels(bench: Bench, change: Callable[[Labels], Labels]) -> Tried:
    found = [bench.sound / "evaluation" / f"{name}.parquet" for name in ("torch", "onnxruntime")]
    return Tried.of(bench.cli.run("compare", *found, "--labels", _write_labels(bench, change), "--gate-pp", "3"))


def _permute(labels: Labels) -> Labels:
    order = np.random.default_rng(1).permutation(CLASSES)
    return {name: int(order[label]) for name, label in labels.items()}


def _shuffle(labels: Labels) -> Labels:
    order = np.random.default_rng(1).permutation(list(labels.values()))
    return {name: int(label) for name, label in zip(labels, order, strict=True)}


def _spoil_half(labels: Labels) -> Labels:
    rng = np.random.default_rng(1)
    return {n: (k + int(rng.integers(1, CLASSES))) % CLASSES if i % 2 else k for i, (n, k) in enumerate(labels.items())}


def _sort_as_strings(bench: Bench) -> Tried:
    folders = bench.copy_into_classes(lambda label: str(label + 1))
    return bench.run(bench.trial.but(images=folders, labels=None))


def _repeat_image(bench: Bench) -> Tried:
    folder, labels = bench.place / "val", bench.place / "labels.txt"
    folder.mkdir()
    name, label = next(iter(bench.trial.read_labels().items()))
    for index in range(NAMES):
        shutil.copy(bench.trial.images / name, folder / f"{index:03d}.jpg")
    labels.write_text("".join(f"{index:03d}.jpg {(label + index % 4) % CLASSES}\n" for index in range(NAMES)))
    return bench.run(bench.trial.but(images=folder, labels=labels))


MEAN, STD, RESIZE, CROP = "mean = [0.485, 0.456, 0.406]", "std = [0.229, 0.224, 0.225]", "short_side = 56", "[48, 48]"


def _list_cards() -> Iterator[Fault]:
    for name, old, new in (
        ("mean on the scale 0 to 255", MEAN, "mean = [123.675, 116.28, 103.53]"),
        ("deviation on the scale 0 to 255", STD, "std = [58.395, 57.12, 57.375]"),
        ("deviation near zero", STD, "std = [0.001, 0.001, 0.001]"),
        ("mean of another network", MEAN, "mean = [1.5, 1.5, 1.5]"),
        ("crop of half the size", CROP, "[24, 24]"),
        ("resize that squeezes one side", RESIZE, "size = [48, 144]"),
    ):
        yield Fault(f"card: {name}", "run", lambda bench, old=old, new=new: _run_card(bench, old, new))


def _run_card(bench: Bench, old: str, new: str) -> Tried:
    card = bench.trial.edit_card(bench.place / "inks.toml", lambda text: text.replace(old, new))
    return bench.run(bench.trial.but(card=card))


def _list_bins() -> Iterator[Fault]:
    from planted_faults import make_pixels, swap_colours

    for name, make, form in (
        ("bins in HWC for CHW", make_pixels, "transposed"),
        ("bins with red and blue swapped", swap_colours, "float"),
        ("bins of another crop", _cut_corner, "float"),
    ):
        yield Fault(name, "evaluate", lambda bench, make=make, form=form: _judge_bins(bench, make, form))
    yield Fault("bins changed after bins.json", "evaluate", _exchange_bins)
    yield Fault("sound bins", "evaluate", lambda bench: bench.judge_on_both(_preprocess(bench)), True)


def _cut_corner(image: Image.Image, recipe: Recipe) -> np.ndarray:
    """The upper left corner of an image twice as large."""
    height, width = recipe.input_size
    return np.asarray(image.convert("RGB").resize((3 * width, 3 * height)))[:height, :width]


def _judge_bins(bench: Bench, make: Callable[[Image.Image, Recipe], np.ndarray], form: str) -> Tried:
    from planted_faults import write_bins

    recipe = load_recipe(str(bench.trial.card))
    return bench.judge_on_both(write_bins(bench.trial.images, bench.place / "bins", recipe, make, form))


def _preprocess(bench: Bench) -> Path:
    bench.cli.must("preprocess", bench.trial.card, bench.trial.images, bench.place / "bins")
    return bench.place / "bins"


def _exchange_bins(bench: Bench) -> Tried:
    """A fifth of the bins takes the bytes of others; names, sizes and times stay."""
    bins = sorted(_preprocess(bench).glob("*.bin"))[::EVERY]
    contents = [path.read_bytes() for path in bins]
    for path, content in zip(bins, contents[1:] + contents[:1], strict=True):
        _write_unnoticed(path, content)
    return bench.judge_on_both(bench.place / "bins")


def _write_unnoticed(path: Path, content: bytes) -> None:
    """Other bytes under a file's name and time of change."""
    stat = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _list_images() -> Iterator[Fault]:
    for name, damage in (
        ("JPEG: a flipped bit that libjpeg warns about", flip_with_warning),
        ("JPEG: cut to a third and filled with zeros", _cut),
        ("JPEG: progressive, cut and filled with zeros", lambda data: _cut(save_as(data, progressive=True))),
        ("JPEG: CMYK, cut and filled with zeros", lambda data: _cut(save_as(data, "CMYK"))),
        ("TIFF of floats", lambda data: _save_tiff(data, np.float32, 1 / 255)),
        ("TIFF of 32 bits that hold 0 to 255", lambda data: _save_tiff(data, np.int32, 1)),
    ):
        yield Fault(name, "run", lambda bench, damage=damage: _run_damaged(bench, damage))
    yield Fault("sound images of other kinds, with surplus bytes", "run", _run_odd_images, True)


def _run_damaged(bench: Bench, damage: Callable[[bytes], bytes]) -> Tried:
    images = bench.copy_images()
    for path in sorted(images.iterdir())[::EVERY]:
        path.write_bytes(damage(path.read_bytes()))
    return bench.run(bench.trial.but(images=images), bench.copy_run())


def flip_with_warning(data: bytes) -> bytes:
    """One bit other: libjpeg warns, Pillow decodes on, to other pixels."""
    sound = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    rng = np.random.default_rng(1)
    while True:
        flipped = bytearray(data)
        flipped[int(rng.integers(len(data) // 4, len(data) - 2))] ^= 1 << int(rng.integers(8))
        try:
            simplejpeg.decode_jpeg(bytes(flipped))
        except ValueError as warned:
            if "premature end" in str(warned):
                continue
            try:
                pixels = np.asarray(Image.open(io.BytesIO(flipped)).convert("RGB"))
            except OSError:
                continue
            if pixels.shape != sound.shape or np.abs(pixels.astype(int) - sound).max() > 64:
                return bytes(flipped)


def _cut(data: bytes) -> bytes:
    """The first third, and the zeros of a download whose room was kept free; libjpeg runs out of picture first."""
    return data[: len(data) // 3] + bytes(4 * len(data)) + b"\xff\xd9"


def save_as(data: bytes, mode: str = "RGB", kind: str = "JPEG", **options: object) -> bytes:
    """The same picture in another form."""
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).convert(mode).save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _save_tiff(data: bytes, dtype: type[np.generic], scale: float) -> bytes:
    grey = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    file = io.BytesIO()
    Image.fromarray((grey * scale).astype(dtype)).save(file, "TIFF")
    return file.getvalue()


def _run_odd_images(bench: Bench) -> Tried:
    """What known data sets hold: bytes after the end, PNG under a JPEG's name, CMYK, progressive and 16-bit files."""
    images = bench.copy_images()
    forms: tuple[Callable[[bytes], bytes], ...] = (
        lambda data: data + b"\0" * 40,
        lambda data: save_as(data, kind="PNG"),
        lambda data: save_as(data, progressive=True, quality=95),
        lambda data: save_as(data, "CMYK", quality=95),
    )
    for index, path in enumerate(sorted(images.iterdir())[: 2 * len(forms)]):
        path.write_bytes(forms[index % len(forms)](path.read_bytes()))
    return bench.run(bench.trial.but(images=images), bench.copy_run())


def _list_layouts() -> Iterator[Fault]:
    for name, spoil in (
        ("half a class in a sub-folder", _move_to_subfolder),
        ("ten images named .jfif", lambda root: _rename(root, ".jfif")),
        ("ten images without a suffix", lambda root: _rename(root, "")),
        ("a stray image beside the class folders", _add_stray),
    ):
        yield Fault(f"images: {name}", "run", lambda bench, spoil=spoil: _run_classes(bench, spoil))
    yield Fault("images: a sub-folder beside flat ones", "run", _add_subfolder)
    yield Fault("sound class folders", "run", lambda bench: _run_classes(bench, lambda root: None), True)


def _run_classes(bench: Bench, spoil: Callable[[Path], None]) -> Tried:
    root = bench.copy_into_classes()
    spoil(root)
    tried = bench.run(bench.trial.but(images=root, labels=None), bench.copy_run())
    every = f"{len(bench.trial.read_labels())} images"
    return replace(tried, silent=tried.silent and every not in tried.reason)


def _move_to_subfolder(root: Path) -> None:
    more = root / "3" / "more"
    more.mkdir()
    for path in sorted((root / "3").glob("*.jpg"))[::2]:
        path.rename(more / path.name)


def _rename(root: Path, suffix: str) -> None:
    for path in sorted((root / "3").glob("*.jpg"))[:10]:
        path.rename(path.with_suffix(suffix))


def _add_stray(root: Path) -> None:
    shutil.copy(next((root / "3").glob("*.jpg")), root / "stray.jpg")


def _add_subfolder(bench: Bench) -> Tried:
    images = bench.copy_images()
    (images / "more").mkdir()
    for path in sorted(images.glob("*.jpg"))[:10]:
        shutil.copy(path, images / "more" / f"other_{path.name}")
    return bench.run(bench.trial.but(images=images), bench.copy_run())


def _list_replaced() -> Iterator[Fault]:
    yield Fault("images replaced, size and time kept", "evaluate", _replace_before_evaluate)
    yield Fault("images replaced, size and time kept", "run", _replace_before_run)
    yield Fault("images replaced, size and time kept", "preprocess", _replace_before_preprocess)
    yield Fault("images replaced, size and time kept", "data pack", _replace_before_pack)
    yield Fault("a sound pack", "evaluate", _evaluate_pack, True)


def replace_images(images: Path) -> Path:
    """A fifth of the images becomes pictures of noise in ink, with their names, sizes and times; the first of them."""
    chosen = sorted(images.iterdir())[::EVERY]
    rng = np.random.default_rng(1)
    for path in chosen:
        noise = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((64, 64))
        tinted = Image.blend(noise, Image.new("RGB", noise.size, INKS[0]), 0.5)
        size, file = path.stat().st_size, io.BytesIO()
        tinted.save(file, "JPEG", quality=60)
        data = file.getvalue()
        fill = size - len(data) - 4
        assert 0 <= fill < 65534
        # A comment: no decoder has a word to say about it.
        comment = b"\xff\xfe" + (fill + 2).to_bytes(2, "big") + bytes(fill)
        _write_unnoticed(path, data[:2] + comment + data[2:])
    return chosen[0]


def _replace_before_evaluate(bench: Bench) -> Tried:
    trial = bench.trial.but(images=bench.copy_images())
    engine, found = bench.sound / "engines" / "onnxruntime", bench.place / "found" / "onnxruntime.parquet"
    bench.cli.must("evaluate", engine, "--images", trial.images, "--labels", trial.labels, "--output", found.parent)
    before = found.read_bytes()
    replace_images(trial.images)
    return Tried.of(bench.evaluate(engine, trial=trial), wrong=found.read_bytes() == before)


def _replace_before_run(bench: Bench) -> Tried:
    trial, run = bench.trial.but(images=bench.copy_images()), bench.copy_run()
    found = run / "evaluation" / "onnxruntime.parquet"
    bench.cli.must(*trial.run_words(run))
    before = found.read_bytes()
    replace_images(trial.images)
    tried = bench.run(trial, run)
    return Tried(tried.code, tried.outcome, tried.reason, tried.silent and found.read_bytes() == before)


def _replace_before_preprocess(bench: Bench) -> Tried:
    images = bench.copy_images()
    words = ["preprocess", bench.trial.card, images, bench.place / "bins"]
    bench.cli.must(*words)
    changed = replace_images(images)
    made = bench.place / "bins" / f"{changed.stem}.bin"
    before, ran = made.read_bytes(), bench.cli.run(*words)
    return Tried.of(ran, wrong=made.read_bytes() == before)


def _pack(bench: Bench, images: Path) -> list[object]:
    words = ["data", "pack", bench.trial.card, images, "--labels", bench.trial.labels]
    return [*words, "--output", bench.place / "images.pack"]


def _replace_before_pack(bench: Bench) -> Tried:
    images = bench.copy_images()
    bench.cli.must(*_pack(bench, images))
    replace_images(images)
    before = (bench.place / "images.pack").read_bytes()
    ran = bench.cli.run(*_pack(bench, images))
    return Tried.of(ran, wrong=(bench.place / "images.pack").read_bytes() == before)


def _evaluate_pack(bench: Bench) -> Tried:
    bench.cli.must(*_pack(bench, bench.trial.images))
    trial = bench.trial.but(images=bench.place / "images.pack", labels=None)
    reference = bench.sound / "evaluation" / "torch.parquet"
    return Tried.of(bench.judge(bench.sound / "engines" / "onnxruntime", reference, trial=trial))
