import math

import numpy as np
import pytest

from seatrial.errors import UsageError
from seatrial.recipes.training import Train
from seatrial.train.distributed.rank import RankInfo
from seatrial.train.input.sampler import EpochSampler, check_parts


@pytest.mark.parametrize(("images", "batch_size", "steps"), [(18, 4, 4), (16, 4, 4), (3, 4, 1), (1257, 32, 39)])
def test_what_is_left_over_is_dropped(images: int, batch_size: int, steps: int) -> None:
    assert EpochSampler(images, Train(batch_size=batch_size)).steps == steps


def test_an_epoch_may_be_cut_short() -> None:
    assert EpochSampler(100, Train(batch_size=10, max_train_steps=3)).steps == 3
    assert EpochSampler(100, Train(batch_size=10, max_train_steps=300)).steps == 10


def test_an_epoch_has_each_image_once_in_an_order_of_its_own() -> None:
    orders = [
        EpochSampler(50, Train(seed=seed)).draw(epoch)[:, 0].tolist()
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert orders[3] == orders[0] and len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert not EpochSampler(50, Train()).draw(0)[:, 1].any()


@pytest.mark.parametrize(("images", "repeats"), [(12, 3), (13, 4), (5, 8)])
def test_repetitions_follow_each_other_in_an_epoch_of_the_same_length(images: int, repeats: int) -> None:
    drawn = EpochSampler(images, Train(repeats=repeats)).draw(2)
    assert drawn.shape == (images, 2)
    assert len({tuple(pair) for pair in drawn.tolist()}) == images
    shown = drawn[:, 0].reshape(-1) if images % repeats == 0 else drawn[: images // repeats * repeats, 0]
    assert (shown.reshape(-1, repeats) == shown.reshape(-1, repeats)[:, :1]).all()
    np.testing.assert_array_equal(drawn[:, 1], np.arange(images) % repeats)
    assert len(set(drawn[:, 0].tolist())) == math.ceil(images / repeats)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_processes_share_a_step(size: int) -> None:
    step = np.arange(16).reshape(8, 2)
    sampler = EpochSampler(8, Train(batch_size=8))
    ranks = [RankInfo(rank, size) for rank in range(size)]
    parts = [step[rank.stride] for rank in ranks]
    assert [len(part) for part in parts] == [sampler.count_local(rank) for rank in ranks]
    assert sorted(np.concatenate(parts)[:, 0].tolist()) == step[:, 0].tolist()


def test_a_process_without_an_image_is_refused() -> None:
    with pytest.raises(UsageError, match="a step of 4 images cannot be split over 5 processes; give a larger"):
        EpochSampler(18, Train(batch_size=4)).count_local(RankInfo(0, 5))


@pytest.mark.parametrize(
    ("batch", "accumulate", "processes", "has_batch_norm", "message"),
    [
        (
            15,
            2,
            8,
            False,
            r"a step of 15 images over 8 processes × 2 \(--accumulate\) leaves 0 each; give a larger --batch",
        ),
        (
            31,
            2,
            8,
            True,
            r"a step of 31 images over 8 processes × 2 .* leaves 1 each, and BatchNorm needs 2; give a larger",
        ),
    ],
)
def test_a_part_of_a_step_that_is_too_small_is_refused(
    batch: int, accumulate: int, processes: int, has_batch_norm: bool, message: str
) -> None:
    settings = Train(accumulate=accumulate)
    check_parts(settings, batch + 1, processes, has_batch_norm)
    with pytest.raises(UsageError, match=message):
        check_parts(settings, batch, processes, has_batch_norm)
