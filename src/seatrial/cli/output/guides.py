"""The guides' tables, worked out again, with what the guides printed beside."""

from typing import Any

from seatrial.cli.output.tables import BEST, Layout, write_blocks
from seatrial.recipes.claims import Claim, GuideRatio, GuideTable
from seatrial.report.formats import Grid
from seatrial.report.numbers import round_half_up, write_exact

WRONG = "✗"


def write_guide(table: GuideTable, layout: Layout) -> str:
    """A guide's table; in the guides' own layout only the right figures, of whole cards."""
    heading = f"{table.recipe}: {table.title}"
    if layout is Layout.GUIDE:
        return write_blocks(layout, heading, _tabulate_right(table))
    header = ["batch", *(f"{c.label} (chip)" if c.of_one_chip else c.label for c in table.columns)]
    for ratio in table.ratios:
        header += [f"{ratio.of}/{ratio.to}", "printed", *(["right"] if ratio.exact != ratio.right else [])]
    rows = []
    for batch in table.batches:
        row = [batch, *(write_exact(c.printed[batch], 4) if batch in c.printed else "–" for c in table.columns)]
        for ratio in table.ratios:
            row += _list_cells(ratio, batch)
        rows.append(row)
    lines = [_say(claim) for claim in table.findings]
    return write_blocks(layout, heading, Grid(header, rows), lines)


def _list_cells(ratio: GuideRatio, batch: str) -> list[str]:
    printed = ratio.printed.get(batch, "–")
    ours = round_half_up(ratio.exact[batch], ratio.digits) if batch in ratio.exact else "–"
    cells = [ours, f"{printed} {WRONG}" if batch in ratio.wrong else f"{printed}  "]
    if ratio.exact != ratio.right:
        cells.append(round_half_up(ratio.right[batch], ratio.digits) if batch in ratio.right else "–")
    return cells


def _say(claim: Claim) -> str:
    note = f" ({claim.note})" if claim.note else ""
    return f"{WRONG} {claim.what}: stated {claim.stated}; right: {claim.correct}{note}"


def _tabulate_right(found: GuideTable) -> Grid:
    header = ["", *(c.label for c in found.columns), *(f"{r.of}/{r.to}" for r in found.ratios)]
    rows = []
    for batch in found.batches:
        figures = [write_exact(c.per_card[batch], 4) if batch in c.per_card else "" for c in found.columns]
        ratios = [write_exact(r.right[batch], r.digits) if batch in r.right else "" for r in found.ratios]
        rows.append([f"bs{batch}" if batch.isdecimal() else BEST, *figures, *ratios])
    return Grid(header, rows)


def list_guide(table: GuideTable) -> dict[str, Any]:
    """Everything by name: figures as numbers, what was printed as text."""
    columns = [{"name": c.label, **_pick(c, "of_one_chip", "printed", "per_card")} for c in table.columns]
    return {
        "recipe": table.recipe,
        "title": table.title,
        "columns": columns,
        "ratios": [_pick(r, "of", "to", "printed", "exact", "right", "wrong") for r in table.ratios],
        "findings": [_pick(c, "what", "stated", "correct", "kind", "note") for c in table.findings],
    }


def _pick(thing: object, *names: str) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names}
