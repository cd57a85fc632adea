"""Notes and doubts of an evaluation: images left out, odd files, machines that may differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from seatrial.data.images import LabelledImage
from seatrial.errors import DataError
from seatrial.evaluation.channels import see_swappable
from seatrial.evaluation.executor import Evaluation, Observations
from seatrial.evaluation.ledger import Tally
from seatrial.evaluation.plausibility import Belief
from seatrial.machine.environment import name_machine

CHOSEN = "these images chose which layers of the graph stay in float: they do not prove its accuracy"
"""Of a graph that was quantised within a budget for the drop of their top-1 (`--max-drop-pp`)."""


def count_notes(tally: Tally, images: Sequence[LabelledImage]) -> tuple[str, ...]:
    """Each note on image files, with how many there are and the first."""
    counts = Counter(tally.notes.values())
    first = {note: images[index].id for index, note in sorted(tally.notes.items(), reverse=True)}
    return tuple(f"{counts[note]} images (first '{first[note]}') have {note}" for note in sorted(counts))


def find_doubts(evaluation: Evaluation, observations: Observations, belief: Belief) -> Iterator[str]:
    """Why another run may give other predictions, and what else does not speak against a verdict on these.

    Several kinds of machines that ran the images may differ; swapped channels may not have been checked for, where they
    are possible.
    """
    images, tally = evaluation.spec.images, observations.tally
    kinds = sorted(tally.machines | {name_machine(evaluation.executor.environment)})
    if len(kinds) > 1:
        yield f"run on {len(kinds)} kinds of CPU, which may differ in the last bits: {'; '.join(kinds)}"
    yield from belief.doubts
    calibration = evaluation.file.manifest.graph.calibration
    if calibration is not None and calibration.chosen_on == evaluation.listing:
        yield CHOSEN
    if observations.untried and see_swappable(images, evaluation.pipeline, tally, evaluation.own):
        yield f"not checked whether red and blue are swapped: {observations.untried}"


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
