"""An evaluation's predictions compared with a reference's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from seatrial.data.images import UNLABELLED, LabelledImage, are_labelled
from seatrial.errors import NotComparable, RefusedFile
from seatrial.evaluation.agreement import measure_agreement
from seatrial.evaluation.exact_drop import drop_interval
from seatrial.evaluation.plausibility import Belief, Seen, find_suspicions
from seatrial.evaluation.statistics import Paired, mcnemar_p
from seatrial.metrics.intervals import CONFIDENCE
from seatrial.store.files import hash_file
from seatrial.store.predictions import Predictions, check_same_images, refuse_replaced, restrict
from seatrial.store.records import AccuracyRecord, Compared, Comparison

AnyCompared = TypeVar("AnyCompared", bound=Compared)


@dataclass(frozen=True, slots=True)
class ReferencePredictions:
    """Predictions that others are compared with."""

    path: Path
    predictions: Predictions
    sha256: str
    """Hash of the file of predictions."""
    record: AccuracyRecord | None = None
    """That `evaluate` wrote beside them; None where there is none."""

    @property
    def name(self) -> str:
        """What they are called: their file's name, which is the engine's."""
        return self.path.stem

    @classmethod
    def load(cls, path: "Path | ReferencePredictions", classes: int | None = None) -> "ReferencePredictions":
        """Predictions and the record beside them; those that were read already stay as they are.

        Args:
            classes: that the network has.

        Raises:
            UsageError: there are no such predictions.
            RefusedFile: they are not those that the record was counted from, or no classifier of so many classes gave
                them.
        """
        if isinstance(path, ReferencePredictions):
            return path
        beside, record = path.with_suffix(".json"), None
        sha256 = hash_file(path) if path.is_file() else ""
        if sha256 and AccuracyRecord.stands_at(beside):
            loaded = AccuracyRecord.load(beside)
            record = loaded if loaded.predictions == path.name else None
        if record is not None and record.predictions_sha256 != sha256:
            raise RefusedFile(f"{path} does not match its record {beside.name}: checksum mismatch", "evaluate again")
        return cls(path, Predictions.load(path, classes), sha256, record)

    def believe(self, by_file: bool = True) -> Belief:
        """Whether the predictions can be believed: by themselves, and by the suspicions of their evaluation.

        Args:
            by_file: judge them by the labels in their file, by which their evaluation judged them too.
        """
        record, ours = self.record, self.predictions
        if record is not None and record.unchecked:
            return Belief(unchecked=record.unchecked)
        classes = int(ours.classes.max()) + 1 if record is None else record.classes
        labels = np.full(len(ours.ids), UNLABELLED) if ours.labels is None else ours.labels
        own = find_suspicions(Seen(ours.ids, labels, ours.classes[:, 0], classes, ours.contents))
        kinds = {suspicion.kind for suspicion in own}
        stored = record.suspicions if record is not None and by_file else ()
        return Belief((*own, *(suspicion for suspicion in stored if suspicion.kind not in kinds)))


def check_reference(reference: ReferencePredictions, images: Sequence[LabelledImage], name: str) -> None:
    """Refuse a reference that lacks some of the images, or has other labels, before any of them is run.

    Other files under the same names are noticed here where the source lists their contents, as packs do.

    Raises:
        NotComparable: names how many and the first.
    """
    theirs = reference.predictions
    row_of = {image: row for row, image in enumerate(theirs.ids)}
    lacking = [image.id for image in images if image.id not in row_of]
    if lacking:
        raise NotComparable(
            f"{reference.name} lacks {len(lacking)} of the {len(images)} images that {name} is evaluated on, "
            f"first '{lacking[0]}'",
            "evaluate both on the same set",
        )
    labels = None if theirs.labels is None or not are_labelled(images) else theirs.labels.tolist()
    other = [image.id for image in images if labels and labels[row_of[image.id]] != image.label]
    if other:
        raise NotComparable(
            f"{reference.name} was evaluated with other labels: {len(other)} differ, first that of '{other[0]}'",
            "evaluate both with the same labels",
        )
    if theirs.contents is not None and not theirs.of_prepared:
        contents = theirs.contents.tolist()
        hashed = [image for image in images if image.content is not None]
        replaced = [image.id for image in hashed if contents[row_of[image.id]] != image.known_content]
        refuse_replaced(replaced, len(images), (reference.name, name))


def compare_with(reference: ReferencePredictions, ours: Predictions, record: AccuracyRecord) -> AccuracyRecord:
    """The record of an evaluation, compared with a reference's predictions, image by image.

    Without labels there is no drop, and agreement is all that is known.

    Raises:
        NotComparable: the reference lacks some of the images, has other labels, or saw other files under their names.
    """
    theirs = restrict(reference.predictions, ours.ids)
    check_same_images(theirs, ours, (reference.name, record.name))
    confidence = CONFIDENCE if record.early_stopping is None else record.early_stopping.confidence
    before, after = theirs.classes[:, 0], ours.classes[:, 0]
    versus = None
    if ours.labels is not None:
        versus = compare_first_classes(before, after, ours.labels, reference.name, confidence)
    facts: dict[str, object] = {"suspicions": reference.believe().suspicions, "reference_sha256": reference.sha256}
    if theirs.contents is None and ours.contents is not None:
        unknown = f"{reference.name}: its predictions do not identify their image files, so replaced ones go unnoticed"
        facts["doubts"] = (unknown,)
    agreement = measure_agreement(theirs, ours, reference.name).model_copy(update=facts)
    compared = {
        "agreement": name_differences(agreement, reference, record),
        "versus": versus and name_differences(versus.model_copy(update=facts), reference, record),
    }
    return record.model_copy(update=compared)


def compare_first_classes(
    reference: NDArray[np.integer],
    predicted: NDArray[np.integer],
    labels: NDArray[np.integer],
    name: str,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Compare first classes (n,) with a reference's on the same images in the same order; `name` is the reference's."""
    paired = Paired.of(reference == labels, predicted == labels)
    low, high = drop_interval(paired, confidence)
    return Comparison(
        reference=name,
        images=paired.count,
        both_right=paired.both_right,
        lost=paired.lost,
        gained=paired.gained,
        changed=int((reference != predicted).sum()),
        drop_pp=100 * paired.drop,
        low_pp=100 * low,
        high_pp=100 * high,
        confidence=confidence,
        p_value=mcnemar_p(paired.lost, paired.gained),
    )


