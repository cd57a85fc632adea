import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress as Bars
from rich.progress import TaskID

from seatrial.cli.output.progress import print_error, print_json, print_lines, print_table, show_progress
from seatrial.cli.output.receivers import PlainLines, write_facts
from seatrial.progress import Update


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def play(
    capsys: pytest.CaptureFixture[str], *script: tuple[float, Update | tuple[str, int, int]], total: int = 100
) -> list[str]:
    """Lines shown for updates at given seconds; (stage, done) pairs count to `total`."""
    clock = Clock()
    show = PlainLines(clock)
    for second, update in script:
        clock.now = 1000 + second
        show(update if isinstance(update, Update) else Update(update[0], update[1], update[2], "images"))
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.splitlines()


def test_a_note_is_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(capsys, (0, Update("export", note="differs by 1e-7"))) == ["    export  differs by 1e-7"]


def test_counted_work_is_shown_every_ten_seconds_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    # Ten images a second after the first one: each second counts.
    script = [(float(second), ("evaluate", 10 + 10 * second, 310)) for second in range(31)]
    assert play(capsys, *script) == [
        "  evaluate  110/310 images, 10 images/s, 20 s left",
        "  evaluate  210/310 images, 10 images/s, 10 s left",
        "  evaluate  310/310 images, 10 images/s, 0 s left",
    ]


def test_a_note_of_the_stage_puts_the_count_off(capsys: pytest.CaptureFixture[str]) -> None:
    note = Update("train", note="epoch 1/2, step 5/10")
    lines = play(capsys, (0, ("train", 1, 9)), (8, note), (12, ("train", 2, 9)), (19, ("train", 4, 9)))
    assert lines == ["     train  epoch 1/2, step 5/10", "     train  4/9 images, 6 s each, 32 s left"]


def test_facts_stand_behind_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"loss": "1.27", "images/s": "75"}
    lines = play(capsys, (0, ("train", 1, 5)), (12, Update("train", 3, 5, "steps", facts)))
    assert lines == ["     train  3/5 steps, loss 1.27, images/s 75, 12 s left"]


def test_quick_stages_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(capsys, (0, ("a", 1, 2)), (9, ("a", 2, 2)), (12, ("b", 1, 2)), (21, ("b", 2, 2))) == []


def test_another_engine_in_the_same_stage_starts_anew(capsys: pytest.CaptureFixture[str]) -> None:
    script = [
        (0, ("evaluate", 16, 160)),
        (90, ("evaluate", 160, 160)),
        (91, ("evaluate", 16, 160)),
        (101, ("evaluate", 96, 160)),
    ]
    assert play(capsys, *script) == [
        "  evaluate  160/160 images, 1.6 images/s, 0 s left",
        "  evaluate  96/160 images, 8.0 images/s, 8 s left",
    ]


def test_work_that_stands_still_has_no_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    lines = play(capsys, (0, ("bench", 0, 4)), (10, ("bench", 0, 4)))
    assert lines == ["     bench  0/4 images"]


def test_what_goes_on_without_news_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    show = PlainLines(clock)

    def pass_time(seconds: int) -> list[str]:
        for _ in range(seconds):
            clock.now += 1
            show.tick()
        return capsys.readouterr().err.splitlines()

    show(Update("compile", doing="openvino"))
    assert pass_time(29) == ["   compile  openvino: 10 s so far", "   compile  openvino: 20 s so far"]
    show(Update("compile", note="openvino: 16 layers"))
    show(Update("bench", 1, 4, "points", {"batch": "8"}))
    assert pass_time(10) == ["   compile  openvino: 16 layers", "     bench  1/4 points, batch 8: 10 s so far"]
    show(Update("bench", 4, 4, "points"))
    assert pass_time(30) == [], "what is done does not go on"


@pytest.mark.parametrize(
    ("unit", "rate", "written"),
    [
        ("images", 1234.5, "1,234 images/s"),
        ("files hashed", 3.14, "3.1 files/s"),
        ("points", 0.04, "25 s each"),
        ("bytes", 12_340_000, "12.3 MB/s"),
    ],
)
def test_rates(unit: str, rate: float, written: str) -> None:
    assert write_facts(Update("stage", 1, 2, unit), rate) == [written]
    assert write_facts(Update("stage", 1, 2, unit, {"images/s": "5"}), rate) == ["images/s 5"]


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_printed_during_the_work_is_no_result(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with show_progress():
        sys.stdout.write("hello\n")
    sys.stdout.write("result\n")
    shown = capsys.readouterr()
    assert shown.out == "result\n" and "hello" in shown.err


def test_bars_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    started: list[str] = []
    reset = Bars.reset

    def count(bars: Bars, task: TaskID, **settings: Any) -> None:
        started.append(settings["description"])
        reset(bars, task, **settings)

    monkeypatch.setattr(Bars, "reset", count)
    with show_progress() as show:
        assert isinstance(show, PlainLines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with show_progress() as show:
        assert not isinstance(show, PlainLines)
        show(Update("evaluate", 16, 32, "images", {"images/s": "75"}))
        show(Update("evaluate", 32, 32, "images"))
        assert started == ["evaluate"]
        show(Update("evaluate", note="[not] markup"))
        show(Update("evaluate", 16, 32, "images"))
        show(Update("bench", 0, 8, "points"))
    assert started == ["evaluate", "evaluate", "bench"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "  evaluate  [not] markup" in shown.err


def test_results_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["engine", "images/s"], [["torch", "7.5"], ["openvino", "120.0"]])
    assert capsys.readouterr().out == "engine    images/s\ntorch          7.5\nopenvino     120.0\n"
    print_json({"name": "näher", "hits": [1, 2]})
    assert json.loads(capsys.readouterr().out) == {"name": "näher", "hits": [1, 2]}


def test_a_name_on_stdout_begins_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines("a\nPASS: all fine", Path("b\x1b[2J"))
    assert capsys.readouterr().out == "a\\nPASS: all fine\nb\\x1b[2J\n"
    print_error("one\ntwo\x07")
    assert capsys.readouterr().err == "seatrial: one two\\x07\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_json_on_stdout_is_the_same_values_and_shows_no_control_character(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding, write_through=True))
    value = {"a\n\x1b": ["\x9b1m", "\x7f", "\u202e", "\udce9", "− 漢 \U0001f600", "\U000e0001"]}
    print_json(value)
    shown = buffer.getvalue().decode(encoding)
    assert json.loads(shown) == value
    assert "".join(shown.split("\n")).isprintable()
