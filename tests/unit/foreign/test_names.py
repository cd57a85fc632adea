"""Names that are no UTF-8: each has a form of its own that can be stored, and gets its bytes back."""

import json
import os
import random

import pytest

from seatrial.foreign.names import change_texts, is_storable, restore_name, store_name

NAMES = [
    b"plain.jpg",
    "日本.jpg".encode(),
    b"im\xe9ge.jpg",
    b"\xff\xfe\x80",
    b"kaf\xc3\xa9\xe9",
    "\uefe9".encode(),
    "\uefe9".encode() + b"\xe9",
    b"\xe9" + "\uefbe".encode(),
    b"\xee\xbf",
    b"\xed\xa0\x80",
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_gets_its_bytes_back(name: bytes) -> None:
    stored = store_name(os.fsdecode(name))
    assert os.fsencode(restore_name(stored)) == name
    assert is_storable(os.fsdecode(name)) is (stored == os.fsdecode(name))
    json.dumps(stored, ensure_ascii=False).encode()


def test_no_two_names_are_stored_alike() -> None:
    rng = random.Random(3)
    alphabet = [*NAMES, b"a", b"\xc3", b"\xa9", b"\xee", b"\xbe", b"\x80"]
    names = {b"".join(rng.choices(alphabet, k=rng.randint(1, 4))) for _ in range(5000)}
    stored = {store_name(os.fsdecode(name)): name for name in names}
    assert len(stored) == len(names)
    assert all(os.fsencode(restore_name(text)) == name for text, name in stored.items())


def test_what_utf_8_has_stays_as_it_is() -> None:
    text = "−×… 漢字 \U0001f600 \ue000 \uef7f \uf000"
    assert store_name(text) == text == restore_name(text)
    assert is_storable(text)


def test_a_surrogate_that_is_no_byte_is_no_name() -> None:
    assert store_name("a\ud800b") == "a\ufffdb"


def test_every_text_of_a_value_is_changed() -> None:
    value = {"a\udce9": ["\udce9", 1, None, {"b": ("\udce9",)}]}
    assert change_texts(value, store_name) == {"a\uefe9": ["\uefe9", 1, None, {"b": ["\uefe9"]}]}
    assert change_texts(change_texts(value, store_name), restore_name) == {
        "a\udce9": ["\udce9", 1, None, {"b": ["\udce9"]}]
    }
