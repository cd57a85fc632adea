"""Ids of images by what others call them."""

from collections.abc import Collection, Iterable, Mapping, Set
from functools import cached_property

MOST_SUFFIXES = 16
"""Up to so many different ones are tried in turn: a table of a million names takes a second and 150 MB."""


class NameIndex:
    """Ids of images by what a label file may call them: the id, or without its suffix or its folders."""

    def __init__(self, ids: Collection[str]) -> None:
        self._ids = ids if isinstance(ids, Set) else frozenset(ids)

    def __contains__(self, name: str) -> bool:
        return name in self._ids

    def find(self, name: str) -> str | None:
        """The id that is meant; None where there is none, or there are several."""
        if name in self._ids:
            return name
        base = name.replace("\\", "/").rpartition("/")[2] if "/" in name or "\\" in name else name
        if self._has_folders:
            return self._others.get(name) or (base if base in self._ids else self._others.get(base))
        return base if base in self._ids else self._find_longer(base)

    def find_all(self, names: Iterable[str]) -> list[str]:
        """The ids that are meant, or, where `find` has none, the names as they are."""
        ids, find = self._ids, self.find
        if self._has_folders or len(self._suffixes) != 1:
            return [find(name) or name for name in names]
        # Of a million names a call for each takes most of a second.
        (suffix,) = self._suffixes
        bases = ((name, name[name.rfind("/") + 1 :]) for name in names)
        return [b if b in ids else longer if (longer := b + suffix) in ids else find(n) or n for n, b in bases]

    @cached_property
    def _has_folders(self) -> bool:
        return any("/" in image or "\\" in image for image in self._ids)

    def _find_longer(self, stem: str) -> str | None:
        """The only id that is this and a suffix."""
        if len(self._suffixes) > MOST_SUFFIXES:
            return self._others.get(stem)
        found = None
        for suffix in self._suffixes:
            if stem + suffix in self._ids:
                if found is not None:
                    return None
                found = stem + suffix
        return found

    @cached_property
    def _suffixes(self) -> Set[str]:
        return {image[image.rindex(".") :] for image in self._ids if "." in image}

    @cached_property
    def _others(self) -> Mapping[str, str | None]:
        """Ids by what else they may be called; None is what several could be."""
        others: dict[str, str | None] = {}
        for image in self._ids:
            base = image.rpartition("/")[2]
            for other in {base, cut_suffix(image), cut_suffix(base)}:
                if other != image:
                    others[other] = None if other in others else image
        return others


def cut_suffix(name: str) -> str:
    """A name without what follows its last dot."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and "/" not in suffix else name
