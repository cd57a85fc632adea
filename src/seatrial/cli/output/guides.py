"""The guides' tables, worked out again, with what the guides printed beside."""

from typing import TYPE_CHECKING, Any

from seatrial.cli.output.tables import BEST, Layout, round_half_up, write_exact, write_guide_table, write_table

if TYPE_CHECKING:
    from seatrial.recipes.claims import Claim
    from seatrial.recipes.tables import GuideRatio, GuideTable

WRONG = "✗"


def write_guide(found: "GuideTable", layout: Layout) -> str:
    """A guide's table; in the guides' own layout only the right figures, of whole cards."""
    heading = f"{found.recipe}: {found.title}"
    if layout is Layout.GUIDE:
        return f"{heading}\n\n{_write_right(found)}"
    header = ["batch", *(f"{c.label} (chip)" if c.of_one_chip else c.label for c in found.columns)]
    for ratio in found.ratios:
        header += [f"{ratio.of}/{ratio.to}", "printed", *(["right"] if ratio.exact != ratio.right else [])]
    rows = []
    for batch in found.batches:
        row = [batch, *(write_exact(c.printed[batch], 4) if batch in c.printed else "–" for c in found.columns)]
        for ratio in found.ratios:
            row += _list_cells(ratio, batch)
        rows.append(row)
    lines = [_say(claim) for claim in found.findings]
    return f"{heading}\n\n{write_table(layout, header, rows)}\n\n{_write_lines(lines, layout)}"


def _list_cells(ratio: "GuideRatio", batch: str) -> list[str]:
    printed = ratio.printed.get(batch, "–")
    ours = round_half_up(ratio.exact[batch], ratio.digits) if batch in ratio.exact else "–"
    cells = [ours, f"{printed} {WRONG}" if batch in ratio.wrong else f"{printed}  "]
    if ratio.exact != ratio.right:
        cells.append(round_half_up(ratio.right[batch], ratio.digits) if batch in ratio.right else "–")
    return cells


def _say(claim: "Claim") -> str:
    note = f" ({claim.note})" if claim.note else ""
    return f"{WRONG} {claim.what}: stated {claim.stated}; right: {claim.correct}{note}"


def _write_lines(lines: list[str], layout: Layout) -> str:
    if layout is Layout.TABLE:
        return "\n".join(lines)
    from seatrial.report.markdown import escape

    return "\n".join(f"- {escape(line)}" for line in lines)


def _write_right(found: "GuideTable") -> str:
    header = [*(c.label for c in found.columns), *(f"{r.of}/{r.to}" for r in found.ratios)]
    rows = []
    for batch in found.batches:
        figures = [write_exact(c.per_card[batch], 4) if batch in c.per_card else "" for c in found.columns]
        ratios = [write_exact(r.right[batch], r.digits) if batch in r.right else "" for r in found.ratios]
        rows.append([f"bs{batch}" if batch.isdecimal() else BEST, *figures, *ratios])
    return write_guide_table(header, rows)


def list_guide(found: "GuideTable") -> dict[str, Any]:
    """Everything as plain values: figures as numbers, what was printed as text."""
    return {
        "recipe": found.recipe,
        "title": found.title,
        "columns": [
            {
                "name": c.label,
                "of_one_chip": c.of_one_chip,
                "printed": {batch: float(figure) for batch, figure in c.printed.items()},
                "per_card": {batch: float(figure) for batch, figure in c.per_card.items()},
            }
            for c in found.columns
        ],
        "ratios": [
            {
                "of": r.of,
                "to": r.to,
                "printed": dict(r.printed),
                "exact": {batch: float(value) for batch, value in r.exact.items()},
                "right": {batch: float(value) for batch, value in r.right.items()},
                "wrong": sorted(r.wrong),
            }
            for r in found.ratios
        ],
        "findings": [
            {"what": c.what, "stated": c.stated, "correct": c.correct, "kind": c.kind, "note": c.note}
            for c in found.findings
        ],
    }