def name_differences(compared: AnyCompared, reference: ReferencePredictions, record: AccuracyRecord) -> AnyCompared:
    """A comparison with what else than the engine differs, from the record beside the reference's predictions."""
    other = reference.record
    if other is None:
        return compared
    weights = (other.checkpoint_sha256, record.checkpoint_sha256)
    # Of graphs from elsewhere only those of one file are known to have the same.
    graphs = {each.graph_origin or each.graph_sha256 for each in (other, record)}
    others = weights[0] != weights[1] or (not any(weights) and len(graphs) > 1)
    differs = {
        "its preprocessing differs": other.preprocess_hash != record.preprocess_hash,
        "its weights differ": others and all(weights),
        "whether it has the same weights is not known": others and not all(weights),
        "image files have changed since": _have_changed(other, record),
    }
    doubts = tuple(f"{reference.name}: {text}" for text, applies in differs.items() if applies)
    return compared.model_copy(update={"doubts": (*doubts, *compared.doubts), "other_weights": others})


def _have_changed(a: AccuracyRecord, b: AccuracyRecord) -> bool:
    """Whether two evaluations of equally many images saw other files: by their bytes, else by sizes and times."""
    if a.images != b.images:
        return False  # Of a part of the images every hash is another anyway.
    if None not in (a.contents_hash, b.contents_hash):
        return a.contents_hash != b.contents_hash
    return None not in (a.images_hash, b.images_hash) and a.images_hash != b.images_hash
