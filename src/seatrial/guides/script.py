"""A preprocessing script as the steps of a card, each with the line its figure stands in. It is parsed, never run."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial.guides.trace import Tracer
from seatrial.guides.values import UNKNOWN, Known, Operation, Value


@dataclass(frozen=True, slots=True)
class FoundStep:
    """A step of a card, and where its figures stand."""

    step: str
    options: dict[str, Any]
    file: str
    line: int
    std_line: int | None = None
    """Of a normalisation whose standard deviation stands in another line than its mean."""

    @property
    def place(self) -> str:
        """File and line of its figures."""
        where = f"{self.file} line {self.line}"
        return where if self.std_line in (None, self.line) else f"{where}, std line {self.std_line}"


@dataclass(slots=True)
class FoundSteps:
    """What a script does to images."""

    file: str
    steps: list[FoundStep] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    """What could not be read, with file and line."""
    order: str = "RGB"
    floats: bool = False
    """Whether it divides or normalises; else it writes pixels."""
    mean: tuple[float, ...] = ()
    """On the scale 0..1, of what is subtracted; empty where nothing is."""
    std: tuple[float, ...] = ()


def parse_script(text: str) -> ast.Module | None:
    """The tree of a script; None where it is no Python 3."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def read_defaults(tree: ast.Module) -> dict[str, Value]:
    """What a script's `add_argument` calls say that options are where they are not given."""
    found: dict[str, Value] = {}
    for call in ast.walk(tree):
        if not (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"
        ):
            continue
        flags = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        named = {each.arg: each.value for each in call.keywords if each.arg}
        long = next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else "")
        name = long.lstrip("-").replace("-", "_")
        if isinstance(dest := named.get("dest"), ast.Constant):
            name = str(dest.value)
        action, default = named.get("action"), named.get("default")
        if default is not None:
            try:
                found[name] = _freeze(ast.literal_eval(default), default.lineno)
            except ValueError:
                continue
        elif isinstance(action, ast.Constant) and action.value in ("store_true", "store_false"):
            found[name] = Known(action.value == "store_false", call.lineno)
    return found


def _freeze(value: Any, line: int) -> Known:
    """A literal as a known value."""
    return (
        Known(tuple(_freeze(each, line) for each in value), line)
        if isinstance(value, list | tuple)
        else Known(value, line)
    )


def read_words(words: Sequence[str], line: int) -> tuple[dict[str, Value], list[Value]]:
    """The options and the bare words of a command line, in the text of a README."""
    options: dict[str, Value] = {}
    bare: list[Value] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            bare.append(_read_word(word, line))
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals and rest and not rest[0].startswith("-"):
            value = rest.pop(0)
        options[name.replace("-", "_")] = _read_word(value, line) if value else Known(True, line)
    return options, bare


def _read_word(word: str, line: int) -> Value:
    word = word.strip("\"'")
    if re.search(r"[${}]", word):
        return UNKNOWN
    if re.fullmatch(r"\d+", word):
        return Known(int(word), line)
    return Known(float(word), line) if re.fullmatch(r"\d*\.\d+", word) else Known(word, line)


def read_steps(text: str, file: str, words: Sequence[str] = (), line: int = 0) -> FoundSteps | None:
    """The steps of a script; None where it opens no image and transforms none.

    Args:
        words: with which its guide runs it.
        line: of the guide, where they stand.
    """
    tree = parse_script(text)
    if tree is None:
        return None
    options, bare = read_words(words, line)
    tracer = Tracer(tree, file, {**read_defaults(tree), **options}, bare)
    try:
        operations = tracer.run()
    except RecursionError:
        return FoundSteps(file, unclear=[f"{file}: too deep to follow"])
    found = order_steps(file, operations)
    if tracer.training and not found.steps:
        found.unclear.append(f"{file}: its transforms are drawn at random, as for training")
    return found if found.steps or found.unclear else None


