from pathlib import Path

import numpy as np
import pytest

from seatrial.data.bins.raw_inputs import (
    count_images,
    find_inputs,
    measure_file,
    read_images,
    sort_naturally,
)
from seatrial.errors import DataError, UsageError
from seatrial.store.records import TensorSpec

BYTES = TensorSpec(name="image", dtype="uint8", shape=(None, 4, 6, 3), layout="NHWC")
FLOATS = TensorSpec(name="image", dtype="float32", shape=(None, 3, 4, 6), layout="NCHW")
IMAGE = 4 * 6 * 3


def read(path: Path, spec: TensorSpec, images: int) -> np.ndarray:
    rows = np.empty((images, *(size or 1 for size in spec.shape[1:])), spec.dtype)
    read_images(path, rows)
    return rows


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"x")


def test_a_folder_gives_its_files_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "a10.bin", "a9.BIN", "B1.npy", "a2.NPY", "bins.json", "a1.txt", ".hidden.bin", ".a3.bin.part")
    found = find_inputs(str(tmp_path))
    assert [path.name for path in found.files] == ["a2.NPY", "a9.BIN", "a10.bin", "B1.npy"]
    assert not found.are_images


def test_names_without_digits_and_of_digits_only_are_sorted_too() -> None:
    paths = [Path(name) for name in ("b.bin", "10.bin", "2.bin", "A.bin", "2a.bin", "02.bin")]
    assert [path.name for path in sort_naturally(paths)] == ["02.bin", "2.bin", "2a.bin", "10.bin", "A.bin", "b.bin"]


def test_images_are_told_from_raw_files(tmp_path: Path) -> None:
    touch(tmp_path, "val_2.JPEG", "val_10.jpg")
    found = find_inputs(str(tmp_path))
    assert found.are_images
    assert [path.name for path in found.files] == ["val_2.JPEG", "val_10.jpg"]
    touch(tmp_path, "a.bin")
    with pytest.raises(UsageError, match="gives both images and raw files"):
        find_inputs(str(tmp_path))


def test_a_list_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "b.bin", "a.raw", "with, comma.bin")
    assert find_inputs("b.bin,a.raw").files == (Path("b.bin"), Path("a.raw"))
    assert find_inputs("with, comma.bin").files == (Path("with, comma.bin"),)


def test_an_info_file_lists_files_with_their_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "b.bin", "a.bin")
    (tmp_path / "val.info").write_text("0 ./b.bin 6 4\n1 ./a.bin 6 4\n")
    found = find_inputs("val.info")
    assert found.files == (Path("b.bin"), Path("a.bin"))
    assert [(line.width, line.height) for line in found.info] == [(6, 4), (6, 4)]


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("empty", DataError, "empty holds no .npy, .bin or image files"),
        ("gone", DataError, "input gone is not there"),
        ("a.bin,gone.bin", DataError, "input gone.bin is not there"),
        ("a.bin,empty", UsageError, "names the folder empty in a list; one input takes one folder"),
        (",", UsageError, "gives no file"),
        ("gone.info", DataError, "info file gone.info cannot be read"),
        ("bad.info", DataError, "input gone.bin is not there"),
    ],
)
def test_what_is_not_there_is_named(
    source: str, kind: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "a.bin")
    (tmp_path / "bad.info").write_text("0 gone.bin 6 4\n")
    with pytest.raises(kind, match=words):
        find_inputs(source)


def test_two_inputs_with_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    touch(tmp_path, "a/x.1.bin", "a/y.bin", "b/x.bin")
    assert len(find_inputs("a/x.1.bin,a/y.bin").files) == 2
    with pytest.raises(DataError, match=r"outputs of a/x\.1\.bin and b/x\.bin would both be called x; rename"):
        find_inputs("a/x.1.bin,a/y.bin,b/x.bin")


@pytest.mark.parametrize(("images", "batch_size"), [(1, 1), (1, 16), (3, 3), (3, 12)])
def test_a_file_may_hold_several_images(images: int, batch_size: int, tmp_path: Path) -> None:
    numbers = np.random.default_rng(2).integers(0, 256, (images, 4, 6, 3), dtype=np.uint8)
    (tmp_path / "a.bin").write_bytes(numbers.tobytes())
    np.save(tmp_path / "b.npy", numbers)
    paths = [tmp_path / "a.bin", tmp_path / "b.npy"]
    assert [measure_file(path) for path in paths] == [images * IMAGE] * 2, "an .npy counts without its header"
    assert count_images(paths, BYTES, batch_size, "") == images
    for path in paths:
        np.testing.assert_array_equal(read(path, BYTES, images), numbers)


