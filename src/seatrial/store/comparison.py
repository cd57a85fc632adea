"""An engine compared with a reference on the same images: by what is right, and by agreement alone."""

from typing import Literal

from seatrial.metrics.intervals import CONFIDENCE
from seatrial.strict import Strict


class Suspicion(Strict):
    """Something that speaks against believing predictions: see `evaluation.plausibility`."""

    kind: str
    reason: str
    """In words, with the figures."""
    fix: str


class Compared(Strict):
    """Two engines on the same images: which, and what speaks against comparing them."""

    reference: str
    reference_sha256: str = ""
    """Of the reference's predictions; empty in old records."""
    images: int
    changed: int
    """Images whose first class differs, right or wrong."""
    other_weights: bool = False
    """The two have different weights, or nobody knows, so that changed predictions are to be expected."""
    doubts: tuple[str, ...] = ()
    """Why the difference may not be the engine's."""
    suspicions: tuple[Suspicion, ...] = ()
    """What speaks against believing the reference, so that nothing against it proves anything."""


class Agreement(Compared):
    """How far two engines agree, whatever the labels are: see `evaluation.agreement`."""

    share: float
    """Of the images whose first class is the same."""
    low: float
    """Lower one-sided 95 % bound of the share, exact."""
    high: float
    """Upper one-sided 95 % bound."""
    weighted_flips: float | None = None
    """Share of the reference's margins that lies on images whose first class differs; None without a second class."""
    confidence_drift: float | None = None
    """Mean change of the confidence in the first class, 0..1; None without a second class."""
    confidence_change: float | None = None
    """The mean of its size, without its sign."""
    confidence_among: Literal["all classes", "stored classes"] = "stored classes"
    """Which scores the softmax was taken over."""


class Comparison(Compared):
    """Two engines on the same labelled images, image by image."""

    both_right: int
    lost: int
    """Right in the reference, wrong here."""
    gained: int
    """Wrong in the reference, right here."""
    drop_pp: float
    low_pp: float
    """Lower one-sided 95 % bound of the drop; negative is a gain."""
    high_pp: float
    """Upper one-sided 95 % bound of the drop."""
    confidence: float = 0.95
    """Of each bound, where it is another: a verdict that fell early needs more."""
    p_value: float
    """Exact McNemar test of no difference, two-sided."""


def find_confidence(compared: Compared) -> float:
    """Confidence of each bound that is taken of a comparison: of early stopping, or one of many verdicts, it is higher.

    The looks at which an evaluation may stop share the chance of an error, so bounds of other figures hold at it too.
    """
    return compared.confidence if isinstance(compared, Comparison) else CONFIDENCE
