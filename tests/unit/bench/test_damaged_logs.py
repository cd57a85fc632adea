"""Every sample log, cut off and spoiled in every line: the same figures, fewer runs, or an error in one line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden_logs import HINTS, LOGS, read_golden
from seatrial.bench.vendor_logs import READERS, read_log
from seatrial.bench.vendor_logs.reading import LogHints
from seatrial.errors import RefusedFile, SeatrialError, UsageError
from seatrial.store.imported import ImportedPoint

NAMES = sorted(path.name for path in LOGS.iterdir() if path.suffix != ".md")
NUMBER = re.compile(r"\d+(?:\.\d+)?")


Figures = dict[tuple[object, ...], dict[str, object]]


def tell(point: ImportedPoint) -> tuple[tuple[object, ...], dict[str, object]]:
    """What must not change, and what may be lost but not change either."""
    latency = point.latency.model_dump(exclude={"count"}, exclude_none=True) if point.latency else {}
    return (point.batch_size, point.scope, point.images_per_s, point.chips, latency.get("mean_ms")), latency


def read_text(folder: Path, name: str, text: str) -> Figures:
    """The figures of a text under a sample log's name; none where it is refused."""
    (folder / name).write_text(text, encoding="utf-8")
    try:
        read = read_log(folder / name, "auto", HINTS.get(name, LogHints()))[2]
    except SeatrialError as error:
        assert "\n" not in str(error) and error.exit_code in (2, 7, 8)
        return {}
    return dict(map(tell, read.points))


def cut(text: str) -> Iterator[str]:
    """The text up to every line, with its line break and without, and up to each of its last characters."""
    lines = text.splitlines(keepends=True)
    for end in range(1, len(lines)):
        yield "".join(lines[:end])
        yield "".join(lines[:end]).rstrip("\n")
        yield "".join(lines[:end])[:-2]
    for lost in range(1, 120):
        yield text[:-lost]


def spoil(text: str) -> Iterator[str]:
    """The text with each line left out, doubled, and with its numbers made into 0, nan and 1,000."""
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        for new in ("", line * 2, *(NUMBER.sub(value, line) for value in ("0", "nan", "1,000", "-1"))):
            yield "".join([*lines[:index], new, *lines[index + 1 :]])


@pytest.mark.parametrize("name", NAMES)
def test_a_log_that_is_cut_off_has_no_other_figures(tmp_path: Path, name: str) -> None:
    text = (LOGS / name).read_text(encoding="utf-8")
    whole = read_text(tmp_path, name, text)
    for part in cut(text):
        for key, latency in read_text(tmp_path, name, part).items():
            assert key in whole and all(whole[key][what] == value or not value for what, value in latency.items())


@pytest.mark.parametrize("name", NAMES)
def test_a_spoiled_log_ends_in_no_traceback(tmp_path: Path, name: str) -> None:
    for text in spoil((LOGS / name).read_text(encoding="utf-8")):
        read_text(tmp_path, name, text)


@pytest.mark.parametrize("name", [name for name in NAMES if "failed" not in name])
def test_every_log_is_recognised_as_one_tools(name: str) -> None:
    path, hints = LOGS / name, HINTS.get(name, LogHints())
    tool, _, read = read_log(path, "auto", hints)
    assert read_log(path, tool, hints)[2] == read == read_golden(name)
    for other in set(READERS) - {tool}:
        with pytest.raises(UsageError, match=f"is a log of {tool}, not of {other}; use `seatrial import-log {tool}`"):
            read_log(path, other, hints)


def test_what_no_tool_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("12 images/s, I think\n")
    with pytest.raises(RefusedFile, match="has no line of any supported tool; supported: trtexec, ais_bench"):
        read_log(tmp_path / "notes.txt", "auto", LogHints())
    with pytest.raises(RefusedFile, match="has no line of mlperf"):
        read_log(tmp_path / "notes.txt", "mlperf", LogHints())
    with pytest.raises(UsageError, match="there is no reader for 'trtexe'; did you mean 'trtexec'"):
        read_log(tmp_path / "notes.txt", "trtexe", LogHints())


def test_a_log_of_two_tools_has_to_be_named(tmp_path: Path) -> None:
    both = "".join((LOGS / name).read_text() for name in ("benchmark_app-2022.3.log", "trtexec-8.6.log"))
    (tmp_path / "both.log").write_text(both)
    with pytest.raises(UsageError, match="may be a log of trtexec or benchmark_app; name the tool"):
        read_log(tmp_path / "both.log", "auto", LogHints())
    assert read_log(tmp_path / "both.log", "trtexec", LogHints())[2].points[0].images_per_s == 1920


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", ["1e999", "9" * 5000])
def test_endless_figures_end_in_no_traceback(tmp_path: Path, name: str, number: str) -> None:
    lines = (LOGS / name).read_text(encoding="utf-8").splitlines(keepends=True)
    for index, line in enumerate(lines):
        read_text(tmp_path, name, "".join([*lines[:index], NUMBER.sub(number, line), *lines[index + 1 :]]))
