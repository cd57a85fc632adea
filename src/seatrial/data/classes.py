"""A network's classes: how many there are, what its card calls them, and how labels and class folders number them."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seatrial.data.images import LabelledImage
from seatrial.data.names import count_names, index_unique
from seatrial.errors import DataError
from seatrial.foreign.parse import is_number
from seatrial.recipes import Recipe
from seatrial.recipes.class_names import is_imagenet, load_imagenet, read_names, show_class

OTHER_CLASSES = "give the recipe of these classes, or the folder that holds all of them"
NAME_CLASSES = 'write `names = "imagenet-1k"` under `[labels]` of the card: its classes are then known by WordNet id'
WNID = re.compile(r"n[0-9]{8}")
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Classes:
    """What is known of a network's classes."""

    count: int
    offset: int = 0
    """Added to a number of a label file, or of a folder that is called by one."""
    recipe: Recipe | None = None
    """Where names come from."""
    bounded: bool = True
    """Whether a label beyond the last class is an error."""

    @classmethod
    def of(cls, source: "Recipe | Classes | int") -> "Classes":
        """Of a recipe; or so many without a name."""
        if isinstance(source, Classes):
            return source
        if isinstance(source, int):
            return cls(source)
        return cls(source.network.classes, source.labels.offset, source)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """In the order of the classes; none where the card has none."""
        return () if self.recipe is None else read_names(self.recipe) or ()

    @cached_property
    def _places(self) -> Mapping[str, tuple[int, ...]]:
        """Classes by what they are called: published sets have names of several, such as ImageNet's cranes."""
        wnids = load_imagenet()[0] if is_imagenet(self.names) else ()
        places: dict[str, tuple[int, ...]] = {wnid: (place,) for place, wnid in enumerate(wnids)}
        for place, name in enumerate(map(_simplify, self.names)):
            places[name] = (*places.get(name, ()), place)
        return places

    def find(self, name: str) -> int | None:
        """The class of a name or WordNet id; case does not count, `_` is a blank, a name of two classes is none's."""
        places = self._places.get(_simplify(name), ())
        return places[0] if len(places) == 1 else None

    def is_shared(self, name: str) -> bool:
        """Whether several classes are called so."""
        return len(self._places.get(_simplify(name), ())) > 1

    def refuse(self, where: str, name: str, fix: str) -> DataError:
        """The error for a name that identifies no class of the card; `fix` where none has it."""
        if not self.is_shared(name):
            return DataError(f"{where}'{name}' is none of the card's classes", fix)
        *others, last = self._places[_simplify(name)]
        return DataError(
            f"{where}'{name}' is the name of the classes {', '.join(map(str, others))} and {last}",
            "give each a name of its own in labels.names of the card, or label by numbers",
        )

    def show(self, place: int) -> str:
        """A class in words, with its name where there is one: `class 281 tabby`."""
        return f"class {show_class(self.names, place)}"

    def read(self, labels: Collection[str]) -> dict[str, dict[str, int]]:
        """Classes of different labels by what the labels are; nothing if they are neither numbers, names nor WNIDs."""
        readings: dict[str, dict[str, int]] = {}
        if all(is_number(label) for label in labels):
            readings["as a number"] = {label: int(label) + self.offset for label in labels}
        found = {label: place for label in labels if (place := self.find(label)) is not None}
        if found and len(found) == len(labels):
            readings["by the card's names"] = found
        elif len(labels) == self.count and all(WNID.fullmatch(label) for label in labels):
            readings["by the order of WordNet ids"] = {wnid: place for place, wnid in enumerate(sorted(labels))}
        return readings


UNKNOWN = Classes(sys.maxsize, bounded=False)
"""Of a network that nothing is known of."""


