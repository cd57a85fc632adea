"""Doubts by their cause: those that could change a conclusion first, the rest apart."""

from collections.abc import Sequence

from seatrial.report.doubt_kinds import KINDS
from seatrial.report.doubts import merge_doubts, strip_batch, strip_numbers
from seatrial.report.numbers import count_of, join_words
from seatrial.report.stakes import WeighedDoubt, list_conclusions, weigh_doubts
from seatrial.report.tables import Column, Table
from seatrial.results.run_folder import Run

MOST_CONCLUSIONS = 3
"""Named in a sentence."""


def make_doubts(run: Run) -> tuple[Table, ...]:
    """The doubts that could change a conclusion, and, folded, those that could not."""
    weighed = weigh_doubts(run)
    grave, mild = split_doubts(weighed)
    absent = "None could change the verdict, a ranking or a speed gate."
    if not weighed:
        absent = "None: the measurements noticed nothing about themselves, and the records fit together."
    note = (
        "What the measurements noticed about themselves, and records that do not fit together, by cause. A ranking "
        "could change where the two rates are closer than their intervals and these doubts together allow."
    )
    columns = (Column("Cause"), Column("What was noticed"), Column("About"), Column("Could change"))
    rows = tuple((*describe_doubts(group), "; ".join(list_conclusions(group))) for group in grave)
    tables = [Table("Doubts", note, columns, rows, absent)]
    if mild:
        fold = f"{count_of(len(mild), 'doubt')} that {'changes' if len(mild) == 1 else 'change'} no conclusion"
        rest = tuple(describe_doubts(group) for group in mild)
        tables.append(Table("Doubts that change no conclusion", "", columns[:3], rest, "", fold=fold))
    return tuple(tables)


def write_doubts(run: Run) -> str:
    """How many doubts could change what, in a sentence; empty without any doubt."""
    weighed = weigh_doubts(run)
    grave, _ = split_doubts(weighed)
    if not grave:
        return "None of the doubts about these figures could change the verdict or a ranking." if weighed else ""
    found = list_conclusions(weighed)
    more = len(found) - MOST_CONCLUSIONS
    named = [*found[:MOST_CONCLUSIONS], *([count_of(more, "more conclusion")] if more > 0 else [])]
    return f"{count_of(len(grave), 'doubt')} could change {join_words(named)}: see Doubts."


def split_doubts(weighed: Sequence[WeighedDoubt]) -> tuple[list[list[WeighedDoubt]], list[list[WeighedDoubt]]]:
    """Doubts that say the same together: those that could change a conclusion, and the rest."""
    grave, mild = ([each for each in weighed if bool(each.changes) is counts] for counts in (True, False))
    return _group(grave), _group(mild)


def _group(weighed: Sequence[WeighedDoubt]) -> list[list[WeighedDoubt]]:
    groups: dict[tuple[str, str], list[WeighedDoubt]] = {}
    for each in weighed:
        # Names of files have numbers too, which are no range.
        text = strip_numbers(each.doubt.text) if each.doubt.kind.touches in ("speed", "figure") else each.doubt.text
        groups.setdefault((each.doubt.name, text), []).append(each)
    return list(groups.values())


def describe_doubts(group: Sequence[WeighedDoubt]) -> tuple[str, str, str]:
    """The cause, what was noticed, and of what."""
    batches: dict[str, list[str]] = {}
    for each in group:
        batches.setdefault(each.doubt.engine, []).extend([each.doubt.batch] if each.doubt.batch else [])
    engines: dict[str, list[str]] = {}
    for engine, sizes in batches.items():
        engines.setdefault(", ".join(dict.fromkeys(sizes)), []).append(engine)
    about = [join_words(names) + (f" at batch {sizes}" if sizes else "") for sizes, names in engines.items()]
    (noticed,) = merge_doubts(strip_batch(each.doubt.text) for each in group)
    return KINDS[group[0].doubt.name].title, noticed, "; ".join(about)
