"""Units of figures, so that nobody adds milliseconds to bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import add, sub


@dataclass(frozen=True, slots=True)
class Unit:
    """A product of powers of named units; without any it is a plain number, which may be added to anything."""

    powers: tuple[tuple[str, int], ...] = ()

    @classmethod
    def named(cls, name: str) -> "Unit":
        """The unit of that name."""
        return cls(((name, 1),))

    def __str__(self) -> str:
        above, below = ([f"{n}^{abs(p)}" if abs(p) > 1 else n for n, p in self.powers if p * s > 0] for s in (1, -1))
        return "·".join(above) + "".join(f"/{name}" for name in below)

    def __add__(self, other: "Unit") -> "Unit":
        if self.powers and other.powers and self.powers != other.powers:
            raise ValueError(f"it sets {self} against {other}")
        return self if self.powers else other

    __sub__ = __add__

    def __mul__(self, other: "Unit") -> "Unit":
        return self._join(other, add)

    def __truediv__(self, other: "Unit") -> "Unit":
        return self._join(other, sub)

    def __neg__(self) -> "Unit":
        return self

    def _join(self, other: "Unit", sign: Callable[[int, int], int]) -> "Unit":
        own, theirs = dict(self.powers), dict(other.powers)
        powers = {name: sign(own.get(name, 0), theirs.get(name, 0)) for name in {**own, **theirs}}
        return Unit(tuple(sorted((name, power) for name, power in powers.items() if power)))


NUMBER = Unit()
"""Of a plain number, and of a ratio of two like things."""
