import pytest
import torch
from torch import nn

import seatrial.train.amp
from seatrial.errors import TrainingDiverged
from seatrial.recipes import load_recipe
from seatrial.recipes.training import Train
from seatrial.train.amp import MOST_SKIPPED, Precision, name_precision, resolve_amp
from seatrial.workflow.train_spec import choose_settings

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("network", "setting", "fast", "chosen"),
    [
        ("resnet50", "off", True, "fp32"),
        ("resnet50", "auto", True, "bf16"),
        ("resnext50_32x4d", "auto", True, "bf16"),
        ("spnasnet_100", "auto", True, "fp32"),
        ("spnasnet_100", "bf16", True, "bf16"),
        ("resnet50", "auto", False, "fp32"),
        ("resnet50", "bf16", False, "bf16"),
    ],
)
def test_auto_is_bf16_where_it_is_fast(
    network: str, setting: str, fast: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seatrial.train.amp, "has_fast_bf16", lambda: fast)
    recipe = choose_settings(load_recipe(network), None, {"amp": setting})
    assert name_precision(resolve_amp(recipe, CPU).train) == chosen


@pytest.mark.parametrize(("amp", "dtype"), [("off", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_the_network_computes_in_it_and_gives_float32(amp: str, dtype: torch.dtype) -> None:
    network, seen = nn.Linear(3, 2), []
    network.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    assert Precision(Train(amp=amp), CPU).run(network, torch.ones(1, 3)).dtype == torch.float32
    assert seen == [dtype] and network.weight.dtype == torch.float32


def step(precision: Precision, gradient: float) -> float:
    """How far one step of plain descent at rate 1 goes along a gradient."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    precision.scaler.scale(weight.sum() * gradient).backward()
    precision.step(optimizer)
    return -float(weight.detach())


def test_a_dynamic_scale_gives_way_and_the_step_is_left_out() -> None:
    precision = Precision(Train(amp="fp16"), CPU)
    first = precision.scaler.get_scale()
    assert step(precision, 3.0) == 3.0 and precision.scaler.get_scale() == first
    assert step(precision, float("inf")) == 0.0 and precision.scaler.get_scale() == first / 2


def test_a_static_scale_stays() -> None:
    precision = Precision(Train(amp="fp16", loss_scale=1024), CPU)
    for gradient in (3.0, float("inf"), 5.0):
        assert step(precision, gradient) == (gradient if gradient < 10 else 0.0)
        assert precision.scaler.get_scale() == 1024


@pytest.mark.parametrize(("scale", "fix"), [(1024, "smaller --loss-scale, or dynamic"), ("dynamic", "give --amp bf16")])
@pytest.mark.parametrize("fused", [True, False])
def test_steps_that_are_never_taken_stop_the_training(scale: str | int, fix: str, fused: bool) -> None:
    precision = Precision(Train(amp="fp16", loss_scale=scale), CPU)
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0, fused=fused)

    def run(gradient: float) -> None:
        weight.grad = torch.tensor([gradient])
        precision.scaler.scale(torch.zeros(()))  # As a backward pass does: the scaler knows no scale before it.
        precision.step(optimizer)

    bad = [float("inf")] * (MOST_SKIPPED - 1)
    for gradient in (*bad, 1.0, *bad):
        run(gradient)
    assert weight.item() != 0
    with pytest.raises(TrainingDiverged, match=f"overflowed in each of the last {MOST_SKIPPED} steps, .*; .*{fix}"):
        for gradient in (*bad, *bad):
            run(gradient)


def test_other_precisions_scale_nothing() -> None:
    precision = Precision(Train(amp="bf16", loss_scale=1024), CPU)
    assert step(precision, 3.0) == 3.0 and precision.scaler.state_dict() == {}
