"""An evaluation's predictions held against a reference's."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from seatrial.data.labels import LabelledImage
from seatrial.errors import NotComparable, RefusedFile, SeatrialError
from seatrial.evaluation.comparison import compare_answers
from seatrial.store.files import hash_file
from seatrial.store.predictions import Predictions, check_same_images, restrict
from seatrial.store.records import AccuracyRecord, Comparison
from seatrial.workflow.certainty import bound_confidence

OTHER_WEIGHTS = "its weights are others"


def check_own(predictions: Path) -> None:
    """Refuse predictions that are not those that the record beside them was counted from, where there is one.

    Raises:
        RefusedFile: they were altered, or belong to another record.
    """
    beside = predictions.with_suffix(".json")
    if not (predictions.is_file() and AccuracyRecord.stands_at(beside)):
        return
    record = AccuracyRecord.load(beside)
    if record.predictions == predictions.name and record.predictions_sha256 != hash_file(predictions):
        raise RefusedFile(f"{predictions} is not the file that {beside} was counted from", "evaluate again")


def check_reference(reference: Path, images: Sequence[LabelledImage], name: str, classes: int | None = None) -> None:
    """Refuse a reference that lacks some of the images, or has other labels, before any of them is run.

    Args:
        classes: that the network has.

    Raises:
        NotComparable: says how many and the first.
        UsageError: there are no such predictions.
        RefusedFile: they are damaged, or no classifier of so many classes gave them.
    """
    check_own(reference)
    found = Predictions.load(reference, classes)
    label_of = dict(zip(found.ids, found.labels.tolist(), strict=True))
    lacking = [image.id for image in images if image.id not in label_of]
    if lacking:
        raise NotComparable(
            f"{reference.stem} lacks {len(lacking)} of the {len(images)} images that {name} is evaluated on, "
            f"first '{lacking[0]}'",
            "evaluate both on the same set",
        )
    other = [image.id for image in images if label_of[image.id] != image.label]
    if other:
        raise NotComparable(
            f"{reference.stem} was evaluated with other labels: {len(other)} differ, first that of '{other[0]}'"
        )


def compare_with(reference: Path, output: Path, record: AccuracyRecord) -> Comparison:
    """Hold an evaluation's predictions against a reference's, image by image.

    Raises:
        NotComparable: the reference lacks some of the images, has other labels, or saw other files under their names.
    """
    ours = Predictions.load(output / record.predictions)
    theirs = restrict(Predictions.load(reference), ours.ids)
    check_same_images(theirs, ours, (reference.stem, record.name))
    confidence = bound_confidence(record.certainty)
    compared = compare_answers(theirs.classes[:, 0], ours.classes[:, 0], ours.labels, reference.stem, confidence)
    return name_differences(compared.model_copy(update={"reference_sha256": hash_file(reference)}), reference, record)


def name_differences(compared: Comparison, reference: Path, record: AccuracyRecord) -> Comparison:
    """A comparison with what else than the engine differs, from the record beside the reference's predictions."""
    doubts = find_differences(reference, record)
    others = any(doubt.endswith(OTHER_WEIGHTS) for doubt in doubts)
    return compared.model_copy(update={"doubts": doubts, "other_weights": others})


def find_differences(reference: Path, record: AccuracyRecord) -> tuple[str, ...]:
    """What else than the engine differs from the reference's evaluation, from the record beside its predictions."""
    with contextlib.suppress(SeatrialError):
        other = AccuracyRecord.load(reference.with_suffix(".json"))
        checks = {
            "its images came through another preprocessing": other.preprocess_hash != record.preprocess_hash,
            OTHER_WEIGHTS: other.checkpoint_sha256 != record.checkpoint_sha256,
            # Of a part of the images the hash is another anyway.
            "image files have changed since": None not in (other.images_hash, record.images_hash)
            and other.images_hash != record.images_hash
            and other.images == record.images,
        }
        return tuple(f"{reference.stem}: {text}" for text, differs in checks.items() if differs)
    return ()
