"""The flipped images that are worth a look, and their pictures, taken while the image files are at hand."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

from seatrial.data.images import LabelledImage
from seatrial.data.thumbnails import make_thumbnail
from seatrial.errors import SeatrialError
from seatrial.evaluation.reference import ReferencePredictions
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.store.flips import FLIPS, MOST_FLIPS, Flip, FlipsRecord, list_flips, load_flips
from seatrial.store.predictions import Predictions, restrict
from seatrial.store.records import AccuracyRecord


def keep_flips(
    folder: Path,
    record: AccuracyRecord,
    predictions: tuple[ReferencePredictions, Predictions],
    images: Sequence[LabelledImage],
    recipe: Recipe,
    progress: Progress = silent,
) -> None:
    """Write `FLIPS` beside an accuracy record that was compared with a reference, unless it is there already.

    It only serves to be looked at: where it cannot be written, a note says so, and nothing fails.

    Args:
        predictions: the reference's, and the engine's.
        images: those behind them, and maybe more.
    """
    compared = record.compared
    if compared is None or load_flips(folder, record.name, record) is not None:
        return
    reference, ours = predictions
    theirs = restrict(reference.predictions, ours.ids)
    chosen = list_flips(theirs, ours)[:MOST_FLIPS]
    wanted = {flip.image for flip in chosen}
    image_of = {image.id: image for image in images if image.id in wanted}
    content_of = _find_contents(ours, wanted)
    flips = FlipsRecord(
        name=record.name,
        reference=compared.reference,
        predictions_sha256=record.predictions_sha256,
        reference_sha256=compared.reference_sha256,
        changed=compared.changed,
        flips=tuple(_add_thumbnail(flip, image_of.get(flip.image), recipe, content_of) for flip in chosen),
    )
    try:
        flips.save(folder / FLIPS.format(record.name))
    except SeatrialError as error:
        progress(Update("evaluate", note=f"{record.name}: flipped images are not kept ({error.problem})"))


def _find_contents(ours: Predictions, wanted: set[str]) -> dict[str, int]:
    """What identifies the files of some images; empty where the predictions do not say it of files."""
    if ours.contents is None or ours.of_prepared:
        return {}
    pairs: Iterator[tuple[str, int]] = zip(ours.ids, ours.contents.tolist(), strict=True)
    return {image: content for image, content in pairs if image in wanted}


def _add_thumbnail(flip: Flip, image: LabelledImage | None, recipe: Recipe, content_of: dict[str, int]) -> Flip:
    picture = b"" if image is None else make_thumbnail(image, recipe, content_of.get(flip.image))
    return flip.model_copy(update={"thumbnail": base64.b64encode(picture).decode()})