def order_steps(file: str, operations: Sequence[Operation]) -> FoundSteps:
    """Operations as steps: pixels first, then one normalisation of all that is subtracted and divided."""
    found = FoundSteps(file)
    tail = PixelScaling()
    swapped = False
    for each in drop_repeated(operations):
        where = f"{each.file} line {each.line}"
        match each.name:
            case "read":
                swapped = each.options["order"] == "BGR"
            case "swap":
                swapped = not swapped
            case "resize" | "crop":
                add_pixel_step(found, each, tail.touched)
            case "grey":
                found.steps.append(FoundStep("channels", {"order": "L"}, each.file, each.line))
            case "unclear":
                found.unclear.append(f"{where}: {each.options['why']}")
            case _:
                tail.add(each)
    found.floats = tail.touched
    if swapped:
        found.order = "BGR"
        line = next((each.line for each in operations if each.name in ("read", "swap")), 0)
        found.steps.append(FoundStep("channels", {"order": "BGR"}, file, line))
    if tail.touched:
        tail.finish(found, file)
    return found


def add_pixel_step(found: FoundSteps, each: Operation, divided: bool) -> None:
    """Add a resize or crop.

    Args:
        divided: the pixels are divided already.
    """
    where = f"{each.file} line {each.line}"
    if each.name == "resize" and divided:
        found.unclear.append(f"{where}: a resize of numbers, after the pixels were divided")
        return
    name = "resize" if each.name == "resize" else "center_crop"
    found.steps.append(FoundStep(name, dict(each.options), each.file, each.line))
    if name == "center_crop" and each.options.get("size") is None:
        found.unclear.append(f"{where}: the size of this crop")


def drop_repeated(operations: Sequence[Operation]) -> list[Operation]:
    """Operations without those that follow a second opening of an image: a script that has two ways to do the same."""
    starts = [place for place, each in enumerate(operations) if each.name == "read"]
    if len(starts) < 2:
        return list(operations)
    parts = [list(operations[a:b]) for a, b in zip(starts, [*starts[1:], None], strict=True)]
    head = list(operations[: starts[0]])
    useful = [part for part in parts if len(part) > 1]
    first = useful[0] if useful else parts[0]
    alike = all(part == first for part in useful)
    if alike:
        return [*head, *first]
    why = "images are opened in several places and not treated alike"
    return [*head, *first, Operation("unclear", {"why": why}, first[0].file, first[0].line)]


class PixelScaling:
    """What is subtracted and divided, on the scale 0..255, with the lines that say so."""

    def __init__(self) -> None:
        self.mean = [0.0] * 3
        self.std = [1.0] * 3
        self.scale: Operation | None = None
        self.shift: Operation | None = None
        self.touched = False
        self.spread: Operation | None = None

    def add(self, each: Operation) -> None:
        """Take one operation in, after those before it."""
        self.touched = True
        by = (each.options["by"],) if each.name == "scale" else each.options["values"]
        channel = each.options.get("channel")
        values = list(by) * 3 if len(by) == 1 else list(by)
        places = range(3) if channel is None else [channel]
        for place in places:
            value = values[place] if place < len(values) else values[0]
            if each.name == "subtract":
                self.mean[place] += value * self.std[place]
            else:
                self.std[place] *= 1 / value if each.name == "multiply" else value
        if each.name == "scale" or (each.name == "divide" and set(values) <= {255.0, 256.0}):
            self.scale = each
        else:
            self.shift = self.shift or each
            self.spread = each if each.name != "subtract" else self.spread

    def finish(self, found: FoundSteps, file: str) -> None:
        """Add to_float and normalise."""
        mean = tuple(shorten_number(value / 255) for value in self.mean)
        std = tuple(shorten_number(value / 255) for value in self.std)
        place = self.scale or self.shift
        assert place is not None
        found.steps.append(FoundStep("to_float", {}, place.file, place.line))
        if self.shift is not None or std != (1.0, 1.0, 1.0):
            found.mean, found.std = mean, std
            at = self.shift or place
            std_line = self.spread.line if self.spread else None
            options = {"mean": list(mean), "std": list(std)}
            found.steps.append(FoundStep("normalise", options, at.file, at.line, std_line))


def shorten_number(value: float) -> float:
    """A quotient as the shortest decimal that it is, to twelve digits."""
    return float(f"{value:.12g}")
