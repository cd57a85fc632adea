"""What a comparison of a card's preprocessing with its library's own found."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from seatrial.store.record import Record
from seatrial.strict import Strict


class PixelDifference(Strict):
    """How two ways from images to tensors differ."""

    share: Annotated[float, Field(ge=0, le=1)]
    """Of all values, how many are of other pixels."""
    largest_levels: Annotated[float, Field(ge=0)]
    """The largest difference, in levels of 0..255 before the normalisation."""


class PreprocessingProof(Record):
    """The card's steps beside the transform of the library that described the model, on the same images."""

    schema_: Literal["preprocessing-proof/1"] = Field(default="preprocessing-proof/1", alias="schema")
    preprocess: str
    """The hash of the card's steps."""
    origin: str
    """The reference, and the version of the library."""
    images: PositiveInt
    drawn: bool
    """Whether they are drawn ones of odd sizes, modes and shapes, not the user's."""
    allowed_levels: float
    """0 for Pillow's arithmetic, 1 for tensors'."""
    difference: PixelDifference
    """From the library's transform with Pillow resizing rows first, as all versions before 13 do."""
    installed: PixelDifference
    """From the library's transform with the installed Pillow as it is."""
    pillow: str
    """Its version."""

    @property
    def holds(self) -> bool:
        """Whether the card does what the library does."""
        # Floats that are scaled and shifted in another order differ in their last digits.
        return self.difference.share == 0 or self.difference.largest_levels <= self.allowed_levels + 0.01

    def describe(self) -> str:
        """The finding in a sentence."""
        kind = "drawn images" if self.drawn else "images"
        if not self.holds:
            return (
                f"the card's preprocessing is not that of {self.origin}: {self.difference.share:.2%} of the values of "
                f"{self.images} {kind} differ, by up to {self.difference.largest_levels:.1f} levels of 255"
            )
        equal = "equals" if self.difference.share == 0 else "is within one level of"
        return f"the card's preprocessing {equal} that of {self.origin} on {self.images} {kind}"

    def note(self) -> str | None:
        """What the installed Pillow does differently; None where it does nothing so."""
        if self.installed.share <= self.difference.share:
            return None
        return (
            f"Pillow {self.pillow} resizes columns first where that is cheaper, so that the library's own transform "
            f"differs here in {self.installed.share:.2%} of the values, by up to {self.installed.largest_levels:.1f} "
            "levels; published figures are of rows first, which the card keeps"
        )
