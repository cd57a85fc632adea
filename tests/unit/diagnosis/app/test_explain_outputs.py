"""Logits, probabilities and best classes are told from those of faults by the logits in the kit."""

import numpy as np
import pytest
from scipy.special import softmax

from seatrial.diagnosis.app.explain_outputs import explain_classes, explain_outputs
from seatrial.store.app_kit import NOISE, SOUND

RNG = np.random.default_rng(0)
RIGHT = RNG.normal(0, 3, (32, 50)).astype(np.float32)
KNOWN = {
    SOUND: RIGHT,
    NOISE: RIGHT + RNG.normal(0, 0.003, RIGHT.shape).astype(np.float32),
    "bgr": RIGHT + RNG.normal(0, 1, RIGHT.shape).astype(np.float32),
    "squash": RIGHT + RNG.normal(0, 1, RIGHT.shape).astype(np.float32),
}


def rank(
    logits: np.ndarray[tuple[int, ...], np.dtype[np.float32]], count: int = 5
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.argsort(-logits, axis=1, kind="stable")[:, :count]


def test_sound_outputs_are_the_same_in_any_form() -> None:
    for given in (RIGHT, RIGHT + 7, softmax(RIGHT, axis=1)):
        found = explain_outputs(given, KNOWN)
        assert (found.fault, found.verdict, found.changed) == (SOUND, "same", 0)


def test_a_fault_is_named_by_its_logits() -> None:
    for given in (KNOWN["bgr"], softmax(KNOWN["bgr"], axis=1)):
        found = explain_outputs(given, KNOWN)
        assert (found.fault, found.verdict, found.explained, found.alternatives) == ("bgr", "differs", True, ())
        assert found.changed == (KNOWN["bgr"].argmax(1) != RIGHT.argmax(1)).sum() > 0


@pytest.mark.parametrize(
    ("given", "ending"),
    [
        (softmax(softmax(RIGHT, axis=1), axis=1), "softmax-twice"),
        (np.roll(RIGHT, 1, axis=1), "labels-up"),
        (np.roll(RIGHT, -1, axis=1), "labels-down"),
        (np.concatenate([np.zeros((32, 1), np.float32), RIGHT], axis=1), "background"),
    ],
)
def test_what_is_done_to_outputs_is_named(
    given: np.ndarray[tuple[int, ...], np.dtype[np.float32]], ending: str
) -> None:
    found = explain_outputs(given, KNOWN)
    assert (found.fault, found.ending.name, found.verdict) == (SOUND, ending, "differs")


def test_what_a_coarse_engine_may_do_is_not_judged() -> None:
    found = explain_outputs(RIGHT + RNG.normal(0, 0.1, RIGHT.shape), KNOWN)
    assert (found.verdict, found.explained) == ("cannot tell", False)
    assert explain_outputs(RNG.normal(0, 3, RIGHT.shape), KNOWN).verdict == "differs"


def test_best_classes_name_what_they_can() -> None:
    assert explain_classes(rank(RIGHT), KNOWN).verdict == "same"
    found = explain_classes(rank(KNOWN["squash"]), KNOWN)
    assert (found.fault, found.verdict) == ("squash", "differs")
    found = explain_classes(rank(RIGHT) + 1, KNOWN)
    assert (found.fault, found.ending.name, found.verdict, found.changed) == (SOUND, "labels-up", "differs", 32)


def test_faults_that_give_the_same_classes_leave_it_open() -> None:
    known = {**KNOWN, "exif": RIGHT * 1.5}
    found = explain_classes(rank(RIGHT, 1), known)
    assert (found.verdict, found.alternatives) == ("cannot tell", ("exif",))
