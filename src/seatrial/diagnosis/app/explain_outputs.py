"""Which fault makes of a kit's images the logits, probabilities or best classes that a program gave.

The kit has the network's logits with each fault, so that nothing is run here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

from seatrial.metrics.noise_floor import FLOORS
from seatrial.store.app_kit import NOISE, SOUND

Outputs = NDArray[np.float64]
"""(images, classes)."""
CLEARER = 3.0
"""A fault must leave so many times less than no fault."""
ALIKE = 1.5
"""Faults that leave no more than so many times the least cannot be told apart."""
HALF = 0.5
"""Share of ranks: a coarse engine may change fewer."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a program does with logits."""

    name: str
    words: str
    apply: Callable[[Outputs], Outputs]
    first: int = 0
    """Number of the network's first class."""
    faulty: bool = True


ENDINGS: tuple[Ending, ...] = (
    Ending("", "", lambda z: z, faulty=False),
    Ending("softmax", "probabilities (softmax)", lambda z: softmax(z, axis=1), faulty=False),
    Ending("log-softmax", "logarithms of probabilities", lambda z: log_softmax(z, axis=1), faulty=False),
    Ending("softmax-twice", "softmax is applied twice", lambda z: softmax(softmax(z, axis=1), axis=1)),
    Ending("sigmoid", "a sigmoid in the place of the softmax", expit),
    Ending("labels-up", "classes are shifted by one: each is one too high", lambda z: np.roll(z, 1, axis=1), 1),
    Ending("labels-down", "classes are shifted by one: each is one too low", lambda z: np.roll(z, -1, axis=1), -1),
    Ending(
        "labels-up-softmax",
        "classes are shifted by one: each is one too high",
        lambda z: np.roll(softmax(z, axis=1), 1, axis=1),
        1,
    ),
    Ending(
        "labels-down-softmax",
        "classes are shifted by one: each is one too low",
        lambda z: np.roll(softmax(z, axis=1), -1, axis=1),
        -1,
    ),
)
BACKGROUND = Ending("background", "a background class comes first: each class is one too high", lambda z: z, 1)


@dataclass(frozen=True, slots=True)
class OutputExplanation:
    """What explains a program's outputs best."""

    fault: str
    """Name of a fault, or `SOUND`."""
    ending: Ending
    verdict: str
    """same, differs, cannot tell."""
    explained: bool
    error: float
    """From what a sound program gives with this ending."""
    floor: float
    alternatives: tuple[str, ...]
    """Names of other faults that explain it as well."""
    changed: int


def explain_outputs(values: NDArray[np.floating], known: Mapping[str, NDArray[np.floating]]) -> OutputExplanation:
    """What explains logits or probabilities (n, classes) or with a background class in front.

    Args:
        known: logits (n, classes) of the network by fault, with `SOUND` and `NOISE` among them.
    """
    given = values.astype(np.float64)
    right = known[SOUND].astype(np.float64)
    endings = ENDINGS
    if given.shape[1] == right.shape[1] + 1:
        given, endings = given[:, 1:], (BACKGROUND, Ending("background", BACKGROUND.words, ENDINGS[1].apply, 1))
    rows = {name: logits.astype(np.float64) for name, logits in known.items() if name != NOISE}
    errors = {
        (name, at): _measure(given, ending.apply(logits))
        for name, logits in rows.items()
        for at, ending in enumerate(endings)
    }
    (fault, at), least = min(errors.items(), key=lambda each: each[1])
    # As a program ends, so it ends with any fault.
    ending, sound = endings[at], errors[SOUND, at]
    floor = _measure(ending.apply(known[NOISE].astype(np.float64)), ending.apply(right))
    floor = max(floor, FLOORS["fp32"].relative_error)
    alike = tuple(n for n in rows if n != fault and errors[n, at] <= max(ALIKE * least, floor))
    changed = int((given.argmax(axis=1) != right.argmax(axis=1)).sum())
    if sound <= floor:
        verdict = "differs" if ending.faulty else "same"
        return OutputExplanation(SOUND, ending, verdict, True, sound, floor, (), changed)
    if least <= max(floor, sound / CLEARER):
        return OutputExplanation(fault, ending, "differs", True, sound, floor, alike, changed)
    verdict = "cannot tell" if sound <= FLOORS["int8"].relative_error and not ending.faulty else "differs"
    return OutputExplanation(SOUND, ending, verdict, False, sound, floor, alike, changed)


def explain_classes(values: NDArray[np.int64], known: Mapping[str, NDArray[np.floating]]) -> OutputExplanation:
    """What explains best classes (n, k), the best first; arguments otherwise as of `explain_outputs`."""
    count, classes = values.shape[1], known[SOUND].shape[1]
    ranks = {name: np.argsort(-logits, axis=1, kind="stable")[:, :count] for name, logits in known.items()}
    shifts = {ending.first: ending for ending in (ENDINGS[0], ENDINGS[5], ENDINGS[6])}
    errors = {
        (name, shift): float(np.minimum(values - shift != rank, (values - shift) % classes != rank).mean())
        for name, rank in ranks.items()
        for shift in shifts
        if name != NOISE
    }
    (fault, shift), least = min(errors.items(), key=lambda each: each[1])
    sound, ending = errors[SOUND, shift], shifts[shift]
    floor = float((ranks[NOISE] != ranks[SOUND]).mean())
    alike = tuple(
        name
        for name in ranks
        if name not in (SOUND, NOISE, fault)
        and errors[name, shift] <= max(least, floor)
        and _measure(known[name].astype(np.float64), known[SOUND].astype(np.float64)) > _find_noise(known)
    )
    changed = int((values[:, 0] != ranks[SOUND][:, 0]).sum())
    if sound <= floor:
        verdict = "differs" if shift else "cannot tell" if alike else "same"
        return OutputExplanation(SOUND, ending, verdict, True, sound, floor, alike, changed)
    if least <= max(floor, sound / CLEARER):
        return OutputExplanation(fault, ending, "differs", True, sound, floor, alike, changed)
    verdict = "cannot tell" if sound <= HALF and not shift else "differs"
    return OutputExplanation(SOUND, ending, verdict, False, sound, floor, alike, changed)


def _find_noise(known: Mapping[str, NDArray[np.floating]]) -> float:
    """What one level of noise on every pixel does to the logits."""
    return _measure(known[NOISE].astype(np.float64), known[SOUND].astype(np.float64))


def _measure(given: Outputs, made: Outputs) -> float:
    """Relative error of rows whose mean is taken off: what is added to all logits of an image changes nothing."""
    given, made = (each - each.mean(axis=1, keepdims=True) for each in (given, made))
    size = float(np.linalg.norm(made))
    return float(np.linalg.norm(given - made)) / size if size else np.inf
