"""Predictions held against each other, as text or JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seatrial.cli.output.progress import print_table

if TYPE_CHECKING:
    from seatrial.compare.predictions import Accuracy, Differences
    from seatrial.workflow.compare.predictions import Compared


def print_compared(found: "Compared", limit: int) -> None:
    """Accuracies, what flipped and where, and the verdict; at most `limit` images and classes."""
    _print_accuracies(found.accuracies)
    if found.differences is not None:
        _print_differences(found.differences, found.accuracies[1].name, limit)
    if found.gate is not None:
        print(f"\n{found.gate.outcome}: {found.gate.reason}")
    for gate in found.suspected:
        print(f"{'doubt' if found.gate is None else gate.outcome}: {gate.engine}: {gate.reason}")


def list_compared(found: "Compared") -> dict[str, object]:
    """Everything as plain values, every image that flipped."""
    from dataclasses import asdict

    values: dict[str, object] = {"accuracies": [asdict(accuracy) for accuracy in found.accuracies]}
    if found.differences is not None:
        values |= {
            "versus": found.differences.versus.model_dump(mode="json"),
            "flips": [asdict(flip) for flip in found.differences.flips],
            "classes": [asdict(change) for change in found.differences.classes],
            "scores": asdict(found.differences.scores) if found.differences.scores else None,
        }
    if found.suspected:
        values["suspected"] = [gate.model_dump(mode="json") for gate in found.suspected]
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
        f"{v.lost} lost, {v.gained} gained, {v.changed} answers changed ({v.changed / v.images:.1%}); "
        f"McNemar's p {v.p_value:.2g}"
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
