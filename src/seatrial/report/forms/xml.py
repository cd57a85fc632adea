"""Text in XML 1.0."""

import re
from xml.sax.saxutils import quoteattr

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 has no place for, not even as references."""


def quote(text: str) -> str:
    """An attribute's value with its quotes, without what XML forbids."""
    return quoteattr(_FORBIDDEN.sub("", text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def write_text(text: str) -> str:
    """Text between tags, without what XML forbids."""
    plain = _FORBIDDEN.sub("", text)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
