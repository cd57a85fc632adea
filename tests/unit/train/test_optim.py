import pytest
import torch
from torch import nn

from seatrial.recipes.training import Train
from seatrial.train.optim import learning_rate_at, load_optimizer, make_optimizer, set_learning_rate

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


def rates_of(**changed: object) -> list[float]:
    settings = SETTINGS.model_copy(update=changed)
    return [learning_rate_at(step, 4, settings) for step in range(20)]


def test_the_rate_may_fall_along_a_line() -> None:
    rates = rates_of(lr_schedule="linear")
    assert rates[:5] == pytest.approx([0.16, 0.32, 0.48, 0.64, 0.8])
    assert rates[4:] == pytest.approx([0.8 * (16 - step) / 16 for step in range(16)])


def test_the_rate_may_fall_in_steps() -> None:
    rates = rates_of(lr_schedule="step", lr_step_epochs=(2, 4), lr_step_factor=0.1)
    assert rates[4:] == pytest.approx([0.8] * 4 + [0.08] * 8 + [0.008] * 4)


def test_the_classifier_gets_its_share_of_the_rate() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = make_optimizer(network, SETTINGS.model_copy(update={"classifier_rate": 0.25}))
    set_learning_rate(optimizer, 0.4)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert [rates[id(p)] for p in network.parameters()] == pytest.approx([0.4, 0.4, 0.1, 0.4])


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


def make_pair(**changed: object) -> tuple[nn.Module, torch.optim.Optimizer]:
    """One matrix and one vector, all 2, with gradients 3 and -1."""
    network = nn.Linear(2, 1)
    for parameter, gradient in zip(network.parameters(), (3.0, -1.0), strict=True):
        nn.init.constant_(parameter, 2.0)
        parameter.grad = torch.full_like(parameter, gradient)
    return network, make_optimizer(network, SETTINGS.model_copy(update=changed))


def test_a_step_without_nesterov_is_heavy_balls() -> None:
    network, optimizer = make_pair(nesterov=False)
    optimizer.step()
    optimizer.step()
    # Velocities 1 and 1.5 of the vector's gradient; a rate of 0.8 throughout.
    assert network.bias.item() == pytest.approx(2 + 0.8 * (1 + 1.5))


def test_nesterovs_without_momentum_is_plain_descent() -> None:
    network, optimizer = make_pair(momentum=0.0)
    optimizer.step()
    assert network.bias.item() == pytest.approx(2.8)


def test_lars_takes_steps_as_long_as_the_weights_allow() -> None:
    network, optimizer = make_pair(optimizer="lars", momentum=0.0)
    optimizer.step()
    # https://arxiv.org/abs/1708.03888: 0.001 · |w| / (|g| + decay · |w|) of the rate; vectors are not adapted.
    norm = 2**0.5
    trust = 0.001 * 2 * norm / (3 * norm + 0.1 * 2 * norm)
    assert network.weight[0, 0].item() == pytest.approx(2 - 0.8 * trust * (3 + 0.1 * 2), rel=1e-5)
    assert network.bias.item() == pytest.approx(2.8)


def test_adamws_first_step_has_the_length_of_the_rate() -> None:
    network, optimizer = make_pair(optimizer="adamw", learning_rate=0.25)
    optimizer.step()
    assert network.weight[0, 0].item() == pytest.approx(2 - 0.25 * 0.1 * 2 - 0.25)
    assert network.bias.item() == pytest.approx(2.25)


@pytest.mark.parametrize("kind", ["sgd", "lars", "adamw"])
def test_what_was_gathered_is_taken_over_in_any_order_in_memory(kind: str) -> None:
    settings = SETTINGS.model_copy(update={"optimizer": kind})
    ends = []
    for laid_out_again in (False, True):
        torch.manual_seed(0)
        network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = make_optimizer(network, settings)
        for step in range(4):
            if laid_out_again and step == 2:
                saved = optimizer.state_dict()
                for kept in saved["state"].values():
                    kept.update({name: value.contiguous() for name, value in kept.items()})
                optimizer = make_optimizer(network, settings)
                load_optimizer(optimizer, saved)
            for parameter in network.parameters():
                parameter.grad = torch.rand_like(parameter) + step
            optimizer.step()
        ends.append(network.weight.detach())
    assert torch.equal(*ends)
