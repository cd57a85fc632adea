"""`seatrial diagnose`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli.options import Json
from seatrial.cli.output.progress import print_json, print_lines, print_table, show_progress, shows_progress

if TYPE_CHECKING:
    from seatrial.store.diagnosis import StageDiagnosis

NOTHING = "–"


@shows_progress
def diagnose(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A folder that `seatrial run` wrote.")],
    images: Annotated[Path | None, typer.Option(help="Folder of images; default: the run's own.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Label file; default: the run's, class folders beside --images.")
    ] = None,
    bins: Annotated[
        Path | None, typer.Option(help=".bin files of these images, compared with the card's preprocessing.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Images at most, evenly spaced.", min=1)] = 128,
    as_json: Json = False,
) -> int:
    """Find the first stage of a run that moves the predictions beyond its noise floor; writes RUN/diagnosis.json.

    Exit code 3 if a stage does, exit code 7 if none does but one could not be run here.
    """
    from seatrial.workflow.diagnose import DiagnoseSpec, diagnose_run

    with show_progress() as progress:
        found = diagnose_run(DiagnoseSpec(folder, images, labels, bins, limit), progress)
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return found.exit_code
    header = ["stage", "images", "top-1", "against", "relative error", "largest error", "flips", "floor", "verdict"]
    print_table(header, [_write_row(stage) for stage in found.stages], (0, 3, 8))
    for stage in found.stages:
        if stage.reason and stage.stage != found.first:
            print_lines(f"{stage.stage}: {stage.reason}")
    for finding in found.findings:
        print_lines(f"finding: {finding}")
    print_lines(found.conclusion)
    return found.exit_code


def _write_row(stage: "StageDiagnosis") -> list[str]:
    distance = stage.distance
    figures = [NOTHING, NOTHING, NOTHING]
    if distance is not None:
        figures = [f"{distance.relative_error:.1e}", f"{distance.largest_error:.1e}", str(distance.flips)]
    top1 = NOTHING if stage.top1 is None else f"{stage.top1:.2%}"
    floor = NOTHING if stage.floor is None else f"{stage.floor:.1e}"
    against = stage.against or NOTHING
    return [stage.stage, str(stage.images), top1, against, *figures, floor, stage.verdict]
