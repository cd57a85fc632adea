"""JSON and TOML of others: no number and no nesting reaches what cannot bear it, and the place is named."""

import json
import tomllib
from typing import Any

import pytest

from seatrial.foreign.parse import DEEPEST, Unparsable, is_number, parse_json, parse_toml

BIG = "9" * 5000
"""More digits than Python makes a number of."""

NOT_JSON = {
    f'{{\n"a": {BIG}}}': "line 2: a number of 5000 characters does not fit into 64 bits",
    f'{{\n"a": -{2**64}}}': "line 2: a number of 21 characters does not fit into 64 bits",
    '{"a":\n1e999}': "line 2: the number 1e999 is too large",
    '{"a":\n\nNaN}': "line 3: NaN is no number of JSON",
    "{\n": "line 2: Expecting property name enclosed in double quotes",
    "[" * 100_000: "line 1: nested deeper than 100 levels",
    "[\n" + '{"a":' * 900 + "1" + "}" * 900 + "]": "line 2: nested deeper than 100 levels",
    b'"\xff"': "byte 2 is no UTF-8",
}


@pytest.mark.parametrize("text", NOT_JSON, ids=lambda text: str(text[:10]))
def test_json_that_is_refused_says_where(text: str | bytes) -> None:
    with pytest.raises(Unparsable) as raised:
        parse_json(text)
    assert str(raised.value).startswith(NOT_JSON[text])  # type: ignore[index]


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, -3, None, True, "x"]},
        2**64 - 1,
        [10**19 - 1, -(10**18)],
        1e300,
        "[" * 500,
        ['"' + "{" * 300, "\\", "[[[[" * 50],
        [[[]] * 500] * 2,
    ],
    ids=repr,
)
def test_json_that_is_sound_is_what_the_standard_library_reads(value: Any) -> None:
    text = json.dumps(value)
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)


def test_the_limit_of_nesting_is_exact() -> None:
    assert parse_json("[" * DEEPEST + "]" * DEEPEST) is not None
    with pytest.raises(Unparsable, match="nested"):
        parse_json("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))


def test_figures_of_other_tools_may_be_no_numbers() -> None:
    assert parse_json("[Infinity]", finite=False) == [float("inf")]


NOT_TOML = {
    f"a = 1\nb = {BIG}": "line 2: a number of 5000 digits",
    f"[a]\nb = [1, {2**63}]": "the number at 'a.b.1' does not fit into 64 bits",
    f"a = 0x{'f' * 5000}": "the number at 'a' does not fit into 64 bits",
    "a = 1\nb = " + "[" * 2000 + "]" * 2000: "line 2: nested deeper than 100 levels",
    "a" + ".a" * 200 + " = 1": "'a' is nested deeper than 100 levels",
    "a = 1\nb = 2 3": "Expected newline or end of document after a statement (at line 2, column 7)",
    "a = 2000-13-01": "Expected newline or end of document after a statement (at line 1",
}


@pytest.mark.parametrize("text", NOT_TOML, ids=lambda text: text[:10])
def test_toml_that_is_refused_says_where(text: str) -> None:
    with pytest.raises(Unparsable) as raised:
        parse_toml(text)
    assert str(raised.value).startswith(NOT_TOML[text])


def test_toml_that_is_sound_is_what_the_standard_library_reads() -> None:
    text = f'a = [1, [2.5, {2**63 - 1}]]\n[b.c]\nd = "{BIG}"\n[[e]]\nf = 2020-01-01'
    assert parse_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("word", ["", "-1", "1.0", "٣", "²", "1_000", "9" * 19])
def test_a_word_that_is_no_number_a_file_can_mean(word: str) -> None:
    assert not is_number(word)


def test_a_word_that_is_a_number() -> None:
    assert all(map(is_number, ["0", "007", "9" * 18]))
