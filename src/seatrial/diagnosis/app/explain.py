"""Which faults make of a kit's images what a program's network was given.

A program is first compared at a few blocks of 2 × 2 pixels of each image with every fault and with pairs of them;
what explains these blocks best is then compared everywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seatrial.diagnosis.app.faults import FAULTS, ON_TENSORS, PARTS, Fault, combine
from seatrial.diagnosis.app.program import Levels, Program, make_sound, make_tensors
from seatrial.diagnosis.explain_preprocessing import describe_scale, fit_planes
from seatrial.recipes.schema import Recipe

BLOCKS = 32
"""Of 2 × 2 pixels in each image."""
BEAM = 6
"""Combinations that are tried with each further fault."""
MOST = 3
"""Faults that are named together."""
ROUNDING = 0.75
"""Levels on average over an image that another rounding of the same pixels may leave."""
BETTER = 0.25
"""A further fault must leave less than this share of what is left without it."""
MOSTLY = 0.7
"""Where nothing explains all, faults are named that leave less than this share."""
NOTHING = 0.01
"""Levels on average that need no explanation."""
CAP = 255.0


@dataclass(frozen=True, slots=True)
class Explained:
    """Faults, and what they leave unexplained."""

    faults: tuple[Fault, ...]
    left: float
    """Levels on average over all images."""
    worst: float
    """Levels on average in the image that is explained worst."""

    @property
    def holds(self) -> bool:
        """Whether no more than rounding is left in any image."""
        return self.worst <= ROUNDING


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a program does otherwise."""

    faults: tuple[Fault, ...]
    """In the order of the pipeline; none: nothing, or nothing that is known."""
    left: float
    holds: bool
    measured: str = ""
    """Another mean and standard deviation, read off the values, where no known one explains them."""


