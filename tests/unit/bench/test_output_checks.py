"""Cheats that are planted are caught, honest engines are not accused; every clock is scripted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from seatrial.bench import inputs
from seatrial.bench.measure import Limits
from seatrial.bench.output_checks import MOST_KEPT, MOST_PAIRS, OutputCheck, check_caching, time_pairs
from seatrial.bench.worker import Job, run_job
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import ParityError
from seatrial.store.measurement import Point
from seatrial.store.records import TensorSpec

WORK_S, LOOK_UP_S = 0.010, 0.001
WEIGHTS = np.random.default_rng(3).standard_normal((72, 3)).astype(np.float32)
LIMITS = Limits(warmup_runs=4, warmup_s=0, warmup_budget_s=1, duration_s=2, min_samples=50)
Batch = NDArray[Any]


class Honest:
    """Computes, in a time with noise: one run in twenty takes three times as long, as on a shared machine."""

    def __init__(self, seed: int = 0) -> None:
        self.input = TensorSpec(name="image", dtype="uint8", shape=(None, 4, 6, 3), layout="NHWC")
        self.now, self.calls = 0.0, 0
        self.rng = np.random.default_rng(seed)

    def clock(self) -> float:
        return self.now

    def compute(self, batch: Batch) -> NDArray[np.float32]:
        self.now += WORK_S * float(np.exp(0.1 * self.rng.standard_normal())) * (3 if self.rng.random() < 0.05 else 1)
        return (batch.reshape(len(batch), -1).astype(np.float32) @ WEIGHTS).astype(np.float32)

    def run(self, batch: Batch) -> NDArray[np.float32]:
        self.calls += 1
        return self.compute(batch)


class Inexact(Honest):
    """Honest, but sums in another order each time, as some GPUs do."""

    def run(self, batch: Batch) -> NDArray[np.float32]:
        exact = super().run(batch)
        return (exact * (1 + 1e-3 * self.rng.standard_normal(exact.shape))).astype(np.float32)


class RemembersContent(Honest):
    """Keeps the answer to each batch by its bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[bytes, NDArray[np.float32]] = {}

    def run(self, batch: Batch) -> NDArray[np.float32]:
        key = batch.tobytes()
        if key in self.kept:
            self.now += LOOK_UP_S
        else:
            self.kept[key] = self.compute(batch)
        return self.kept[key]


class RemembersImages(RemembersContent):
    """Computes an image at its first sight only, in whatever batch it comes again."""

    def run(self, batch: Batch) -> NDArray[np.float32]:
        new = [image for image in batch if image.tobytes() not in self.kept]
        self.now += LOOK_UP_S
        if new:
            for image, row in zip(new, self.compute(np.stack(new)), strict=True):
                self.kept[image.tobytes()] = row
        return np.stack([self.kept[image.tobytes()] for image in batch])


