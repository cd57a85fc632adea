"""The line of a key, read off a text by hand."""

import tomllib

import pytest

from seatrial.recipes.toml_lines import find_line

TEXT = """\
# A card.
name = "x"

[network]   # what is built
"classes" = "10"
arguments = { drop = 0.1, deep = { er = 2 } }
text = '''
looks = like a key
'''

[[preprocess]]
step = "resize"
size = [
    32,
    "32",
]
[[preprocess]]
step = "to_float"

[[published]]
images_per_s.4 = 3
[published.derivation]
1 = "1 = 1"
[[published]]
[published.derivation]
2 = "2 = 2"
[modes.bgr]
note = "n"
[[modes.bgr.preprocess]]
step = "x"
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("name",), 2),
        (("network",), 4),
        (("network", "classes"), 5),
        (("network", "arguments", "drop"), 6),
        (("network", "arguments", "deep", "er"), 6),
        (("network", "text"), 7),
        (("network", "looks"), 4),
        (("preprocess", 0, "resize", "size", 1), 13),
        (("preprocess", 1, "to_float", "sizes"), 17),
        (("preprocess", 1, "step"), 18),
        (("published", 0, "images_per_s", "4"), 21),
        (("published", 0, "derivation", "1"), 23),
        (("published", 1, "derivation", "2"), 26),
        (("modes", "bgr", "note"), 28),
        (("modes", "bgr", "preprocess", 0, "step"), 30),
        (("absent",), None),
        ((), None),
    ],
)
def test_the_line_of_a_value(place: tuple[str | int, ...], line: int | None) -> None:
    assert find_line(TEXT, tomllib.loads(TEXT), place) == line


def test_what_is_not_in_the_text_has_no_line() -> None:
    assert find_line(TEXT, {**tomllib.loads(TEXT), "weights": {"file": 3}}, ("weights", "file")) is None
