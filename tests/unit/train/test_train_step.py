"""One step of the optimiser: weighting, micro-batches, hits, averages."""

from typing import Any

import numpy as np
import pytest
import torch

from seatrial.recipes import Recipe, load_recipe
from seatrial.train.distributed.process_group import ProcessGroup
from seatrial.train.distributed.rank import RankInfo
from seatrial.train.network import TrainedNetwork, is_finite
from seatrial.train.optim import make_optimizer
from seatrial.train.train_step import Stepper, count_hits, draw_seed
from seatrial.workflow.train_spec import choose_settings
from tiny_training import make_card
from tiny_trial import TinyTrial

ALONE = ProcessGroup(RankInfo(), torch.device("cpu"), None)
RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
LABELS = RNG.integers(0, 4, 10)


def make_recipe(trial: TinyTrial, network: str = "test_convnext", **settings: Any) -> Recipe:
    return choose_settings(load_recipe(str(make_card(trial, network))), None, {"amp": "off", **settings})


def run_steps(recipe: Recipe, steps: int = 3) -> tuple[TrainedNetwork, list[list[float]]]:
    network = TrainedNetwork(recipe, ALONE)
    network.whole.train()
    stepper = Stepper(recipe, network, make_optimizer(network.plain, recipe.train), ALONE, None)
    return network, [stepper.run(PIXELS, LABELS, step, 0.01, len(LABELS)).read() for step in range(steps)]


def test_a_steps_figures_are_sums_over_its_images(tiny_trial: TinyTrial) -> None:
    recipe = make_recipe(tiny_trial, label_smoothing=0.1)
    _, ((loss, hits1, hits5), *_) = run_steps(recipe)
    network = TrainedNetwork(recipe, ALONE)
    mean, std = (np.array(values, dtype=np.float32) for values in recipe.normalisation)
    images = torch.from_numpy(((PIXELS / 255 - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.no_grad():
        scores = network.plain(images).double().log_softmax(1).numpy()
    # https://arxiv.org/abs/1512.00567: a tenth of the label belongs to all classes alike.
    expected = -(0.9 * scores[np.arange(10), LABELS] + 0.1 * scores.mean(axis=1)).sum()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert hits1 == (scores.argmax(axis=1) == LABELS).sum()
    assert hits5 == 10  # of four classes


@pytest.mark.parametrize("parts", [2, 3, 10, 12])
def test_micro_batches_come_to_the_same(parts: int, tiny_trial: TinyTrial) -> None:
    _, whole = run_steps(make_recipe(tiny_trial))
    _, found = run_steps(make_recipe(tiny_trial, accumulate=parts))
    np.testing.assert_allclose(found, whole, rtol=1e-5)


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_order_in_memory_changes_nothing(channels_last: bool, tiny_trial: TinyTrial) -> None:
    settings = {"channels_last": channels_last, "momentum": 0.5}
    network, found = run_steps(make_recipe(tiny_trial, "test_resnet", **settings))
    _, other = run_steps(make_recipe(tiny_trial, "test_resnet", **{**settings, "channels_last": not channels_last}))
    np.testing.assert_allclose(found, other, rtol=1e-4)
    # What fused optimisers rely on.
    for parameter in network.plain.parameters():
        assert parameter.grad is not None and parameter.grad.stride() == parameter.stride()


def test_random_layers_follow_from_the_step_alone(tiny_trial: TinyTrial) -> None:
    seeds = {draw_seed(seed, step, rank) for seed in range(5) for step in range(5) for rank in range(5)}
    assert len(seeds) == 125 and all(0 <= seed < 2**63 for seed in seeds)
    recipe = make_recipe(tiny_trial)
    network = TrainedNetwork(recipe, ALONE)
    network.plain.eval()
    stepper = Stepper(recipe, network, make_optimizer(network.plain, recipe.train), ALONE, None)
    drawn = []
    for before in (1, 2):
        torch.manual_seed(before)
        stepper.run(PIXELS, LABELS, 7, 0.0, 10).read()
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


def test_mixed_images_have_soft_labels(tiny_trial: TinyTrial) -> None:
    recipe = make_recipe(tiny_trial, label_smoothing=0.0)
    network = TrainedNetwork(recipe, ALONE)

    def even(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros_like(images), torch.full((len(labels), 4), 0.25)

    stepper = Stepper(recipe, network, make_optimizer(network.plain, recipe.train), ALONE, even)
    loss, _, _ = stepper.run(PIXELS, LABELS, 0, 0.01, 10).read()
    # A fresh network's biases are 0, and so are its answers to black; every class has a quarter then.
    assert loss == pytest.approx(10 * np.log(4), rel=1e-3)


def test_hits_are_counted_in_the_first_and_among_five() -> None:
    logits = torch.arange(8.0).repeat(4, 1)
    hits = count_hits(logits, torch.tensor([7, 3, 2, 7]))
    assert [int(count) for count in hits] == [2, 3]


def test_an_average_begins_with_the_first_step_and_follows(tiny_trial: TinyTrial) -> None:
    weights = []
    for steps in (1, 2, 3):
        network, _ = run_steps(make_recipe(tiny_trial, "test_resnet", ema=0.75), steps)
        assert network.kept is not network.plain
        weights.append({name: (t, network.plain.state_dict()[name]) for name, t in network.kept.state_dict().items()})
    for name, (average, first) in weights[0].items():
        assert torch.equal(average, first), name
        second, third = weights[1][name][1], weights[2][name][1]
        if not first.is_floating_point():
            assert torch.equal(weights[2][name][0], third)
            continue
        expected = 0.75 * (0.75 * first + 0.25 * second) + 0.25 * third
        torch.testing.assert_close(weights[2][name][0], expected)


def test_weights_that_are_no_numbers_are_noticed(tiny_trial: TinyTrial) -> None:
    network, _ = run_steps(make_recipe(tiny_trial, "test_resnet"), 1)
    assert is_finite(network.plain)
    for bad in (float("nan"), float("inf")):
        network.plain.state_dict()["bn1.running_var"][2] = bad
        assert not is_finite(network.plain)
