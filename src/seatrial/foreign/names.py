r"""Names of files that are no UTF-8, kept in records, where every text is.

The operating system takes any bytes for a name. Python has those that are no UTF-8 as lone surrogates, `\udce9` for the
byte E9, which no JSON, Parquet or TOML may contain. What is stored has U+EFE9 there: a character that no script uses. A
name that has such a character of its own is stored with the bytes of that. So each name has a form of its own, and gets
its bytes back.
"""

import os
import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

_BYTE_BASE = 0xEF00
_SURROGATE_BASE = 0xDC00
_UNSTORABLE = re.compile("[\ud800-\udfff\uef80-\uefff]")
_STORED = re.compile("[\uef80-\uefff]+")
_OTHER = "\ufffd"
"""What a surrogate becomes that stands for no byte: no name of a file has one."""


def store_name(name: str) -> str:
    """A text as it may be stored; `restore_name` gives it back."""
    return _UNSTORABLE.sub(_store, name)


def _store(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code >= _BYTE_BASE:
        return "".join(chr(_BYTE_BASE + byte) for byte in found[0].encode())
    return chr(code - _SURROGATE_BASE + _BYTE_BASE) if 0xDC80 <= code <= 0xDCFF else _OTHER


def restore_name(stored: str) -> str:
    """The text of which `store_name` made this one."""
    return _STORED.sub(_restore, stored)


def _restore(found: re.Match[str]) -> str:
    data = bytes(ord(char) - _BYTE_BASE for char in found[0])
    return os.fsdecode(data)


def is_storable(text: str) -> bool:
    """Whether `store_name` leaves a text as it is."""
    return text.isascii() or _UNSTORABLE.search(text) is None


def change_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A value of JSON with every text and path in it, keys too, changed by `store_name` or `restore_name`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, PurePath):
        return change(str(value))
    if isinstance(value, dict):
        return {change(key): change_texts(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [change_texts(each, change) for each in value]
    return value
