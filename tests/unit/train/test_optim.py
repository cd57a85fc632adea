import pytest
import torch
from torch import nn

from seatrial.recipes.training import Train
from seatrial.train.optim import learning_rate_at, make_optimizer

SETTINGS = Train(epochs=5, learning_rate=0.8, warmup_epochs=1, momentum=0.5, weight_decay=0.1)


def test_the_rate_warms_up_and_falls_as_a_cosine() -> None:
    rates = [learning_rate_at(step, 4, SETTINGS) for step in range(20)]
    assert rates[:5] == pytest.approx([0.16, 0.32, 0.48, 0.64, 0.8])
    # A quarter, a half and three quarters of the sixteen steps after the warm-up.
    assert rates[8] == pytest.approx(0.8 * (2 + 2**0.5) / 4)
    assert rates[12] == pytest.approx(0.4)
    assert rates[16] == pytest.approx(0.8 * (2 - 2**0.5) / 4)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert 0 < rates[19] < 0.01


def test_a_training_may_have_no_warmup_or_only_one_step() -> None:
    assert learning_rate_at(0, 4, SETTINGS.model_copy(update={"warmup_epochs": 0})) == pytest.approx(0.8)
    once = SETTINGS.model_copy(update={"epochs": 1, "warmup_epochs": 5})
    assert 0 < learning_rate_at(0, 1, once) < 0.8


def test_a_warmup_never_takes_more_than_half() -> None:
    rates = [learning_rate_at(step, 4, SETTINGS.model_copy(update={"warmup_epochs": 50})) for step in range(20)]
    assert rates.index(max(rates)) == 10


def test_only_matrices_decay() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    optimizer = make_optimizer(network, SETTINGS)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in network.named_parameters()} == {
        "0.weight": 0.1,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
        "3.weight": 0.1,
        "3.bias": 0.0,
    }


def test_a_step_is_nesterovs_with_decay() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.tensor([[2.0]], dtype=torch.float64))
            self.vector = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))

    network = Pair()
    optimizer = make_optimizer(network, SETTINGS)
    velocity = {"matrix": 0.0, "vector": 0.0}
    expected = {"matrix": 2.0, "vector": 2.0}
    for gradient in (3.0, -1.0, 2.0):
        for name, parameter in network.named_parameters():
            parameter.grad = torch.full_like(parameter, gradient)
            decayed = gradient + (0.1 if name == "matrix" else 0.0) * expected[name]
            velocity[name] = 0.5 * velocity[name] + decayed
            expected[name] -= 0.8 * (decayed + 0.5 * velocity[name])
        optimizer.step()
    for name, parameter in network.named_parameters():
        assert parameter.item() == pytest.approx(expected[name], rel=1e-12)
