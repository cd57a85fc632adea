"""What was chosen to be deployed, as a table and sentences."""

from collections.abc import Iterator
from pathlib import Path

from seatrial.errors import ExitCode
from seatrial.printable import make_printable
from seatrial.report.formats import Grid, write_columns
from seatrial.report.tables import Column, Table, numbers
from seatrial.results.run import Run
from seatrial.store.choice import CandidateResult, Choice, SettingResult, write_setting

_OF_SETTING = ("batch", "streams", "threads", "images/s", "95 % interval")
HEADER = ("candidate", "accuracy", "images", "MiB", *_OF_SETTING, "outcome")
NONE = "–"
_WORDS = {"accuracy": "accuracy lost", "latency": "latency missed"}
"""States that say more in other words."""
_BY_OUTCOME = {"PASS": "as small", "FAIL": "accuracy lost", "INCONCLUSIVE": "accuracy open"}
"""What comes of a candidate where nothing is measured."""
MOST_LISTED = 8
"""Settings that are listed as fast as the one chosen; all are in the record."""
MOST_TIMES = 10
"""A bound beyond so many times as long an image says nothing."""
_NONE_CHOSEN = {
    ExitCode.ACCURACY: "nothing to deploy: no candidate keeps the accuracy",
    ExitCode.SPEED: "nothing to deploy: no setting that keeps the accuracy keeps the latency",
    ExitCode.INCONCLUSIVE: "nothing to deploy yet: of no candidate it is certain that it keeps what it must",
}


def describe_choice(choice: Choice, path: Path) -> str:
    """A row for each candidate at its best setting, then what to deploy, what is as good, and how to build it."""
    doubts = [f"doubt: {doubt}" for doubt in choice.doubts]
    lines = ([*list_reasons(choice)], [*conclude(choice)], doubts)
    blocks = [write_columns(tabulate(choice)), *("\n".join(map(make_printable, some)) for some in lines if some)]
    if choice.command:
        blocks.append("\n".join(("it is built by", *(f"  {line}" for line in choice.command))))
    return "\n\n".join((*blocks, make_printable(f"choice: {path}")))


def tabulate(choice: Choice) -> Grid:
    """A row for each candidate at its best setting."""
    return Grid(HEADER, [_write_row(choice, candidate) for candidate in choice.candidates], left=(0, 1, 9))


def make_choice(run: Run) -> tuple[Table, ...]:
    """What of a run is to be deployed; nothing where nobody chose."""
    choice = run.choice
    if choice is None:
        return ()
    verb = f"`seatrial choose --goal {choice.goal}`"
    note = (
        f"By {verb}, with a drop of top-1 of certainly less than {choice.max_drop_pp:g} points. "
        "Each candidate is shown at its best setting. Where no accuracy is shown, it did not have to be known."
    )
    columns = (
        Column("Candidate", "engine"),
        Column("Accuracy"),
        *numbers("Images", "MiB", "Batch size", "Streams", "Threads", "Images/s", "Interval"),
        Column("What came of it"),
    )
    rows = tuple(tuple(row) for row in tabulate(choice).rows)
    return (Table("What to deploy", note, columns, rows, "No candidate was compiled."),)


def list_reasons(choice: Choice) -> Iterator[str]:
    """Why each candidate is not the one."""
    for candidate in choice.candidates:
        setting = find_best_setting(choice, candidate.name)
        reason = candidate.reason if setting is None or setting.state.startswith("accuracy") else setting.reason
        if reason and name_outcome(choice, candidate) not in ("chosen", "as fast", "as small"):
            yield f"{candidate.name}: {reason}"


def name_outcome(choice: Choice, candidate: CandidateResult) -> str:
    """What came of a candidate, in a word or two."""
    if choice.chosen is not None and choice.chosen.candidate == candidate.name:
        return "chosen"
    if candidate.size_bytes is None:
        return "not compiled"
    setting = find_best_setting(choice, candidate.name)
    if setting is not None:
        return _WORDS.get(setting.state, setting.state)
    if candidate.outcome is None:
        return "larger" if choice.complete else "not evaluated"
    return _BY_OUTCOME[candidate.outcome]


def _write_row(choice: Choice, candidate: CandidateResult) -> list[str]:
    setting = find_best_setting(choice, candidate.name)
    size = NONE if candidate.size_bytes is None else f"{candidate.size_bytes / 2**20:.1f}"
    facts = [candidate.name, candidate.outcome or NONE, _write_count(candidate.images), size]
    outcome = name_outcome(choice, candidate)
    if setting is None:
        return [*facts, *[NONE] * len(_OF_SETTING), outcome]
    interval = NONE if setting.low is None or setting.high is None else f"{setting.low:,.1f} to {setting.high:,.1f}"
    threads = "all" if setting.threads is None else str(setting.threads)
    rate = NONE if setting.images_per_s is None else f"{setting.images_per_s:,.1f}"
    return [*facts, str(setting.batch_size), str(setting.streams), threads, rate, interval, outcome]


def _write_count(number: int | None) -> str:
    """A number, or that there is none."""
    return NONE if number is None else f"{number:,}"


def find_best_setting(choice: Choice, name: str) -> SettingResult | None:
    """The setting of a candidate that came furthest: the one chosen, else one as fast, else the fastest."""
    own = [each for each in choice.settings if each.candidate == name]
    order = {"chosen": 2, "as fast": 1}
    return max(own, key=lambda each: (order.get(each.state, 0), each.images_per_s or 0), default=None)


def describe_setting(setting: SettingResult) -> str:
    """A setting in words."""
    return write_setting(setting.candidate, setting.batch_size, setting.streams, setting.threads)


def _compare(setting: SettingResult) -> str:
    """How many times as long an image takes, as far as that is known, and where it is known from."""
    low, high = setting.times_low or 0, setting.times_high
    known = high is not None and high <= MOST_TIMES
    times = f": an image takes {low:.2f} to {high:.2f} times as long" if known else ""
    return times if setting.rounds else f"{times}, by the screening"


def conclude(choice: Choice) -> Iterator[str]:
    """What to deploy, or why nothing, and what cannot be told from it."""
    chosen = choice.chosen
    if chosen is None:
        yield _NONE_CHOSEN[choice.exit_code]
    elif choice.goal == "size":
        size = next(each.size_bytes or 0 for each in choice.candidates if each.name == chosen.candidate)
        yield f"deploy {chosen.candidate}: {size:,} bytes, the smallest that certainly keep the accuracy"
    else:
        within = "" if chosen.low is None else f" ({chosen.low:,.1f} to {chosen.high:,.1f})"
        yield f"deploy {describe_setting(chosen)}: {chosen.images_per_s:,.1f} images/s{within}"
    as_fast = sorted(choice.as_fast, key=lambda setting: setting.images_per_s or 0, reverse=True)
    if chosen is not None and as_fast:
        yield "not distinguishable from it:"
        yield from (f"  {describe_setting(setting)}{_compare(setting)}" for setting in as_fast[:MOST_LISTED])
        if len(as_fast) > MOST_LISTED:
            yield f"  and {len(as_fast) - MOST_LISTED} more, in choice.json"
    if not choice.complete:
        yield "the time was up before the rest was certain; the same command goes on"
