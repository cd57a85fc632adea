"""`seatrial compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.options import Json
from seatrial.cli.show import print_json, print_table, showing

if TYPE_CHECKING:
    from seatrial.compare.predictions import Accuracy, Differences
    from seatrial.workflow.comparing import Compared


def compare(
    files: Annotated[
        list[Path], typer.Argument(metavar="A [B]", help="Predictions (.parquet) of `evaluate`; A is the reference.")
    ],
    gate_pp: Annotated[float | None, typer.Option(help="Judge B's drop of top-1, in points.", min=0.0)] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Judge by this file of `NAME CLASS` lines, not by the labels in A and B.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Images and classes to list; JSON has them all.", min=0)] = 10,
    as_json: Json = False,
) -> int:
    """Hold predictions against a reference's on the same images: what flipped, where, and whether it matters."""
    from seatrial.compare.verdict import ACCURACY_FAILED, INCONCLUSIVE
    from seatrial.workflow.comparing import CompareSpec, compare_files

    with showing() as progress:
        found = compare_files(CompareSpec(files, labels, gate_pp), progress)
    if as_json:
        print_json(_write_json(found))
    else:
        _print_accuracies(found.accuracies)
        if found.differences is not None:
            _print_differences(found.differences, found.accuracies[1].name, limit)
        if found.gate is not None:
            print(f"\n{found.gate.outcome}: {found.gate.reason}")
    codes = {"PASS": 0, "FAIL": ACCURACY_FAILED, "INCONCLUSIVE": INCONCLUSIVE}
    return codes[found.gate.outcome] if found.gate else 0


def _write_json(found: "Compared") -> dict[str, object]:
    from dataclasses import asdict

    values: dict[str, object] = {"accuracies": [asdict(accuracy) for accuracy in found.accuracies]}
    if found.differences is not None:
        values |= {
            "versus": found.differences.versus.model_dump(mode="json"),
            "flips": [asdict(flip) for flip in found.differences.flips],
            "classes": [asdict(change) for change in found.differences.classes],
            "scores": asdict(found.differences.scores) if found.differences.scores else None,
        }
    if found.gate is not None:
        values["gate"] = found.gate.model_dump(mode="json")
    return values


def _print_accuracies(accuracies: Sequence["Accuracy"]) -> None:
    rows = []
    for k in range(max(len(accuracy.hits) for accuracy in accuracies)):
        cells = [_write_accuracy(accuracy, k) if k < len(accuracy.hits) else "" for accuracy in accuracies]
        rows.append([f"top-{k + 1}", *cells])
    print_table([f"{accuracies[0].images} images", *(accuracy.name for accuracy in accuracies)], rows)


def _write_accuracy(accuracy: "Accuracy", k: int) -> str:
    low, high = accuracy.intervals[k]
    return f"{accuracy.shares[k]:.2%} ({100 * low:.2f} to {100 * high:.2f})"


def _print_differences(found: "Differences", name: str, limit: int) -> None:
    v = found.versus
    print(
        f"\n{name} against {v.reference}: drop {v.drop_pp:.2f} points ({v.low_pp:.2f} to {v.high_pp:.2f}), "
        f"{v.lost} lost, {v.gained} gained, {v.changed} answers changed; McNemar's p {v.p_value:.2g}"
    )
    if found.scores is None:
        print("all best scores are the same")
    else:
        s = found.scores
        print(
            f"{s.images} of {v.images} best scores differ, most that of {s.id}: {s.score:g} against {s.reference:g} "
            f"(by {abs(s.score - s.reference):.2g})"
        )
    for doubt in v.doubts:
        print(f"doubt: {doubt}, so the drop may not be the engine's")
    _print_classes(found, name, limit)
    _print_flips(found, name, limit)


def _print_classes(found: "Differences", name: str, limit: int) -> None:
    if not (found.classes and limit):
        return
    rows = []
    for c in found.classes[:limit]:
        shares = (f"{c.reference_right / c.images:.1%}", f"{c.right / c.images:.1%}")
        rows.append([str(c.label), str(c.images), *shares, str(c.lost), str(c.gained)])
    print("\nclasses that lost most")
    print_table(["class", "images", found.versus.reference, name, "lost", "gained"], rows)
    _print_rest(len(found.classes) - limit, "classes")


def _print_flips(found: "Differences", name: str, limit: int) -> None:
    if not (found.flips and limit):
        return
    rows = [[f.id, str(f.label), str(f.reference), str(f.answer), f.kind] for f in found.flips[:limit]]
    print("\nimages whose answer changed")
    print_table(["image", "label", found.versus.reference, name, ""], rows, left=(0, 4))
    _print_rest(len(found.flips) - limit, "images")


def _print_rest(count: int, things: str) -> None:
    if count > 0:
        print(f"… and {count} more {things}: see --limit and --json")
