"""Text in XML 1.0."""

import re
from xml.sax.saxutils import quoteattr

from seatrial.printable import make_printable

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no place for, not even as references."""


def quote(text: str) -> str:
    """An attribute's value with its quotes, what is no visible character as an escape."""
    return quoteattr(_FORBIDDEN.sub("", make_printable(text)))


def write_text(text: str) -> str:
    """Text between tags, what is no visible character as an escape."""
    plain = _FORBIDDEN.sub("", make_printable(text))
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
