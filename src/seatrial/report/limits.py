"""What a run cannot tell: the smallest drop that it could have found, and what was not measured."""

from collections.abc import Iterator

from seatrial.metrics.power import LEVEL, POWER, find_detectable_drop, find_least_losses
from seatrial.report.numbers import count_of, join_words, write_points
from seatrial.report.tables import Column, Table
from seatrial.results.run_folder import Run
from seatrial.store.records import Comparison


def make_limits(run: Run) -> Table:
    """Sentences on what the figures leave open."""
    rows = (*_list_drops(run), *_list_absent(run))
    columns = (Column(""), Column(""))
    return Table("What this run cannot tell", "", columns, tuple(rows), "Nothing of what it was to tell was left out.")


def _list_drops(run: Run) -> Iterator[tuple[str, str]]:
    groups: dict[str, list[str]] = {}
    for name, record in run.accuracy.items():
        if record.versus is not None and record.versus.images:
            groups.setdefault(describe_detectable(record.versus), []).append(name)
    yield from ((f"A small drop of {join_words(names)}", text) for text, names in groups.items())


def describe_detectable(versus: Comparison) -> str:
    """The smallest drop that a comparison would have found, and the fewest losses that prove one at all."""
    least, images = find_least_losses(), count_of(versus.images, "image")
    proof = f"{least} lost images ({write_points(100 * least / versus.images)} points) with none gained"
    drop = find_detectable_drop(versus.images, versus.gained)
    if drop is None:
        return f"{images} are too few to find any drop; the least that proves one is {proof}"
    return (
        f"on {images}, with {versus.gained:,} gained, a true drop of {write_points(100 * drop)} points is found in "
        f"{POWER:.0%} of such sets, and a smaller one less often (McNemar's exact test, one-sided, {LEVEL:.0%}); the "
        f"least that proves a drop is {proof}"
    )


def _list_absent(run: Run) -> Iterator[tuple[str, str]]:
    absent = {
        "Accuracy": [name for name in run.engines if name not in run.accuracy],
        "Speed": [name for name in run.engines if name not in run.measurements],
    }
    for what, names in absent.items():
        if names:
            yield what, f"not measured: {join_words(names)}"
    if any(not record.labelled for record in run.accuracy.values()):
        unknown = (
            f"the images have no labels, so whether {run.reference} is right is not known, only what differs from it"
        )
        yield "Accuracy", unknown
    alone = [name for name in run.measurements if _is_alone(run, name)]
    if alone:
        text = "each batch size was measured in one process; `seatrial bench` takes five"
        yield "What another process gives", f"{join_words(alone)}: {text}"
    scopes = {point.scope for found in run.measurements.values() for point in found.points}
    if scopes == {"host"}:
        yield "A batch from its files", "only from memory to memory was timed; below is the pace of the whole set"
    if run.accuracy:
        yield (
            "Other images",
            "every accuracy is of this one set; on images unlike these an engine may lose more",
        )
    if run.measurements:
        yield "Other machines", "every rate is of the machine that is named below"
    unmetered = [name for name, found in run.measurements.items() if not any(point.energy for point in found.points)]
    if unmetered:
        yield "Energy", f"not measured: {join_words(unmetered)}"


def _is_alone(run: Run, name: str) -> bool:
    groups = run.measurements[name].by_setting()
    return any(len(points) == 1 for points in groups.values())
