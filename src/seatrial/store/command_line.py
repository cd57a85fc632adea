"""The `seatrial` command line that gives a result again, from the values it was made with."""

import os
import re
import shlex
from collections.abc import Iterable

from seatrial.errors import UsageError


def join_words(words: Iterable[str]) -> str:
    r"""A command line that a shell takes apart into these words, without control characters: `$'a\nb'`."""
    return " ".join(shlex.quote(word) if word.isprintable() else _quote_bytes(word) for word in words)


def _quote_bytes(word: str) -> str:
    """A word in bash's form for any bytes, those of ASCII letters and the like as they are."""
    plain = (
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'" else f"\\x{byte:02x}" for byte in os.fsencode(word)
    )
    return f"$'{''.join(plain)}'"


_UNITS = {"h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def write_words(verb: str, *arguments: object, **options: object) -> list[str]:
    """`seatrial VERB ARGUMENT… --option value…`, as words.

    Args:
        options: None and False are left out, True has no value, a tuple becomes `1,4,8`, and a list repeats its option.
    """
    words = ["seatrial", verb, *map(str, arguments)]
    for name, value in options.items():
        if isinstance(value, bool):
            words += [f"--{name.replace('_', '-')}"] if value else []
            continue
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            text = ",".join(map(str, one)) if isinstance(one, tuple) else f"{one:g}" if isinstance(one, float) else one
            words += [f"--{name.replace('_', '-')}", str(text)]
    return words


def read_duration(text: str) -> float:
    """Seconds from `90s`, `10m` or `1h30m`.

    Raises:
        UsageError: it is no such text, or nothing.
    """
    found = _DURATION.fullmatch(text.strip())
    parts = () if found is None else found.groups()
    seconds = sum(float(part) * unit for part, unit in zip(parts, _UNITS.values(), strict=False) if part)
    if not seconds:
        raise UsageError(f"'{text}' is no duration", "write it like 90s, 10m or 1h30m")
    return seconds


def write_duration_option(seconds: float) -> str:
    """A duration as `read_duration` reads it."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{count:g}{unit}" for count, unit in zip((hours, minutes, left), _UNITS, strict=True) if count]
    return "".join(parts) or "0s"
