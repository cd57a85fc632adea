"""What a page of ours shows, without its markup."""

import html
import re


def find_text(page: str) -> str:
    """The words between the tags, on one line."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())
