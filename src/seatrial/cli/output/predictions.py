"""Predictions compared with each other, as text or JSON."""

from collections.abc import Iterator, Sequence

from seatrial.cli.output.gates import describe_gate
from seatrial.cli.output.tables import Layout, write_blocks
from seatrial.compare.predictions import Differences, describe_agreement
from seatrial.compare.result_tables import tabulate_accuracies
from seatrial.recipes.class_names import show_class
from seatrial.report.formats import Grid, write_columns
from seatrial.report.numbers import write_points
from seatrial.store.records import NO_LABELS
from seatrial.workflow.compare.predictions import PredictionsComparison


def write_compared(compared: PredictionsComparison, limit: int) -> str:
    """Accuracies, what flipped and where, and the verdict; at most `limit` images and classes."""
    differences, gate = compared.differences, compared.gate
    blocks: list[str | Grid | Sequence[str]] = [tabulate_accuracies(compared.accuracies)]
    unlabelled = [accuracy.name for accuracy in compared.accuracies if not accuracy.hits]
    if unlabelled:
        blocks.append(f"top-1 of {' and '.join(unlabelled)}: {NO_LABELS}")
    if differences is not None:
        name = compared.accuracies[1].name
        blocks += [[*_describe(differences, name)], *_list_tables(compared, differences, limit)]
    verdict = [] if gate is None else [f"{gate.outcome}: {gate.reason}"]
    verdict += [f"{g.outcome}: {describe_gate(g)}" for g in compared.required]
    verdict += [f"{g.outcome if compared.gates else 'doubt'}: {g.engine}: {g.reason}" for g in compared.suspected]
    return write_blocks(Layout.TABLE, *blocks, verdict)


def list_compared(compared: PredictionsComparison) -> dict[str, object]:
    """Everything by name, every image that flipped."""
    values: dict[str, object] = {"accuracies": compared.accuracies}
    if compared.differences is not None:
        found = compared.differences
        values |= {"versus": found.versus, "agreement": found.agreement}
        values |= {"flips": found.flips, "classes": found.classes, "scores": found.scores}
    if compared.suspected:
        values["suspected"] = compared.suspected
    if compared.gate is not None:
        values["gate"] = compared.gate
    if compared.required:
        values["gates"] = compared.required
    return values


def _describe(differences: Differences, name: str) -> Iterator[str]:
    v, a, s = differences.versus, differences.agreement, differences.scores
    if v is None:
        yield f"{name} against {describe_agreement(a)}"
    else:
        drop, low, high = map(write_points, (v.drop_pp, v.low_pp, v.high_pp))
        yield (
            f"{name} against {v.reference}: drop {drop} points ({low} to {high}), "
            f"{v.lost} lost, {v.gained} gained, {v.changed} predictions changed ({v.changed / v.images:.1%}); "
            f"McNemar's p {v.p_value:.2g}"
        )
    if s is None:
        yield "all best scores are the same"
    else:
        yield (
            f"{s.images} of {a.images} best scores differ, most that of {s.id}: {s.score:g} against {s.reference:g} "
            f"(by {abs(s.score - s.reference):.2g})"
        )
    yield from (f"doubt: {doubt}, so the drop may not be the engine's" for doubt in a.doubts)


def _list_tables(compared: PredictionsComparison, differences: Differences, limit: int) -> Iterator[str]:
    names, reference, name = compared.class_names, differences.agreement.reference, compared.accuracies[1].name
    classes = [
        [
            *(show_class(names, c.label), c.images),
            *(f"{right / c.images:.1%}" for right in (c.reference_right, c.right)),
            *(c.lost, c.gained),
        ]
        for c in differences.classes
    ]
    header = ["class", "images", reference, name, "lost", "gained"]
    yield _write_first("classes that lost most", header, classes, "classes", limit)
    flips = [
        [
            *(f.id, "–" if f.label is None else show_class(names, f.label)),
            *(show_class(names, place) for place in (f.reference, f.predicted)),
            f.kind,
        ]
        for f in differences.flips
    ]
    header = ["image", "label", reference, name, ""]
    yield _write_first("images whose prediction changed", header, flips, "images", limit, (1, 2, 3) if names else ())


def _write_first(
    title: str,
    header: list[str],
    rows: Sequence[Sequence[object]],
    things: str,
    limit: int,
    texts: Sequence[int] = (),
) -> str:
    """The first rows under a title, and how many more there are; the columns `texts` hold words."""
    if not (rows and limit):
        return ""
    left = [0, *texts, *(place for place, name in enumerate(header) if not name)]
    shown = write_columns(Grid(header, [list(map(str, row)) for row in rows[:limit]], left))
    more = len(rows) - limit
    return f"{title}\n{shown}" + (f"\n… and {more} more {things}: see --limit and --json" if more > 0 else "")
