import os
from pathlib import Path

import pytest

from seatrial.data.bins.info_file import InfoLine, is_info, read_info, write_info
from seatrial.errors import DataError


def test_bins_are_listed_sorted_with_the_size_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prep_bin").mkdir()
    for number in (2, 10, 1):
        Path(f"prep_bin/ILSVRC2012_val_{number:08d}.bin").touch()
    Path("prep_bin/bins.json").touch()
    write_info("./prep_bin", Path("prep_bin.info"), 224, 224)
    assert Path("prep_bin.info").read_bytes() == (
        b"0 ./prep_bin/ILSVRC2012_val_00000001.bin 224 224\n"
        b"1 ./prep_bin/ILSVRC2012_val_00000002.bin 224 224\n"
        b"2 ./prep_bin/ILSVRC2012_val_00000010.bin 224 224\n"
    )


def test_what_is_written_reads_back_with_spaces_in_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    folder.mkdir()
    (folder / "a b.bin").touch()
    write_info(folder, tmp_path / "x.info", 256, 224)
    assert read_info(tmp_path / "x.info") == (InfoLine(f"{folder}/a b.bin", 256, 224),)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.bin files"):
        write_info(tmp_path, tmp_path / "x.info", 224, 224)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        write_info(tmp_path / "none", tmp_path / "x.info", 224, 224)


def test_a_line_break_in_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\n1 b.bin")).touch()
    with pytest.raises(DataError, match="line break"):
        write_info(tmp_path, tmp_path / "x.info", 1, 1)


@pytest.mark.parametrize(
    "line", ["0 a.bin 224", "x a.bin 224 224", "0 a.bin 224 -1", "a.bin", "0  224 224", "0 a.bin ² 2"]
)
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.info").write_text(f"0 a.bin 1 1\n{line}\n")
    with pytest.raises(DataError, match=r"x\.info:2: .* is not `INDEX PATH WIDTH HEIGHT`"):
        read_info(tmp_path / "x.info")


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.info").write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        read_info(tmp_path / "x.info")
    with pytest.raises(DataError, match="cannot be read"):
        read_info(tmp_path / "y.info")


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (b"0 ./bins/a b.bin 224 224\n", True),
        (b"12 x.bin 1 2", True),
        (b"", False),
        (b"a.bin 224 224\n", False),
        (b"0 a.bin 224\n", False),
        (bytes(range(256)) * 40, False),
    ],
)
def test_an_info_file_is_known_by_its_first_line(tmp_path: Path, content: bytes, is_one: bool) -> None:
    path = tmp_path / "list"
    path.write_bytes(content)
    assert is_info(path) is is_one
    assert not is_info(tmp_path) and not is_info(tmp_path / "absent")