@dataclass
class KitPixels:
    """What faults make of a kit's images at its blocks, each made once."""

    files: Sequence[tuple[str, bytes]]
    """Name and bytes of each image."""
    recipe: Recipe
    decoded: dict[tuple[str, ...], list[Image.Image]] = field(default_factory=dict)
    pixels: dict[tuple[str, ...], Levels] = field(default_factory=dict)
    """Blocks (n, 2, 2 · blocks, channels) of each combination of faults before the tensors."""
    made: dict[frozenset[str], tuple[Program, Levels] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        height, width = self.recipe.input_size
        rng = np.random.default_rng(0)
        tops, lefts = (2 * rng.integers(0, max(1, side // 2), BLOCKS) for side in (height, width))
        self.rows = np.stack([np.repeat(tops, 2), np.repeat(tops, 2) + 1]).clip(0, height - 1)
        self.columns = np.stack([np.stack([lefts, lefts + 1], axis=1).ravel()] * 2).clip(0, width - 1)

    def see(self, program: Program, faults: tuple[Fault, ...]) -> Levels:
        """The pixels of a program with these faults."""
        early = tuple(sorted(fault.name for fault in faults if fault.part not in ON_TENSORS))
        if early not in self.pixels:
            decoding = tuple(sorted(fault.name for fault in faults if fault.part == "decoding"))
            if decoding not in self.decoded:
                self.decoded[decoding] = [program.decode(data, name) for name, data in self.files]
            made = [program.make_pixels(image)[self.rows, self.columns] for image in self.decoded[decoding]]
            self.pixels[early] = np.stack(made).astype(np.float32)
        return self.pixels[early]

    def make(self, faults: tuple[Fault, ...]) -> tuple[Program, Levels] | None:
        """The program, and what its network is given; None where a fault finds no room in it."""
        key = frozenset(fault.name for fault in faults)
        if key not in self.made:
            program = combine(make_sound(self.recipe), faults)
            self.made[key] = None if program is None else (program, program.finish(self.see(program, faults)))
        return self.made[key]


def explain_tensors(values: NDArray[np.float32], kit: KitPixels) -> Explanation:
    """What explains the tensors (n, channels, height, width) of a program for a kit's images."""
    search = _Search(values, kit)
    best = search.run()
    if not best.holds:
        fitted = search.fit_scale()
        if fitted is not None:
            return fitted
    everywhere = _compare_everywhere(values, kit, best)
    return Explanation(best.faults, everywhere.left, everywhere.holds)


@dataclass
class _Search:
    values: NDArray[np.float32]
    kit: KitPixels
    tried: dict[frozenset[str], Explained] = field(default_factory=dict)
    read: dict[tuple[str, ...], Levels] = field(default_factory=dict)
    """The values at the blocks, by faults of the layout."""

    def run(self) -> Explained:
        """The fewest faults that explain the values, or those that explain most of them."""
        sound = self._try(())
        assert sound is not None
        best, beam = sound, [sound]
        for _ in range(MOST):
            if best.left <= NOTHING:
                break
            self._extend(beam)
            found = [each for each in self.tried.values() if len(each.faults) == len(beam[0].faults) + 1]
            beam = sorted(found, key=lambda each: each.left)[:BEAM]
            if not beam:
                break
            if beam[0].left < BETTER * best.left or (beam[0].holds and not best.holds):
                best = beam[0]
        nearest = min(self.tried.values(), key=lambda each: (each.left, len(each.faults)))
        return nearest if not best.holds and nearest.left < MOSTLY * best.left else best

    def _extend(self, beam: Iterable[Explained]) -> None:
        starts = [each.faults for each in beam]
        for start in starts:
            for fault in FAULTS:
                self._try((*start, fault))
        if len(starts[0]) == 1:
            # These pairs cost next to nothing, and the first of a pair need not explain much alone.
            late = [fault for fault in FAULTS if fault.part in ON_TENSORS]
            for fault in FAULTS:
                for other in late:
                    self._try((fault, other))

    def fit_scale(self) -> Explanation | None:
        """The fewest faults with which some mean and standard deviation explains the values; None where none does."""
        found = []
        for key in self.tried:
            faults = tuple(fault for fault in FAULTS if fault.name in key)
            if len(faults) >= MOST or any(fault.part in ("scaling", "rounding") for fault in faults):
                continue
            program = combine(make_sound(self.kit.recipe), faults)
            assert program is not None
            made = self.kit.see(program, faults)
            for recolour in program.colours:
                made = recolour(made)
            fit = fit_planes(
                "", np.moveaxis(self._read(program, faults), 3, 1), np.moveaxis(made, 3, 1).astype(np.float64)
            )
            if fit.left <= ROUNDING and not fit.swapped:
                found.append((len(faults), fit.left, faults, fit))
        if not found:
            return None
        _, left, faults, fit = min(found, key=lambda each: each[:2])
        return Explanation(faults, left, True, "; ".join(describe_scale(fit, self.kit.recipe)))

    def _try(self, faults: tuple[Fault, ...]) -> Explained | None:
        parts = [fault.part for fault in faults if fault.part != "decoding"]
        key = frozenset(fault.name for fault in faults)
        if len(set(parts)) < len(parts) or len(key) < len(faults) or key in self.tried:
            return None
        found = self.kit.make(faults)
        if found is None:
            return None
        program, made = found
        self.tried[key] = explained = _measure(faults, made, self._read(program, faults), program)
        return explained

    def _read(self, program: Program, faults: tuple[Fault, ...]) -> Levels:
        """The program's values at the blocks, put back to where the layout took them from."""
        key = tuple(fault.name for fault in faults if fault.part == "layout")
        if key not in self.read:
            straight = _undo_layout(self.values, program).transpose(0, 2, 3, 1)
            self.read[key] = straight[:, self.kit.rows, self.kit.columns]
        return self.read[key]


def _undo_layout(values: NDArray[np.float32], program: Program) -> NDArray[np.float32]:
    sources = program.find_sources()
    if sources is None:
        return values
    flat = np.empty((len(values), sources.size), dtype=np.float32)
    flat[:, sources] = values.reshape(len(values), -1)
    return flat.reshape(values.shape)


def _measure(faults: tuple[Fault, ...], made: Levels, values: Levels, program: Program) -> Explained:
    """Both are (n, …, channels)."""
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.minimum(np.abs(values - made) / program.find_gain(), CAP)
    each = np.nan_to_num(apart, nan=CAP).reshape(len(made), -1).mean(axis=1)
    ordered = tuple(sorted(faults, key=lambda fault: PARTS.index(fault.part)))
    return Explained(ordered, float(each.mean()), float(each.max()))


def _compare_everywhere(values: NDArray[np.float32], kit: KitPixels, found: Explained) -> Explained:
    program = combine(make_sound(kit.recipe), found.faults)
    assert program is not None
    made = make_tensors(program, kit.files)
    return _measure(found.faults, made.transpose(0, 2, 3, 1), values.transpose(0, 2, 3, 1), program)
