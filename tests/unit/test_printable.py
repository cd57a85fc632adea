import pytest

from seatrial.printable import LONGEST_NAME, make_name, make_printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tabby, tabby cat", "tabby, tabby cat"),
        ("猫 кошка قطة 🐈", "猫 кошка قطة 🐈"),
        ("e\u0301", "e\u0301"),
        ("می\u200cخواهم 👨\u200d👩", "می\u200cخواهم 👨\u200d👩"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202ecat\u2066", r"\u202ecat\u2066"),
        ("a\u00a0b\u3000c", "a b c"),
        ("line\u2028end\x85", r"line\u2028end\x85"),
        ("\ufeffname\u200b", r"\ufeffname\u200b"),
        ("bad \udcff byte", r"bad \udcff byte"),
    ],
)
def test_what_is_no_visible_character_is_written_as_an_escape(text: str, shown: str) -> None:
    assert make_printable(text) == shown
    shown.encode()
    assert make_printable(shown) == shown


def test_our_own_line_ends_may_stay() -> None:
    assert make_printable("one\n\x1btwo", keep="\n") == "one\n\\x1btwo"


def test_a_name_is_one_short_line() -> None:
    assert make_name("  Egyptian   cat ") == "Egyptian cat"
    assert make_name("cat\n") == "cat"
    assert make_name("a\nb") == r"a\nb"
    long = make_name("x" * 5000)
    assert len(long) == LONGEST_NAME and long.endswith("x…")
    assert make_name("y" * LONGEST_NAME) == "y" * LONGEST_NAME
