"""Notes and doubts of an evaluation: images left out, odd files, machines that may differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from seatrial.data.images import LabelledImage
from seatrial.data.preprocessing.input_pipeline import InputPipeline
from seatrial.errors import DataError
from seatrial.evaluation.channels import may_be_swapped
from seatrial.evaluation.ledger import Tally
from seatrial.machine.environment import name_machine
from seatrial.store.measurement import Environment


def count_notes(tally: Tally, images: Sequence[LabelledImage]) -> tuple[str, ...]:
    """Each note on image files, with how many there are and the first."""
    counts = Counter(tally.notes.values())
    first = {note: images[index].id for index, note in sorted(tally.notes.items(), reverse=True)}
    return tuple(f"{counts[note]} images (first '{first[note]}') have {note}" for note in sorted(counts))


def find_machine_doubts(environment: Environment, tally: Tally) -> Iterator[str]:
    """Whether several kinds of machines ran the images, which may differ."""
    kinds = sorted(tally.machines | {name_machine(environment)})
    if len(kinds) > 1:
        yield f"run on {len(kinds)} kinds of CPU, which may differ in the last bits: {'; '.join(kinds)}"


def find_channel_doubts(
    untried: str, images: Sequence[LabelledImage], pipeline: InputPipeline, tally: Tally, own: bool
) -> Iterator[str]:
    """That swapped channels were not checked for, where they are possible.

    Args:
        untried: why not; empty where they were checked for or there was no reason to.
        own: of `evaluation.plausibility.find_published`.
    """
    if untried and may_be_swapped(images, pipeline, tally, own):
        yield f"not checked whether red and blue are swapped: {untried}"


def refuse_partial(left_out: Mapping[str, str], expected: int) -> None:
    """Refuse an accuracy over fewer images than the set has.

    Args:
        left_out: why an image has no prediction, by id.
        expected: how many images the set has.

    Raises:
        DataError: names the first ones.
    """
    listed = list(left_out.values())
    shown = "; ".join(listed[:3]) + (f"; and {len(listed) - 3} more" if len(listed) > 3 else "")
    raise DataError(
        f"{len(left_out)} of {expected} images have no prediction: {shown}",
        "mend them, or evaluate the rest with --allow-partial, which keeps finished predictions",
    )
