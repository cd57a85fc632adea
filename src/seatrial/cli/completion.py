"""What a shell may complete: model references, engines with their precisions, and the protocol of bash.

Nothing here loads a library: references come from the lists that `seatrial recipes list` has left in the cache, the
precisions and devices of engines from what `seatrial doctor` found. The verbs, the options and the protocol itself are
typer's, whose script `--install-completion` writes.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import seatrial

VARIABLE = "_SEATRIAL_COMPLETE"
"""Of the environment: set by a shell that wants a command line completed."""
LIBRARIES = ("timm", "torchvision")
BREAKS = ":=@"
"""Characters at which bash breaks the words of a command line, and that are in words of ours."""


def complete_references(incomplete: str) -> list[str]:
    """Model references that begin so: cards, and what the libraries have weights of."""
    # Not `seatrial.recipes`, which loads what reads a card.
    cards = Path(seatrial.__file__).parent / "recipes" / "cards"
    found = [*sorted(path.stem for path in cards.glob("*.toml")), *(f"{library}:" for library in LIBRARIES), "hf:"]
    for library in LIBRARIES:
        if incomplete.startswith(f"{library}:"):
            found = [f"{library}:{name}" for name in _list_classifiers(library)]
    return [name for name in found if name.startswith(incomplete)]


def _list_classifiers(library: str) -> Iterator[str]:
    from seatrial.store.descriptions import read_described

    for name, described in sorted(read_described(library).items()):
        if described.get("num_classes", 1):
            yield name


def complete_engine(incomplete: str) -> list[str]:
    """Names of engines that begin so."""
    return [words for words in _list_engines() if not {*":@"} & {*words} and words.startswith(incomplete)]


def complete_engines(incomplete: str) -> list[str]:
    """A list of NAME[:PRECISION][@DEVICE] with commas, whose last is completed."""
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + words for words in _list_engines() if words.startswith(last)]


def _list_engines() -> Iterator[str]:
    from seatrial.engines import ENGINES
    from seatrial.store.descriptions import ENGINES as KNOWN
    from seatrial.store.descriptions import read_cached
    from seatrial.store.files import cache_folder

    known = read_cached(cache_folder() / KNOWN) or {}
    # Engines of other packages are those that `doctor` found: to look for them takes as long as all else.
    for name in dict.fromkeys([*ENGINES, *known]):
        yield name
        precisions, devices = known.get(name, ((), ()))
        for words in (name, *(f"{name}:{precision}" for precision in precisions)):
            if words != name:
                yield words
            yield from (f"{words}@{device}" for device in devices)


def complete_precision(incomplete: str) -> list[str]:
    """Precisions that begin so, of any engine as far as that is known."""
    found = (words.partition(":")[2] for words in _list_engines() if "@" not in words)
    return sorted({precision for precision in found if precision and precision.startswith(incomplete)})


def complete_goal(incomplete: str) -> list[str]:
    """Goals of a choice that begin so."""
    return [goal for goal in ("throughput", "latency=10ms@p99", "size") if goal.startswith(incomplete)]


def complete_form(incomplete: str) -> list[str]:
    """Forms of a report that begin so."""
    from seatrial.report.forms import FORMS

    return [name for name in FORMS if name.startswith(incomplete)]


def complete_language(incomplete: str) -> list[str]:
    """Languages of a report that begin so."""
    from seatrial.report.language import LANGUAGES

    return [name for name in LANGUAGES if name.startswith(incomplete)]


def run_completion(command: Any) -> int:
    """Answer a shell by typer's protocol; bash's words are joined first, and only the last part is printed."""
    from seatrial.cli.output.progress import print_file

    prefix = ""
    if os.environ.get(VARIABLE) == "complete_bash":
        words, place = join_words(os.environ.get("COMP_WORDS", ""), int(os.environ.get("COMP_CWORD", "0")))
        os.environ |= {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(place)}
        last = words[place] if place < len(words) else ""
        prefix = last[: max(last.rfind(each) for each in BREAKS) + 1]
    printed, code = io.StringIO(), 0
    with contextlib.redirect_stdout(printed):
        try:
            command.main(args=[], prog_name="seatrial", complete_var=VARIABLE)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0
    with contextlib.suppress(BrokenPipeError):
        print_file("".join(f"{line.removeprefix(prefix)}\n" for line in printed.getvalue().splitlines()))
    return code


_WORD = re.compile(r"""(?:"[^"]*"?|'[^']*'?|\\.|[^\s"'\\])+""")


def join_words(line: str, place: int) -> tuple[list[str], int]:
    """The words of a command line that bash broke at `BREAKS`, put together, and which of them is completed.

    Args:
        line: the words with spaces between them, as typer's script hands them over.
        place: of the word to complete; the one after the last where that is still empty.
    """
    words: list[str] = []
    places: list[int] = []
    for part in _WORD.findall(line):
        if words and (part[0] in BREAKS or words[-1][-1] in BREAKS):
            words[-1] += part
        else:
            words.append(part)
        places.append(len(words) - 1)
    return words, places[place] if place < len(places) else len(words)
