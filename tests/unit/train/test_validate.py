"""Every held-out image is counted exactly once, whatever the number of processes."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seatrial.data.images import LabelledImage
from seatrial.data.labels import read_labels
from seatrial.errors import DataError, Interrupted
from seatrial.progress import silent
from seatrial.recipes import Recipe, load_recipe
from seatrial.train.distributed.launch import launch
from seatrial.train.distributed.process_group import ProcessGroup
from seatrial.train.distributed.rank import RankInfo
from seatrial.train.network import TrainedNetwork
from seatrial.train.validate import Validator
from seatrial.workflow.train_spec import choose_settings
from tiny_training import make_card, validate_sets
from tiny_trial import TinyTrial

CPU = torch.device("cpu")
COUNTS = (1, 2, 5, 24, 63, 64, 65, 130)


@pytest.fixture(scope="module")
def recipe(tiny_trial: TinyTrial) -> Recipe:
    return choose_settings(load_recipe(str(make_card(tiny_trial, "test_resnet"))), None, {"amp": "off"})


@pytest.fixture(scope="module")
def images(tiny_trial: TinyTrial) -> tuple[LabelledImage, ...]:
    """More than two steps' images, some of them often."""
    return read_labels(tiny_trial.images, tiny_trial.labels, 4) * 6


def make(recipe: Recipe, images: tuple[LabelledImage, ...], rank: int = 0, size: int = 1) -> Validator:
    return Validator(recipe, images, ProcessGroup(RankInfo(rank, size, rank, size), CPU, None), silent)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 100])
def test_processes_share_the_images_without_rest(size: int, recipe: Recipe) -> None:
    for count in COUNTS:
        images = tuple(LabelledImage(str(i), Path(), 0) for i in range(count))
        parts = [make(recipe, images, rank, size).split() for rank in range(size)]
        assert len({len(steps) for steps in parts}) == 1  # or they would wait for one another
        found = [int(image.id) for steps in parts for chunk in steps for image in chunk]
        assert sorted(found) == list(range(count))


def test_a_part_is_spread_over_all_classes(recipe: Recipe) -> None:
    images = tuple(LabelledImage(str(i), Path(), i // 100) for i in range(400))
    some = recipe.model_copy(update={"train": recipe.train.model_copy(update={"max_eval_steps": 2})})
    for size in (1, 3):
        parts = [make(some, images, rank, size).split() for rank in range(size)]
        found = [image.label for steps in parts for chunk in steps for image in chunk]
        assert [found.count(label) for label in range(4)] == [32] * 4


def test_counts_are_exact_on_any_number_of_processes(recipe: Recipe, images: tuple[LabelledImage, ...]) -> None:
    alone = validate_sets(recipe, images, COUNTS, silent)
    assert [found[0] for found in alone] == list(COUNTS)
    assert len({round(found[1] / found[0], 2) for found in alone}) > 1
    for size in (2, 3):
        shared = launch(functools.partial(validate_sets, recipe, images, COUNTS), size)
        assert [found[:3] for found in shared] == [found[:3] for found in alone]
        assert [found[3] for found in shared] == pytest.approx([found[3] for found in alone], rel=1e-6)


@pytest.fixture
def with_a_broken_one(images: tuple[LabelledImage, ...], tmp_path: Path) -> Iterator[tuple[LabelledImage, ...]]:
    (tmp_path / "broken.JPEG").write_bytes(b"no image")
    yield (*images[:3], LabelledImage("broken.JPEG", tmp_path / "broken.JPEG", 1), *images[3:6])


def test_a_broken_image_is_named_or_left_out(recipe: Recipe, with_a_broken_one: tuple[LabelledImage, ...]) -> None:
    network = TrainedNetwork(recipe, ProcessGroup(RankInfo(), CPU, None))
    with pytest.raises(DataError, match=r"broken\.JPEG is no image"):
        make(recipe, with_a_broken_one).run(network, lambda: False)
    skipping = recipe.model_copy(update={"train": recipe.train.model_copy(update={"on_bad_image": "skip"})})
    validation, bad = make(skipping, with_a_broken_one).run(network, lambda: False)
    assert (validation.images, validation.of_images, validation.is_partial) == (6, 7, True)
    assert list(bad) == ["broken.JPEG"] and "is no image" in bad["broken.JPEG"]
    with pytest.raises(DataError, match="no held-out image can be read"):
        make(skipping, with_a_broken_one[3:4]).run(network, lambda: False)


def test_a_stop_signal_ends_it(recipe: Recipe, images: tuple[LabelledImage, ...]) -> None:
    network = TrainedNetwork(recipe, ProcessGroup(RankInfo(), CPU, None))
    with pytest.raises(Interrupted):
        make(recipe, images).run(network, lambda: True)
