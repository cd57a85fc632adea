"""Rounding to fewer bits, by hand and against torch's own types."""

import torch

from seatrial.diagnosis.measured_noise import round_mantissa, round_network


def test_mantissas_are_rounded_to_the_nearest() -> None:
    values = torch.tensor([1.0, 1 + 2**-7, 1 + 2**-8, 1 + 2**-9, -1 - 2**-8, 3e38, 0.0, 1e-30])
    rounded = round_mantissa(values, 7)
    assert rounded[:5].tolist() == [1.0, 1 + 2**-7, 1 + 2**-7, 1.0, -1 - 2**-7]
    assert torch.equal(rounded[5:], values[5:].to(torch.bfloat16).float())


def test_rounding_is_that_of_the_types_but_for_ties() -> None:
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    for bits, dtype in ((7, torch.bfloat16), (10, torch.float16)):
        inside = values[values.abs() > 2**-14]
        assert (round_mantissa(inside, bits) != inside.to(dtype).float()).float().mean() < 1e-3


def test_a_rounded_network_is_a_copy_that_rounds_weights_and_outputs() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        network[0].weight.fill_(1 + 2**-9)
        network[1].weight.fill_(1 + 2**-6)
    rounded = round_network(network, 7)
    # 1.0 · (1 + 2⁻⁷) is kept, and (1 + 2⁻⁷)(1 + 2⁻⁶) is rounded.
    exact = (1 + 2**-7) * (1 + 2**-6)
    made = rounded(torch.tensor([[1 + 2**-7]])).item()
    assert made == round_mantissa(torch.tensor([exact]), 7).item() != exact
    assert network[0].weight.item() == 1 + 2**-9


def test_sums_between_layers_are_not_rounded() -> None:
    class Raised(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Identity()

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.layer(values)) + 2**-12

    assert round_network(Raised(), 7)(torch.ones(1)).item() == 1 + 2**-12