@pytest.mark.parametrize(
    ("spec", "batch_size", "size", "tensor"),
    [
        (BYTES, 1, IMAGE - 1, IMAGE),
        (BYTES, 4, 3 * IMAGE, 4 * IMAGE),
        (BYTES, 4, IMAGE // 2, 4 * IMAGE),
        (BYTES, 1, 4 * IMAGE, IMAGE),
        (BYTES, 1, 0, IMAGE),
        (FLOATS, 16, IMAGE, 16 * 4 * IMAGE),
    ],
)
def test_a_size_that_does_not_fit_is_told_in_the_tools_words(
    spec: TensorSpec, batch_size: int, size: int, tensor: int, tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(size))
    words = f"^arg0 tensorsize: {tensor} filesize: {size} not match: .*a.bin .*bytes an image.; do this$"
    with pytest.raises(DataError, match=words):
        count_images([tmp_path / "a.bin"], spec, batch_size, "do this")


@pytest.mark.parametrize(
    ("spec", "images", "kind"), [(BYTES, 2, "float16"), (BYTES, 4, "float32"), (FLOATS, 2, "float64")]
)
def test_one_image_of_wider_numbers_does_not_pass_for_several(
    spec: TensorSpec, images: int, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(images * IMAGE * np.dtype(spec.dtype).itemsize))
    with pytest.raises(DataError, match=f"a.bin is as large as one image in {kind}, and the engine takes {spec.dtype}"):
        count_images([tmp_path / "a.bin"], spec, 16, "do this")
    np.save(tmp_path / "a.npy", np.zeros((images, *(size or 1 for size in spec.shape[1:])), spec.dtype))
    assert count_images([tmp_path / "a.npy"], spec, 16, "") == images, "an .npy says what it holds"


def test_all_files_are_of_one_size(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(IMAGE))
    (tmp_path / "b.bin").write_bytes(bytes(IMAGE - 3))
    with pytest.raises(DataError, match=rf"b\.bin holds {IMAGE - 3} bytes, \S+a\.bin holds {IMAGE}"):
        count_images([tmp_path / "a.bin", tmp_path / "b.bin"], BYTES, 1, "")


def test_floats_are_read_as_floats(tmp_path: Path) -> None:
    numbers = np.random.default_rng(2).normal(0, 1, (3, 4, 6)).astype(np.float32)
    (tmp_path / "a.bin").write_bytes(numbers.tobytes())
    np.save(tmp_path / "flat.npy", numbers.ravel())
    np.save(tmp_path / "columns.npy", np.asfortranarray(numbers))
    for name in ("a.bin", "flat.npy", "columns.npy"):
        np.testing.assert_array_equal(read(tmp_path / name, FLOATS, 1), numbers[None])


def test_an_array_without_its_last_axis_of_one_fits(tmp_path: Path) -> None:
    yuv = TensorSpec(name="image", dtype="uint8", shape=(None, 6, 4, 1), layout="YUV420SP")
    np.save(tmp_path / "a.npy", np.arange(24, dtype=np.uint8).reshape(6, 4))
    np.testing.assert_array_equal(read(tmp_path / "a.npy", yuv, 1).ravel(), np.arange(24))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4, 6), np.uint8), "holds uint8 3×4×6, the engine takes uint8 4×6×3"),
        (np.zeros((4, 6, 3), np.int8), "holds int8 4×6×3, the engine takes uint8 4×6×3"),
        (np.zeros((2, 4, 6, 3), np.uint8), "changed while it was in use"),
    ],
)
def test_an_array_of_other_axes_or_numbers_is_refused(array: np.ndarray, words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.npy", BYTES, 1)


@pytest.mark.parametrize("size", [IMAGE - 1, IMAGE + 1])
def test_a_file_that_changed_is_noticed(size: int, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match=r"a\.bin changed while it was in use; run again"):
        read(tmp_path / "a.bin", BYTES, 1)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(DataError, match=r"a\.bin cannot be read \(No such file"):
        read(tmp_path / "a.bin", BYTES, 1)


@pytest.mark.parametrize("data", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_what_is_no_npy_file_is_reported(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.npy is no \.npy file that can be read"):
        measure_file(tmp_path / "a.npy")


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"no \.npy file that can be read"):
        measure_file(tmp_path / "a.npy")
