"""What an installed library says of its models, kept under the library's version, as importing it takes seconds."""

import json
import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from seatrial.extras import explain_missing
from seatrial.machine.environment import find_version
from seatrial.models.sources.card import Draft
from seatrial.store.descriptions import describe_place, keep_cached, read_cached

Descriptions = dict[str, dict[str, Any]]
"""By the name of a model, its description in JSON."""

_HASHED = re.compile(r"-([0-9a-f]{8,})\.(?:pth|pt|pth\.tar|safetensors)$")


def find_stated_hash(url: str) -> str | None:
    """The first digits of its sha256 that the name of a library's file states (torch.hub's rule)."""
    stated = _HASHED.search(url)
    return None if stated is None else stated[1]


def put_weights(draft: Draft, url: str, here: str) -> None:
    """The file that a library publishes at an address, with the hash that its name states unless that may be a date."""
    draft.put("weights.file", urlsplit(url).path.rpartition("/")[2], f"{here}: url")
    draft.put("weights.url", url)
    stated = find_stated_hash(url)
    if stated and not stated.isdigit():
        draft.put("weights.sha256_prefix", stated, "the digits in its name (torch.hub's rule)")


def read_version(library: str) -> str:
    """The version of an installed library.

    Raises:
        EngineError: it is not installed; names the extra that brings it.
    """
    found = find_version(library)
    if found is None:
        raise explain_missing(library, "describes this model")
    return found


def _drop_nan(value: Any) -> Any:
    """A value with null for each number that is none, which JSON does not have, and so what reads it refuses."""
    if isinstance(value, dict):
        return {key: _drop_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_drop_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_descriptions(library: str, describe: Callable[[], Descriptions]) -> Descriptions:
    """What `describe` says of the installed `library`, or said before.

    Raises:
        EngineError: the library is not installed.
    """
    path = describe_place(library, read_version(library))
    stored: Descriptions | None = read_cached(path)
    if stored is not None:
        return stored
    text = json.dumps(_drop_nan(describe()), allow_nan=False)
    keep_cached(path, text)
    loaded: Descriptions = json.loads(text)
    return loaded
