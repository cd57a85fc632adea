"""What a shell may complete: model references, engines with their precisions, and the protocol of bash.

Nothing here loads a library: references come from the lists that `seatrial recipes list` has left in the cache, the
precisions and devices of engines from what `seatrial doctor` found. The verbs, the options and the protocol itself are
typer's, and so are the scripts that `--install-completion` writes, but for bash's.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import seatrial
from seatrial.errors import UsageError

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
        # timm counts the classes, torchvision names them.
        if described.get("num_classes", 1) and described.get("categories", True):
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

    prefix, words, place = "", [""], 0
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
    # typer prints an empty line where nothing fits.
    lines = [line for line in printed.getvalue().splitlines() if line]
    if ENDS in os.environ:
        if not lines and last_takes_no_file(words, place):
            return NO_FILES
        lines = [line if may_go_on(line, words[:place]) else f"{line} " for line in lines]
    with contextlib.suppress(BrokenPipeError):
        print_file("".join(f"{line.removeprefix(prefix)}\n" for line in lines))
    return code


ENDS = "_SEATRIAL_COMPLETE_ENDS"
"""Of the environment: set by a script that takes a blank behind what is complete, and `NO_FILES`."""
NO_FILES = 3
"""Exit code: nothing fits, and no file would."""
BASH = r"""
%(complete_func)s() {
    local IFS=$'\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \
                   COMP_CWORD=$COMP_CWORD _SEATRIAL_COMPLETE_ENDS=1 \
                   %(autocomplete_var)s=complete_bash $1 ) )
    [[ $? -eq 3 ]] && compopt +o default 2>/dev/null
    [[ ${#COMPREPLY[@]} -gt 0 ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -o default -F %(complete_func)s %(prog_name)s
"""
"""typer's script; but what may go on, such as `timm:`, gets no blank behind it, and no file is put in its place."""


def use_own_script() -> None:
    """Let `--install-completion` and `--show-completion` take our script for bash; a typer without it keeps its own."""
    with contextlib.suppress(ImportError, AttributeError):
        from typer import _completion_shared

        _completion_shared._completion_scripts["bash"] = BASH


SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def prepare_completion(arguments: Sequence[str]) -> None:
    """Check the shell of `--install-completion` or `--show-completion` before typer does, and take our script.

    Raises:
        UsageError: there is no completion for it, or none is named and none can be found.
    """
    use_own_script()
    place = next(place for place, word in enumerate(arguments) if word in ("--install-completion", "--show-completion"))
    shell = "".join(arguments[place + 1 : place + 2])
    if shell:
        # typer takes a name only where it does not look for the shell itself.
        os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    else:
        shell = _find_shell()
    if shell not in SHELLS:
        problem = f"there is no completion for '{shell}'" if shell else "the shell that runs this is not known"
        raise UsageError(problem, f"name one of {', '.join(SHELLS)}, such as seatrial {arguments[place]} bash")


def _find_shell() -> str:
    """The shell that runs this command, as typer finds it; empty where that is not known."""
    with contextlib.suppress(ImportError):
        from typer._completion_shared import _get_shell_name

        return _get_shell_name() or ""
    return ""


def may_go_on(word: str, before: list[str]) -> bool:
    """Whether more may follow a completed word: behind a colon, an `=` or an `@`, and in a list of engines."""
    listed = word.startswith("--engines=") or before[-1:] == ["--engines"]
    return word[-1:] in (*BREAKS, "/") or listed


def last_takes_no_file(words: list[str], place: int) -> bool:
    """Whether the word to complete is one of ours with a colon, such as `openvino:`, and so no path."""
    from seatrial.engines import ENGINES

    last = words[place] if place < len(words) else ""
    head, colon, _ = last.rpartition(",")[2].rpartition("=")[2].partition(":")
    return bool(colon) and head in (*LIBRARIES, *ENGINES)


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
