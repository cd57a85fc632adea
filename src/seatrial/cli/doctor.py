"""`seatrial doctor`."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.completion import complete_engines, complete_references
from seatrial.cli.options import Json, Labels
from seatrial.cli.output.progress import print_json, print_lines, print_table, show_progress, shows_progress
from seatrial.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from seatrial.engines.base import Capabilities
    from seatrial.workflow.doctor import Check

Engine = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME[:PRECISION][@DEVICE]]",
        help="Why this engine does not work here.",
        autocompletion=complete_engines,
    ),
]
Images = Annotated[Path | None, typer.Option(help="Look at every image of this folder, and at its labels.")]
Recipe = Annotated[
    str | None,
    typer.Option(help="Model reference whose classes --labels are; default: any.", autocompletion=complete_references),
]
Network = Annotated[bool, typer.Option("--network", help="Ask the hosts of published weights whether they answer.")]


@shows_progress
def doctor(
    engine: Engine = None,
    images: Images = None,
    labels: Labels = None,
    recipe: Recipe = None,
    network: Network = False,
    as_json: Json = False,
) -> int:
    """List what can be used here, or say why an engine, a set of images or the network cannot.

    Exit code 5 where the engine or the network that was asked for cannot work, 6 where the images cannot.
    """
    if images is None and (labels is not None or recipe is not None):
        raise UsageError("--labels and --recipe are for a set of images", "give --images")
    from seatrial.workflow.compile import probe_engines
    from seatrial.workflow.doctor import check_disk, check_engine_here, check_network, check_set, check_versions

    requested: list[Check] = []
    with show_progress() as progress:
        requested += check_engine_here(engine) if engine is not None else ()
        requested += check_set(images, labels, recipe, progress) if images is not None else ()
        requested += check_network() if network else ()
    everything = engine is None and images is None and not network
    found = probe_engines() if everything else ()
    checks = [*requested, *check_versions(), *check_disk()]
    if as_json:
        print_json({**({"engines": [asdict(has) for has in found]} if everything else {}), "checks": checks})
    else:
        if everything:
            print_engines(found)
        print_checks(checks if not everything else [check for check in checks if not check.ok])
    return next((check.code for check in requested if not check.ok), ExitCode.PASS)


MADE_BY = {"fp16": "`seatrial compile` converts to fp16", "int8": "`seatrial quantize` makes int8"}
"""What brings a precision into a graph."""


def print_engines(found: "Sequence[Capabilities]") -> None:
    """Print a table of engines, and what is missing of those that cannot be used."""
    rows = []
    for has in found:
        devices = [
            f"{d} ({h})" if h else d for d, h in zip(has.devices, has.hardware or [""] * len(has.devices), strict=True)
        ]
        batch = ("any" if has.free_batch else "fixed") if has.version else "–"
        inside = [f"{name}*" if name in has.in_graph else name for name in has.precisions]
        rows.append([has.engine, has.version or "–", ", ".join(devices) or "–", ", ".join(inside) or "–", batch])
    print_table(["engine", "version", "devices", "precisions", "batch"], rows, left=(0, 1, 2, 3, 4))
    marked = {name for has in found for name in has.precisions if name in has.in_graph}
    ways = [words for name, words in MADE_BY.items() if name in marked]
    if ways:
        print_lines(f"* in the graph: {', '.join(ways)}")
    for has in found:
        if has.missing:
            print_lines(f"{has.engine}: {has.missing}; {has.install_hint}")


def print_checks(checks: "Iterable[Check]") -> None:
    """Print a line for each check, with what mends one that fails."""
    for check in checks:
        state = "ok" if check.ok else "no"
        print_lines(f"{state}  {check.topic:>12}  {check.found}{f'; {check.fix}' if check.fix else ''}")