class RemembersTurn(Honest):
    """Takes the inputs to come round and round, and answers the second round from the first."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns, self.rounds = turns, list[NDArray[np.float32]]()

    def run(self, batch: Batch) -> NDArray[np.float32]:
        self.calls += 1
        if len(self.rounds) < self.turns:
            self.rounds.append(self.compute(batch))
            return self.rounds[-1]
        self.now += LOOK_UP_S
        return self.rounds[self.calls % self.turns]


class ConstantWhenTimed(Honest):
    """Computes until it has been called so often that it must be timed."""

    def run(self, batch: Batch) -> NDArray[np.float32]:
        self.calls += 1
        if self.calls <= 20:
            return self.compute(batch)
        self.now += LOOK_UP_S
        return np.ones((len(batch), 3), dtype=np.float32)


class Engine:
    def __init__(self, session: Honest) -> None:
        self.session = session

    @contextmanager
    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> Iterator[Honest]:
        yield self.session


@pytest.fixture
def bench(write_engine: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[Honest], Point]:
    """Measures a session with its own clock; twelve batches of two images are rotated."""
    monkeypatch.setattr(inputs, "ROTATED_BYTES", 12 * 2 * 72)
    folder = write_engine("fake")

    def run(session: Honest) -> Point:
        job = Job(file=read_engine(folder), device="cpu", batch_size=2, limits=LIMITS)
        return run_job(job, Engine(session), session.clock)  # type: ignore[arg-type]

    return run


@pytest.mark.parametrize("kind", [Honest, Inexact])
def test_twenty_honest_runs_are_not_accused(kind: type[Honest], bench: Callable[[Honest], Point]) -> None:
    points = [bench(kind(seed)) for seed in range(20)]
    for point in points:
        check_caching("fake", [point])
        assert point.outputs_checked and point.outputs_error is not None and point.outputs_tolerance is not None
        assert point.outputs_error <= point.outputs_tolerance
    check_caching("fake", points)
    assert (points[0].outputs_error == 0) == (kind is Honest)


@pytest.mark.parametrize("kind", [RemembersContent, RemembersImages])
def test_outputs_cached_by_content_are_caught_by_new_batches(
    kind: type[Honest], bench: Callable[[Honest], Point]
) -> None:
    point = bench(kind())
    assert point.outputs_error == 0, "its answers are right, only not computed"
    with pytest.raises(ParityError, match=r"^cheat runs a batch that it has seen .* it caches outputs") as caught:
        check_caching("cheat", [point])
    assert caught.value.exit_code == 3


def test_a_constant_is_caught_while_timed(bench: Callable[[Honest], Point]) -> None:
    with pytest.raises(ParityError, match="outputs taken while it was timed are not those of an untimed run"):
        bench(ConstantWhenTimed())


@pytest.mark.parametrize(("turns", "words"), [(12, "runs the same batch twice"), (15, "taken while it was timed")])
def test_outputs_cached_by_their_turn_are_caught(turns: int, words: str, bench: Callable[[Honest], Point]) -> None:
    # Found out as soon as it no longer computes: at the 13th call, or at the 16th, the first after the untimed ones.
    with pytest.raises(ParityError, match=words):
        bench(RemembersTurn(turns))


def make_point(fresh: list[float], repeated: list[float], batch_size: int = 1) -> Point:
    return Point(
        batch_size=batch_size, streams=1, load_s=0, first_inference_ms=0, warmup=1, starts_s=(0.0,),
        durations_ms=(1.0,), peak_rss_bytes=1, fresh_ms=tuple(fresh), repeated_ms=tuple(repeated),
    )  # fmt: skip


def test_ten_pairs_of_ten_convict_and_nine_do_not() -> None:
    # 2⁻¹⁰ is below a thousandth, 2⁻⁹ is not.
    with pytest.raises(ParityError, match=r"1\.2 times as fast .* in 10 of 10 pairs"):
        check_caching("e", [make_point([1.2] * 5, [1.0] * 5), make_point([1.2] * 5, [1.0] * 5)])
    check_caching("e", [make_point([1.2] * 9, [1.0] * 9)])
    check_caching("e", [make_point([1.1] * 16, [1.0] * 16)])


def test_one_batch_size_that_is_remembered_is_enough() -> None:
    honest = make_point([1.0] * 16, [1.0] * 16, batch_size=8)
    with pytest.raises(ParityError):
        check_caching("e", [honest, honest, make_point([2.0] * 10, [1.0] * 10), honest])


def test_pairs_are_timed_in_turns_within_their_budget() -> None:
    seen: list[int] = []

    def time_ms(batch: Batch) -> float:
        seen.append(int(batch[0]))
        return 1.0 + batch[0]

    ticks = iter(range(1000))
    fresh, repeated = time_pairs(time_ms, lambda: np.array([1]), np.array([0]), 5, lambda: float(next(ticks)))
    assert (set(fresh), set(repeated)) == ({2.0}, {1.0})
    # The clock is read once before, and once for each pair beyond the least.
    assert seen[:2] == [0, 0] and len(fresh) == 3 + 4
    assert all(sorted(seen[i : i + 2]) == [0, 1] for i in range(2, len(seen), 2))
    assert len(time_pairs(time_ms, lambda: np.array([1]), np.array([0]), 1e9, lambda: 0.0)[0]) == MOST_PAIRS
    assert len(time_pairs(time_ms, lambda: np.array([1]), np.array([0]), 0, lambda: 0.0)[0]) == 3


def answers(index: int) -> NDArray[np.float32]:
    return np.array([[index, 1.0], [0.0, index]], dtype=np.float32)


def learned(known: int, inputs: int = 40) -> OutputCheck:
    """A check that had time for so many answers."""
    ticks = iter(range(1000))
    check = OutputCheck("fp32", seed=1)
    check.record_references(answers, inputs, budget_s=known - 1, clock=lambda: float(next(ticks)))
    return check


def test_known_inputs_come_often_and_all_others_once() -> None:
    order = learned(3, 73).order(73)
    known = {index for index in order if order.count(index) > 1}
    assert len(known) == 3
    assert sorted({*order}) == list(range(73)), "each comes"
    assert all(known & {*order[i : i + 8]} for i in range(0, len(order), 8))
    assert learned(20).order(40) == list(range(40)), "enough are known"


def test_a_wrong_row_of_one_kept_output_is_an_error() -> None:
    check = learned(40)
    for index in range(40):
        check.offer(index, answers(index))
    assert check.compare().error == 0
    assert check.compare().checked == MOST_KEPT
    wrong = answers(7)
    wrong[1] = answers(30)[1]
    check = learned(40)
    check.offer(7, wrong)
    with pytest.raises(ParityError, match="1 of 1 outputs"):
        check.compare()


def test_an_output_that_is_no_number_is_refused() -> None:
    check = learned(40)
    check.offer(3, np.full((2, 2), np.nan, dtype=np.float32))
    with pytest.raises(ParityError):
        check.compare()
    check = OutputCheck("fp32")
    check.record_references(lambda index: np.full((1, 2), np.nan, dtype=np.float32), 3, 0, lambda: 0.0)
    with pytest.raises(ParityError, match="not numbers"):
        check.compare()


def test_what_is_kept_is_a_copy_and_a_fair_choice() -> None:
    check = learned(40)
    buffer = answers(5)
    check.offer(5, buffer)
    buffer[:] = 99
    assert check.compare().error == 0
    counts = np.zeros(40)
    for seed in range(200):
        check = OutputCheck("fp32", seed)
        check.record_references(answers, 40, 1e9, lambda: 0.0)
        for index in range(40):
            check.offer(index, answers(index))
        for index, _ in check._kept:
            counts[index] += 1
    # Each of 40 is among the 32 with chance 0.8: 160 of 200, with a standard deviation of 5.7.
    assert counts.min() > 135 and counts.max() < 185


def test_logits_whose_squares_are_infinite_in_32_bits_are_compared() -> None:
    rows = np.array([[1e28, 2e28], [3e28, 1e28]], np.float32)
    check = OutputCheck("fp32", seed=0)
    check.record_references(lambda index: rows[index : index + 1], 2, 1.0, lambda: 0.0)
    for index in (0, 1):
        check.offer(index, rows[index : index + 1])
    found = check.compare()
    assert (found.checked, found.error) == (2, 0) and found.spread > 0.1
    check.offer(0, rows[1:])
    with pytest.raises(ParityError, match="1 of 3 outputs"):
        check.compare()
