"""Files to read: what is no regular file is an error at once, and never waited for."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seatrial.bench.inputs import read_pixels
from seatrial.bench.vendor_logs.log import load_log
from seatrial.cli import run_cli
from seatrial.data.bins.raw_inputs import measure_file
from seatrial.data.names import read_text_lines
from seatrial.data.preprocessing.aipp import load_aipp
from seatrial.data.preprocessing.decode import read_file
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.data.sources import read_unlabelled
from seatrial.errors import DataError, SeatrialError
from seatrial.foreign.files import UnfitFile, is_regular, open_regular, read_bytes, read_text
from seatrial.models.read_file import read_content
from seatrial.recipes import load_recipe
from seatrial.recipes.class_names import read_name_file
from seatrial.recipes.guide_text import check_guide_file
from seatrial.recipes.load import read_card
from seatrial.store.record import Record, read_json
from seatrial.store.summary import SUMMARY, RunSummary
from seatrial.workflow.compare.inputs import detect_kind


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def read_npy(path: Path) -> object:
    return read_pixels(path, make_pipeline(load_recipe("resnet50")))


READERS: dict[str, Callable[[Path], object]] = {
    "card": read_card,
    "AIPP": load_aipp,
    "labels": lambda path: read_text_lines(path, "label file"),
    "image": read_file,
    "images": read_unlabelled,
    "log": load_log,
    "record": read_json,
    "checkpoint": read_content,
    "class names": read_name_file,
    "guide": check_guide_file,
    "record to compare": lambda path: detect_kind([path]),
    "numbers": lambda path: measure_file(path.rename(path.with_suffix(".npy"))),
    "pixels": read_npy,
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_waits_for_a_pipe_that_nobody_writes_to(reader: str, pipe: Path) -> None:
    with pytest.raises(SeatrialError, match="pipe"):
        READERS[reader](pipe)


def test_a_record_that_is_a_pipe_is_none(pipe: Path, tmp_path: Path) -> None:
    assert not Record.stands_at(pipe)
    pipe.rename(tmp_path / SUMMARY)
    assert RunSummary.find(tmp_path) is None


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        yield tmp_path / "socket"


def test_what_is_no_file_says_what_it_is(pipe: Path, listening: Path, tmp_path: Path) -> None:
    with pytest.raises(UnfitFile, match="it is a pipe, and no regular file"):
        open_regular(pipe)
    with pytest.raises(UnfitFile, match="it is a device"):
        open_regular("/dev/null")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(OSError, match="socket"):
        open_regular(listening)


def test_what_cannot_be_there_is_no_regular_file(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    assert not any(map(is_regular, (loop, tmp_path, tmp_path / "none", tmp_path / ("n" * 300), tmp_path / "a\0b")))
    (tmp_path / "link").symlink_to(__file__)
    assert is_regular(tmp_path / "link")


def test_a_pipe_with_a_writer_is_read_once_where_that_is_wanted(pipe: Path) -> None:
    writer = threading.Thread(target=pipe.write_bytes, args=(b"a.jpg 1\n",))
    opened = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # The writer is not kept waiting.
    writer.start()
    writer.join()
    assert read_text_lines(Path(f"/dev/fd/{opened}"), "label file") == ["a.jpg 1"]
    with pytest.raises(DataError, match="nothing comes: one can be read only once"):
        read_text_lines(Path(f"/dev/fd/{opened}"), "label file")
    os.close(opened)


def test_a_file_has_its_bytes_up_to_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\xef\xbb\xbfword")
    assert (read_bytes(file), read_text(file)) == (b"\xef\xbb\xbfword", "word")
    with pytest.raises(UnfitFile, match="more than 6 bytes"):
        read_bytes(file, most=6)


@pytest.mark.parametrize("kind", ["loop", "long"])
@pytest.mark.parametrize(
    "words",
    [
        "report {}",
        "import-log auto {} --output x.json",
        "board {}",
        "data check resnet50 --images {}",
        "compare {} {}",
        "compile {} --engine onnxruntime --output x",
        "bench . --output {}",
    ],
)
def test_a_path_that_no_file_can_have_is_wrong_usage(
    kind: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    assert run_cli(words.replace("{}", {"loop": "loop", "long": "n" * 300}[kind]).split()) == 2
    assert capsys.readouterr().err.endswith("; give another\n")


def test_a_reference_of_300_characters_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("n" * 300, f"{'n' * 300}.toml", f"timm:{'n' * 300}"):
        assert run_cli(["recipes", "show", name]) == 2
        assert capsys.readouterr().err.count("\n") == 1
