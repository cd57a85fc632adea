import os
import subprocess
from pathlib import Path

import pytest

from seatrial.errors import UsageError
from seatrial.store.command_line import join_words, read_duration, write_duration_option, write_words


def test_options_are_written_as_their_values_are() -> None:
    words = write_words(
        "run", Path("a card.toml"), batch_size=(1, 4), duration=10.0, labels=None, option=["a=1", "b=2"]
    )
    assert words == [
        *("seatrial", "run", "a card.toml", "--batch-size", "1,4", "--duration", "10", "--option", "a=1"),
        *("--option", "b=2"),
    ]


def test_a_zero_is_a_value() -> None:
    assert write_words("infer", "engine", warmup=0)[3:] == ["--warmup", "0"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2h", 7200), ("1.5m", 90), ("1h1m1.5s", 3661.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds
    assert read_duration(write_duration_option(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "10x", "-5m", "5m1h", "0s", "1e3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}' is no duration; write it like 90s, 10m or 1h30m"):
        read_duration(text)


@pytest.mark.parametrize("word", ["plain", "it's", "a\nPASS: all fine", "\x1b[2J", "im\udce9ge", "\u202e'\\\\", "漢\n"])
def test_a_shell_takes_a_line_apart_into_its_words(word: str) -> None:
    line = join_words(["seatrial", word])
    assert line.isprintable()
    out = subprocess.run(["bash", "-c", f'f() {{ printf %s "$2"; }}; f {line}'], capture_output=True, check=True)
    assert out.stdout == os.fsencode(word)
