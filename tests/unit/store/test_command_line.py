from pathlib import Path

from seatrial.store.command_line import write_words


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