def _simplify(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def number_folders(folders: Sequence[str], classes: Classes, root: Path | str, notify: Notify) -> dict[str, int]:
    """Classes by the names of class folders: by the card's names or WordNet ids, by number, else in the order of text.

    Args:
        notify: gets a line where that is not the order of text, or some classes have no folder.

    Raises:
        DataError: some folders are none of the card's classes, two are one, or there are more or fewer than classes.
    """
    known = {folder: place for folder in folders if (place := classes.find(folder)) is not None}
    unknown = [folder for folder in folders if folder not in known]
    shared = next(filter(classes.is_shared, unknown), None)
    if shared is not None:
        raise classes.refuse(f"{root}: ", shared, "rename it")
    if known and unknown:
        shown = count_names("class folders are none of the card's classes", unknown)
        raise DataError(f"{root}: {shown}, the other {len(known)} are", "rename or remove them")
    if known:
        _check_apart(known, root)
        if len(known) < classes.count:
            notify(f"{root} has {len(known):,} of the network's {classes.count:,} classes, known by the card's names")
        elif _differs(known):
            notify(f"the class folders of {root} are in the order of the card's names, not of text")
        return known
    if len(folders) != classes.count:
        wnids = set(load_imagenet()[0])
        subset = classes.count == len(wnids) and wnids.issuperset(folders)
        shown = f"{root} has {count_names('class folders', sorted(folders))}, the network {classes.count} classes"
        fix = NAME_CLASSES if subset else OTHER_CLASSES
        raise DataError(shown + _describe_misfit(folders, classes), fix)
    if all(map(is_number, folders)):
        return _number_by_number(folders, classes, root, notify)
    if classes.names:
        notify(
            f"none of the class folders of {root} has the name of one of the card's classes, so they are taken in the "
            f"order of text: '{min(folders)}' is {classes.show(0)}"
        )
    return {folder: place for place, folder in enumerate(sorted(folders))}


def _describe_misfit(folders: Sequence[str], classes: Classes) -> str:
    """Which of some folders there is no class for, or which classes no folder, as far as their names say it."""
    if all(map(is_number, folders)):
        numbers = {folder: int(folder) + classes.offset for folder in sorted(folders, key=int)}
        beyond = [folder for folder, number in numbers.items() if not 0 <= number < classes.count]
        lacking = sorted(set(range(classes.count)) - set(numbers.values()))
        missing = [str(number - classes.offset) for number in lacking]
        counted = (("are no class", beyond), ("classes have no folder", missing))
        return ": " + ", ".join(count_names(what, names) for what, names in counted if names)
    others = [folder for folder in sorted(folders) if not WNID.fullmatch(folder)]
    if 0 < len(others) < len(folders):
        return f": {count_names('are no WordNet ids', others)}"
    return ": none is called as one of the card's classes" if classes.names else ""


def _number_by_number(folders: Sequence[str], classes: Classes, root: Path | str, notify: Notify) -> dict[str, int]:
    numbers = {folder: int(folder) + classes.offset for folder in folders}
    _check_apart(numbers, root)
    check_classes(numbers.items(), classes, f"the name of a folder in {root}", "folders")
    if _differs(numbers):
        first = next(folder for place, folder in enumerate(sorted(folders)) if numbers[folder] != place)
        place = sorted(folders).index(first)
        notify(
            f"the class folders of {root} are numbers, and taken as such: '{first}' is class {numbers[first]}, where "
            f"earlier versions, and whatever sorts names as text, have {place}"
        )
    return numbers


def find_folders(images: Iterable[LabelledImage]) -> dict[str, int]:
    """Classes by folder where ids are CLASS/NAME; none where folders and classes are not one to one."""
    pairs = {(image.id.rpartition("/")[0], image.label) for image in images}
    folders = dict(pairs)
    one_to_one = len(folders) == len(pairs) == len({label for _, label in pairs})
    return folders if one_to_one and "" not in folders else {}


def name_by_folders(images: Iterable[LabelledImage], count: int) -> tuple[str, ...]:
    """What class folders call `count` classes, in their order; none where a class has no folder, or only numbers do.

    Nor are there any where two could not be told apart by their names.
    """
    names = {place: folder.rpartition("/")[2] for folder, place in find_folders(images).items()}
    if names.keys() != set(range(count)) or all(map(is_number, names.values())):
        return ()
    ordered = tuple(names[place] for place in range(count))
    return ordered if all(ordered) and len(set(map(_simplify, ordered))) == count else ()


def _differs(numbers: Mapping[str, int]) -> bool:
    return [numbers[folder] for folder in sorted(numbers)] != list(range(len(numbers)))


def _check_apart(numbers: Mapping[str, int], root: Path | str) -> None:
    def refuse(place: int, a: tuple[str, int], b: tuple[str, int]) -> DataError:
        return DataError(f"'{a[0]}' and '{b[0]}' of {root} are both class {place}", "put them into one folder")

    index_unique(numbers.items(), lambda pair: pair[1], refuse)


def check_classes(labels: Iterable[tuple[str, int]], classes: Classes | int, source: str, unit: str = "images") -> None:
    """Refuse a class that the network does not have.

    Args:
        labels: what has a label, and its class, `[labels] offset` of the card added.

    Raises:
        DataError: names the first, how many there are and one of them; and where all count from 1, how to say so.
    """
    known = Classes.of(classes)
    last = known.count - 1
    counted: Counter[int] = Counter()
    example: dict[int, str] = {}
    for name, label in labels:
        counted[label] += 1
        example.setdefault(label, name)
    beyond = sorted(label for label in counted if label < 0 or (known.bounded and label > last))
    if not beyond:
        return
    wrong = beyond[0]
    shown = f"{source} has class {wrong} ({counted[wrong]} {unit}), the network has classes 0..{last}"
    if known.offset:
        number = wrong - known.offset
        fix = f"`[labels] offset = {known.offset}` of the card makes {number} of '{example[wrong]}' that: change it"
    elif beyond == [known.count] and 0 not in counted:
        fix = (
            f"labels count from 0 and these from 1: '{example[wrong]}' is no class as it is, and class {last} with "
            "`offset = -1` under `[labels]` of the card"
        )
    else:
        fix = f"'{example[wrong]}' is one of them: is this the right recipe?"
    raise DataError(shown, fix)
