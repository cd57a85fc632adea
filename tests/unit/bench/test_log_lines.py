from pathlib import Path

import pytest

from golden_logs import HINTS, LOGS
from seatrial.bench.vendor_logs import log as log_module
from seatrial.bench.vendor_logs import read_log
from seatrial.bench.vendor_logs.log import LogText, load_log
from seatrial.bench.vendor_logs.reading import LogHints
from seatrial.errors import RefusedFile, SeatrialError, UsageError


def make_log(folder: Path, content: str | bytes) -> LogText:
    path = folder / "some.log"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_log(path)


def test_a_template_finds_numbers_and_words(tmp_path: Path) -> None:
    log = make_log(tmp_path, "start\nRate:   12.5e1 qps\nRate: 7 qps of GPU 0\n")
    found = log.need("Rate: {n} qps")
    assert (found.line, found.figure()) == (2, 125.0)
    words = log.need("Rate: {n} qps of {w}")
    assert (words.line, words.words) == (3, ("7", "GPU 0"))
    assert [one.line for one in log.find_all("Rate: {n} qps", "Rate: {n} qps of {w}")] == [2, 3]


def test_what_comes_near_is_named(tmp_path: Path) -> None:
    log = make_log(tmp_path, "start\nRate: nan qps\nend\n")
    with pytest.raises(RefusedFile, match=r"some.log line 2 is 'Rate: nan qps', not 'Rate: NUMBER qps'"):
        log.need("Rate: {n} qps")
    with pytest.raises(RefusedFile, match=r"has no line 'Time: NUMBER s' up to line 3; give the complete log"):
        log.need("Time: {n} s")


def test_a_unit_that_is_another_is_named(tmp_path: Path) -> None:
    log = make_log(tmp_path, "NPU_compute_time (MB): mean = 1\n")
    with pytest.raises(RefusedFile, match=r"line 1 is 'NPU_compute_time \(MB\): mean = 1'"):
        log.need("NPU_compute_time (ms): mean = {n}")


@pytest.mark.parametrize("text", ["a\nRate: 12", "a\nRate: 12.", "a\nRate: 1e", "a\nRate: 12,"])
def test_a_number_at_the_very_end_is_not_trusted(tmp_path: Path, text: str) -> None:
    log = make_log(tmp_path, text)
    with pytest.raises(RefusedFile, match="before line 2, which breaks off in a number"):
        log.need("Rate: {n}")
    assert make_log(tmp_path, text[:7] + " 12\n").need("Rate: {n}").figure() == 12
    assert make_log(tmp_path, "Rate: 12 qps").need("Rate: {n} qps").figure() == 12


def test_line_ends_colours_and_progress_bars_do_not_matter(tmp_path: Path) -> None:
    log = make_log(tmp_path, "\ufeffa\r\n 10%\r 100%\rRate: 5 qps\r\n\x1b[32mTime: 6 s\x1b[0m\r\n")
    assert log.need("Rate: {n} qps").line == 2
    assert log.need("Time: {n} s").line == 3


def test_parts_keep_their_line_numbers(tmp_path: Path) -> None:
    log = make_log(tmp_path, "zero\nrun a\nx: 1\nrun b\nx: 2\nend\n")
    assert [part.need("x: {n}").line for part in log.split("^run ")] == [3, 5]
    assert [len(part.lines) for part in log.split_after(log.find_all("x: {n}"))] == [3, 2]
    assert log.after(3).need("x: {n}").figure() == 2 and log.upto(3).find("end") is None
    assert log.without("^r").split("^un ")[0].lines[-1].text == "x: 1"
    assert (log.locate("run b"), log.locate("run ", 1), log.locate("nowhere")) == (4, 4, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"a\x00b", "is binary"),
        (b"a\nb\xe9c\n", "line 2 is not UTF-8"),
        ("a\n".encode("utf-16"), "is UTF-16"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(RefusedFile, match=words):
        make_log(tmp_path, content)


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "LARGEST_BYTES", 10)
    assert make_log(tmp_path, "a" * 10).file.size_bytes == 10
    with pytest.raises(RefusedFile, match="more than 10 bytes"):
        make_log(tmp_path, "a" * 11)


def test_a_file_must_be_there_and_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no"):
        load_log(tmp_path / "none.log")
    with pytest.raises(UsageError, match="cannot be read"):
        load_log(tmp_path)


def test_json_that_is_none_names_its_line(tmp_path: Path) -> None:
    log = make_log(tmp_path, '{\n "a": 1,\n')
    with pytest.raises(RefusedFile, match="line 3 is no JSON"):
        log.parse_json(log.text)
    with pytest.raises(RefusedFile, match="nested deeper than 100 levels"):
        log.parse_json("[" * 100_000)


STAMPS = {
    "ISO": "2026-01-01T12:03:11.123Z ",
    "GitHub, as it is downloaded": "bench\tRun trtexec\t2026-01-01T12:03:11.1234567Z ",
    "GitLab": "2026-01-01T12:03:11.123456Z 01O ",
    "docker logs --timestamps": "2026-01-01T12:03:11.123456789Z ",
    "docker compose logs --timestamps": "bench-1  | 2026-01-01T12:03:11.123456789Z ",
    "Jenkins": "[2026-01-01T12:03:11.123Z] ",
    "a time alone": "[12:03:11] ",
    "a plain time": "12:03:11.123  ",
    "Python's logging": "2026-01-01 12:03:11,123 ",
    "with an offset": "2026-01-01T12:03:11+0200 ",
    "ts": "Jan  1 12:03:11 ",
    "journalctl": "Jan 01 12:03:11 host trtexec[123]: ",
}


@pytest.mark.parametrize("stamp", STAMPS.values(), ids=STAMPS)
def test_what_ci_puts_in_front_of_each_line_does_not_matter(stamp: str, tmp_path: Path) -> None:
    def read(path: Path) -> str:
        try:
            found = str(read_log(path, "auto", HINTS.get(path.name, LogHints()))[2])
        except SeatrialError as error:
            found = str(error)
        return found.replace(str(path.parent), "")

    logs = [path for path in LOGS.iterdir() if path.name != "README.md"]
    assert len(logs) > 20
    for path in logs:
        lines = path.read_text(encoding="utf-8").split("\n")
        stamped = [f"{stamp}{line}" for line in lines[:-1]] + lines[-1:]
        (tmp_path / path.name).write_text("\n".join(stamped), encoding="utf-8")
        assert read(tmp_path / path.name) == read(path), path.name


def test_a_few_times_are_the_tools_own(tmp_path: Path) -> None:
    log = make_log(tmp_path, "12:03:11 start\nRate: 7 qps\nTime: 1 s\n")
    assert [line.text for line in log.lines] == ["12:03:11 start", "Rate: 7 qps", "Time: 1 s"]
