"""What judges write into records is told in the language of the report, whatever they find."""

import re
from collections.abc import Iterator

import numpy as np
import pytest

from seatrial.compare.gates import judge_changed, judge_drop
from seatrial.evaluation.plausibility import Seen, find_repeats, find_suspicions, suspect_changes
from seatrial.evaluation.reference import compare_first_classes
from seatrial.evaluation.statistics import Paired
from seatrial.recipes import load_recipe
from seatrial.report.language import LANGUAGES, retell, speaking
from seatrial.results.reproduction import judge_reproduction

ENGLISH = re.compile(r"[A-Za-z]+ [a-z]{2,} [a-z]{2,}")
CODE = re.compile(r"`[^`]+`")
IMAGES = np.arange(600)


def see(labels: np.ndarray, predicted: np.ndarray, classes: int = 12, **more: object) -> Seen:
    return Seen([f"{row}.jpg" for row in range(len(labels))], labels, predicted, classes, **more)  # type: ignore[arg-type]


def list_seen() -> Iterator[Seen]:
    """Predictions that cannot be believed, of each kind."""
    labels = IMAGES % 12
    yield see(labels, labels % 1)
    yield see(labels, np.where(IMAGES < 300, labels, (labels + 1 + IMAGES % 7) % 12), published=0.9)
    yield see(labels, (labels - 1) % 12)
    yield see(labels, (labels + 1) % 12)
    yield see(labels, 11 - labels)
    yield see(labels, np.random.default_rng(3).permutation(12)[labels])
    for first in (0, 1):
        as_text = np.array([number - first for number in sorted(range(first, 12 + first), key=str)])
        yield see(labels, np.argsort(as_text)[labels])
        yield see(labels, as_text[labels])
    yield see(labels, labels, swapped=Paired(10, 2, 70, 18))
    yield see(labels, labels, contents=(IMAGES // 2).astype(np.uint64))
    yield see(labels, labels, contents=(IMAGES % 120).astype(np.uint64))
    yield see(labels, labels, contents=np.where(IMAGES < 24, IMAGES % 12, IMAGES).astype(np.uint64))


def list_sentences() -> Iterator[str]:
    for seen in list_seen():
        for suspicion in find_suspicions(seen):
            yield f"{suspicion.reason}; {suspicion.fix}"
        yield from find_repeats(seen)
    zeros = np.zeros(600, dtype=np.int64)
    for lost, gained in ((0, 0), (3, 1), (6, 6), (200, 0)):
        predicted = np.where(lost > IMAGES, 1, zeros)
        versus = compare_first_classes(np.where(600 - gained <= IMAGES, 1, zeros), predicted, zeros, "torch")
        yield from (judge_drop("a", versus, 1.0).reason, judge_changed("a", versus, 0.01).reason)
        changes = suspect_changes(versus)
        yield from () if changes is None else (f"{changes.reason}; {changes.fix}",)
    recipe = load_recipe("resnet50")
    for hits, images, is_published in (
        (76, 100, None),
        (38_000, 50_000, True),
        (30_000, 50_000, None),
        (30, 50, False),
    ):
        found = judge_reproduction(recipe, hits, images, is_published)
        assert found is not None
        yield f"{found.outcome}: {found.reason}"


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_no_reason_stays_english(language: str) -> None:
    sentences = sorted(set(list_sentences()))
    assert len(sentences) > 15
    with speaking(language):
        left = [told for told in map(retell, sentences) if ENGLISH.search(CODE.sub("", told))]
    assert left == []
