import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from full_disk import limited_files
from seatrial.data.bins import write as bins
from seatrial.data.bins.write import BinForm, BinManifest, BinReport, encode_bytes, name_bins, write_bins
from seatrial.data.preprocessing.steps import normalise
from seatrial.errors import DataError, RunInUse, StorageError, UsageError
from seatrial.progress import Update
from seatrial.recipes import list_cards, load_recipe
from seatrial.recipes.schema import Mode
from seatrial.store.files import locked

FLOATS = Mode.read(
    {
        "preprocess": [
            {"step": "resize", "short_side": 20},
            {"step": "center_crop", "size": [16, 12]},
            {"step": "to_float"},
            {"step": "normalise", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        ]
    },
    "test",
)
PIXELS = Mode.read({"preprocess": FLOATS.model_dump(mode="json")["preprocess"][:2]}, "test")


YUV = BinForm(PIXELS, "yuv420sp")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Six JPEG files of noise, each of another size."""
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(6):
        pixels = np.random.default_rng(index).integers(0, 256, (24 + index, 40 - index, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"ILSVRC2012_val_{index + 1:08d}.JPEG", quality=95)
    return sorted(folder.iterdir())


def list_bins(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.bin"))}


def write_one(target: Path, images: list[Path], mode: Mode = FLOATS, **changes: int) -> BinReport:
    return write_bins(BinForm(mode), images, target, changes.get("decode_workers", 1))


def preprocess_by_numpy(path: Path) -> NDArray[np.float32]:
    """Short side 256, crop 224 with truncated offsets, in the order of the ResNeXt-50 guide's arithmetic."""
    image = Image.open(path).convert("RGB")
    width, height = image.size
    size = (256, int(256 * height / width)) if width < height else (int(256 * width / height), 256)
    array = np.array(image.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    top, left = int((array.shape[0] - 224) / 2), int((array.shape[1] - 224) / 2)
    array = array[top : top + 224, left : left + 224] / 255.0
    for channel, (mean, std) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        array[..., channel] -= mean
        array[..., channel] /= std
    return array.transpose(2, 0, 1)


@pytest.mark.parametrize("size", [(500, 375), (333, 501), (301, 301), (256, 256)])
def test_float_bins_are_the_guides_to_the_byte(tmp_path: Path, size: tuple[int, int]) -> None:
    image = tmp_path / "ILSVRC2012_val_00000001.JPEG"
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(image, quality=90)
    write_bins(BinForm(load_recipe("resnext50_32x4d").find_mode()), [image], tmp_path / "bins", decode_workers=1)
    written = (tmp_path / "bins" / "ILSVRC2012_val_00000001.bin").read_bytes()
    assert len(written) == 602_112
    assert written == preprocess_by_numpy(image).tobytes()


def test_uint8_bins_hold_rows_of_rgb_pixels(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.fromarray(np.full((16, 12, 3), (1, 2, 3), dtype=np.uint8)).resize((15, 20)).save(image)
    write_one(tmp_path / "bins", [image], PIXELS)
    assert (tmp_path / "bins" / "a.bin").read_bytes() == bytes([1, 2, 3]) * 16 * 12


def test_normalising_gives_the_formulas_bits_for_every_level() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    for name in list_cards():
        recipe = load_recipe(name)
        mean, std = (np.asarray(values, dtype=np.float32) for values in recipe.normalisation)
        formula = (levels.astype(np.float32) / np.float32(255) - mean) / std
        assert np.array_equal(normalise(levels, recipe), formula.transpose(0, 3, 1, 2))


def test_the_manifest_tells_what_a_bin_is(tmp_path: Path, images: list[Path]) -> None:
    report = write_one(tmp_path / "bins", images)
    assert (report.written, report.kept, report.strays) == (6, 0, ())
    stored = BinManifest.load(tmp_path / "bins" / "bins.json")
    assert stored == report.manifest
    assert (stored.dtype, stored.layout, stored.height, stored.width, stored.file_bytes) == (
        "float32", "CHW", 16, 12, 2304,
    )  # fmt: skip
    assert write_one(tmp_path / "pixels", images, PIXELS).manifest.layout == "HWC"


def test_a_name_ends_at_its_first_dot() -> None:
    assert list(name_bins([Path("a/x.y.JPEG"), Path("a/z.png")])) == ["x.bin", "z.bin"]


def test_two_images_of_one_bin_name_are_refused() -> None:
    with pytest.raises(DataError, match=r"x\.jpg and .*x\.png would both become x\.bin"):
        name_bins([Path("x.jpg"), Path("x.png")])


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        name_bins([])


@pytest.mark.usefixtures("fresh_processes")
def test_processes_write_the_same_bytes(tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bins, "CHUNK", 2)
    write_one(tmp_path / "one", images)
    assert write_one(tmp_path / "two", images, decode_workers=2).written == 6
    assert list_bins(tmp_path / "two") == list_bins(tmp_path / "one")
    assert sorted(p.name for p in (tmp_path / "two").iterdir())[:2] == [".lock", "ILSVRC2012_val_00000001.bin"]


def test_a_second_run_keeps_what_is_there(tmp_path: Path, images: list[Path]) -> None:
    write_one(tmp_path / "bins", images[:4])
    before = {path: path.stat().st_ino for path in (tmp_path / "bins").glob("*.bin")}
    report = write_one(tmp_path / "bins", images)
    assert (report.written, report.kept) == (2, 4)
    assert {path: path.stat().st_ino for path in before} == before


def cut_off(path: Path) -> None:
    os.truncate(path, 100)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [cut_off, remove])
def test_a_bin_that_is_not_whole_is_written_again(
    tmp_path: Path, images: list[Path], harm: Callable[[Path], None]
) -> None:
    write_one(tmp_path / "bins", images)
    whole = list_bins(tmp_path / "bins")
    harm(tmp_path / "bins" / "ILSVRC2012_val_00000003.bin")
    report = write_one(tmp_path / "bins", images)
    assert (report.written, report.kept) == (1, 5)
    assert list_bins(tmp_path / "bins") == whole


def test_the_bin_of_an_image_that_changed_is_written_again(tmp_path: Path, images: list[Path]) -> None:
    write_one(tmp_path / "bins", images)
    Image.new("RGB", (40, 30), "white").save(images[0], quality=95)
    assert write_one(tmp_path / "bins", images).written == 1
    expected = encode_bytes(images[0].read_bytes(), str(images[0]), BinForm(FLOATS))
    assert list_bins(tmp_path / "bins")["ILSVRC2012_val_00000001.bin"] == expected.tobytes()


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bins, "CHUNK", 2)

    def interrupt(update: Update) -> None:
        if update.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bins(BinForm(FLOATS), images, tmp_path / "bins", 1, interrupt)
    assert len(list_bins(tmp_path / "bins")) == 4
    report = write_one(tmp_path / "bins", images)
    assert (report.written, report.kept) == (2, 4)
    write_one(tmp_path / "whole", images)
    assert list_bins(tmp_path / "bins") == list_bins(tmp_path / "whole")


def test_no_process_writes_on_after_an_interrupt(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bins, "CHUNK", 1)

    def interrupt(update: Update) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bins(BinForm(FLOATS), images, tmp_path / "bins", 2, interrupt)
    assert multiprocessing.active_children() == []
    assert 1 <= len(list_bins(tmp_path / "bins")) <= 3


def test_begun_files_are_removed(tmp_path: Path, images: list[Path]) -> None:
    write_one(tmp_path / "bins", images)
    (tmp_path / "bins" / ".ILSVRC2012_val_00000001.bin.part").write_bytes(b"half")
    assert write_one(tmp_path / "bins", images).strays == ()
    assert not list((tmp_path / "bins").glob(".*.part"))


def test_a_folder_of_another_preprocessing_is_refused(tmp_path: Path, images: list[Path]) -> None:
    write_one(tmp_path / "bins", images)
    before = list_bins(tmp_path / "bins")
    with pytest.raises(DataError, match=r"another preprocessing \(float32 16×12"):
        write_one(tmp_path / "bins", images, PIXELS)
    assert list_bins(tmp_path / "bins") == before


def test_an_emptied_folder_takes_another_preprocessing(tmp_path: Path, images: list[Path]) -> None:
    write_one(tmp_path / "bins", images)
    for path in (tmp_path / "bins").glob("*.bin"):
        path.unlink()
    assert write_one(tmp_path / "bins", images, PIXELS).written == 6
    assert BinManifest.load(tmp_path / "bins" / "bins.json").dtype == "uint8"


def test_a_folder_of_other_things_is_refused(tmp_path: Path, images: list[Path]) -> None:
    (tmp_path / "bins").mkdir()
    (tmp_path / "bins" / "thesis.tex").touch()
    with pytest.raises(UsageError, match=r"holds other files, such as 'thesis\.tex'"):
        write_one(tmp_path / "bins", images)


def test_strays_are_named(tmp_path: Path, images: list[Path]) -> None:
    write_one(tmp_path / "bins", images)
    notes: list[str] = []
    report = write_bins(BinForm(FLOATS), images[1:], tmp_path / "bins", 1, lambda update: notes.append(update.note))
    assert report.strays == ("ILSVRC2012_val_00000001.bin",)
    assert any("belong to no image: ILSVRC2012_val_00000001.bin" in note for note in notes)


@pytest.mark.parametrize("decode_workers", [1, 2])
def test_a_damaged_image_is_named(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch, decode_workers: int
) -> None:
    monkeypatch.setattr(bins, "CHUNK", 2)
    images[2].write_bytes(images[2].read_bytes()[:200])
    with pytest.raises(DataError, match="ILSVRC2012_val_00000003"):
        write_one(tmp_path / "bins", images, decode_workers=decode_workers)
    assert "ILSVRC2012_val_00000003.bin" not in list_bins(tmp_path / "bins")
    assert multiprocessing.active_children() == []


def test_a_killed_process_is_an_error_and_what_is_written_stays(
    tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bins, "CHUNK", 1)

    def kill(update: Update) -> None:
        for process in multiprocessing.active_children():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()

    many = images + [
        Path(os.link(images[0], path) or path) for path in (images[0].with_name(f"x{i}.JPEG") for i in range(40))
    ]
    with pytest.raises(DataError, match="was killed"):
        write_bins(BinForm(FLOATS), many, tmp_path / "bins", 2, kill)
    kept = len(list_bins(tmp_path / "bins"))
    assert 1 <= kept < len(many)
    assert write_one(tmp_path / "bins", many).kept == kept


def test_an_error_of_ours_names_the_image(tmp_path: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes, name: str, form: BinForm) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bins, "encode_bytes", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        write_one(tmp_path / "bins", images)
    assert caught.value.__notes__ == [f"while preprocessing {images[0]}"]


def test_a_full_disk_is_reported_and_leaves_no_half_bin(tmp_path: Path, images: list[Path]) -> None:
    write_one(tmp_path / "bins", images[:1])
    with limited_files(2000), pytest.raises(StorageError):
        write_one(tmp_path / "bins", images)
    assert list(list_bins(tmp_path / "bins")) == ["ILSVRC2012_val_00000001.bin"]
    assert write_one(tmp_path / "bins", images).written == 5


def test_two_runs_do_not_share_a_folder(tmp_path: Path, images: list[Path]) -> None:
    with locked(tmp_path / "bins"), pytest.raises(RunInUse):
        write_one(tmp_path / "bins", images)


def test_yuv_bins_hold_luma_then_pairs_of_colours(tmp_path: Path) -> None:
    red = tmp_path / "red.png"
    Image.new("RGB", (30, 20), (255, 0, 0)).save(red)
    for name, pair in (("yuv420sp", (84, 255)), ("yuv420sp-nv21", (255, 84))):
        report = write_bins(BinForm(PIXELS, name), [red], tmp_path / name, 1)  # type: ignore[arg-type]
        data = np.fromfile(tmp_path / name / "red.bin", np.uint8).reshape(24, 12)
        # Full-range BT.601: red is Y 76, U 85 (84 in Pillow, which truncates), V 255.
        assert (data[:16] == 76).all()
        assert (data[16:].reshape(-1, 2) == pair).all()
        assert (report.manifest.layout, report.manifest.file_bytes) == ("YUV420SP", 16 * 12 * 3 // 2)


def test_a_jpegs_planes_are_never_taken_through_rgb(tmp_path: Path) -> None:
    image = tmp_path / "a.JPEG"
    Image.fromarray(np.full((20, 30, 3), (10, 250, 3), np.uint8)).save(image, quality=95)
    with Image.open(image) as opened:
        opened.draft("YCbCr", None)
        opened.load()
        stored = np.asarray(opened)[0, 0]
    row = encode_bytes(image.read_bytes(), str(image), YUV)
    assert (row[0, 0], *row[16, :2]) == tuple(stored)


def test_yuv_and_rgb_folders_refuse_each_other(tmp_path: Path, images: list[Path]) -> None:
    write_bins(YUV, images, tmp_path / "bins", 1)
    for other in (BinForm(PIXELS), BinForm(PIXELS, "yuv420sp-nv21")):
        with pytest.raises(DataError, match="files of another preprocessing"):
            write_bins(other, images, tmp_path / "bins", 1)


def test_yuv_needs_pixels_and_even_sizes() -> None:
    with pytest.raises(UsageError, match="for modes that write pixels"):
        BinForm(FLOATS, "yuv420sp")
    odd = Mode.read({"preprocess": [{"step": "resize", "size": [15, 12]}]}, "test")
    with pytest.raises(UsageError, match="even sizes, and the mode gives 15×12"):
        BinForm(odd, "yuv420sp")
