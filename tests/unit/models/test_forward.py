"""Networks that are no function of images in float32 are named for what they are, and those that are pass."""

import random
from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seatrial.errors import UsageError
from seatrial.models.forward import Float32Only, check_function, check_logits, check_weights, refuse_images

IMAGES = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)
Forward = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """Channel means, changed by a function; it has what a network may keep."""

    def __init__(self, change: Forward) -> None:
        super().__init__()
        self.change, self.calls = change, 0
        self.seen = nn.Buffer(torch.zeros(1))
        self.counted = nn.Buffer(torch.zeros(1, dtype=torch.int64))
        self.cache = nn.Buffer(torch.zeros(3))
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout()

    def forward(self, images: Tensor) -> Tensor:
        return self.change(self, images.mean(dim=(2, 3)))


def count_in_attribute(net: Net, means: Tensor) -> Tensor:
    net.calls += 1
    return means + net.calls


def count_in_buffer(net: Net, means: Tensor) -> Tensor:
    net.seen += 1
    return means * net.seen


def train_on(net: Net, means: Tensor) -> Tensor:
    return net.norm.train()(means)  # type: ignore[no-any-return]


def count_idly(net: Net, means: Tensor) -> Tensor:
    net.counted += 1
    return means


def fill_cache(net: Net, means: Tensor) -> Tensor:
    net.cache.fill_(2)
    return means * net.cache


def draw_of_own_seed(net: Net, means: Tensor) -> Tensor:
    return means + torch.rand(means.shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda net, means: functional.dropout(means), "is random: it gives the same images other logits each time"),
        (lambda net, means: means + torch.randn(3), "is random"),
        (lambda net, means: means * (1 + random.random()), "is random"),
        (lambda net, means: means * (1 + np.random.rand()), "is random"),
        (count_in_attribute, "has a state: its forward counts or remembers"),
        (count_in_buffer, "has a state: its forward changes seen, so that"),
        (train_on, r"has a state: its forward changes norm\.running_mean, norm\.running_var, so that"),
    ],
)
def test_what_gives_other_logits_the_next_time_is_named(change: Forward, told: str) -> None:
    with pytest.raises(UsageError, match=f"'mine' {told}.*; ") as raised, torch.inference_mode():
        check_function("mine", Net(change).eval(), IMAGES)
    assert "eval()" in str(raised.value.fix)


@pytest.mark.parametrize(
    "change",
    [
        lambda net, means: net.drop(net.norm(means)),
        lambda net, means: 0 * means,
        count_idly,
        fill_cache,
        draw_of_own_seed,
    ],
)
def test_what_gives_the_same_logits_passes_and_draws_nothing_from_others(change: Forward) -> None:
    torch.manual_seed(5)
    random.seed(5)
    wanted = torch.rand(1), random.Random(5).random()
    torch.manual_seed(5)
    with torch.inference_mode():
        check_function("mine", Net(change).eval(), IMAGES)
    assert (torch.rand(1), random.random()) == wanted


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda net, means: means.double(), "float64 (`double` of its forward gives it first); call .float() on"),
        (lambda net, means: means.half().float(), "float16 (`half` of its forward gives it first)"),
        (lambda net, means: means.bfloat16() @ torch.ones(3, 2).bfloat16(), "bfloat16 (`bfloat16` of its forward"),
        (lambda net, means: 2 * means + means.to(torch.half), "float16 (`to` of its forward"),
        (lambda net, means: torch.stack(means.split(1, 1)[0].double().split(1)), "float64 (`double` of its"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_images_in_another_float_are_noticed_where_they_become_it(change: Forward, told: str, device: str) -> None:
    images = IMAGES.to(device)
    with pytest.raises(UsageError) as raised, torch.device(device), Float32Only("mine", images):
        Net(change)(images)
    assert f"'mine' computes in {told}" in str(raised.value)


def test_autocast_is_noticed() -> None:
    def forward(net: Net, means: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return functional.linear(means, torch.ones(2, 3)).float()

    told = r"'mine' computes in bfloat16 \(`linear` of its forward"
    with pytest.raises(UsageError, match=told), torch.no_grad(), Float32Only("mine", IMAGES):
        Net(forward)(IMAGES)


def test_constants_of_another_float_are_no_matter() -> None:
    def forward(net: Net, means: Tensor) -> Tensor:
        best = means.max(dim=1)  # of several tensors, one of them whole numbers
        return means * torch.linspace(0, 1, 3, dtype=torch.float64).float() + best.values[:, None] + best.indices[0]

    with Float32Only("mine", IMAGES):
        assert Net(forward)(IMAGES).shape == (2, 3)


def test_weights_in_another_float_are_named() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    check_weights("mine", net)
    with pytest.raises(UsageError, match=r"weights in float64 \(0\.weight, 0\.bias and 4 more\); call \.float\(\) on"):
        check_weights("mine", net.double())
    with pytest.raises(UsageError, match=r"'mine' has weights in float16 \(weight, bias\)"):
        check_weights("mine", nn.Linear(2, 2).half())


def shift(net: Net, images: Tensor) -> Tensor:
    images -= 1
    return images.mean(dim=(2, 3))


def add_head(net: Net, images: Tensor) -> Tensor:
    if not hasattr(net, "head"):
        net.head = nn.Linear(3, 2)
    return net.head(images.mean(dim=(2, 3)))  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize(
    ("forward", "told"),
    [
        (shift, "'mine' changes the images that it is given; make new ones in its forward"),
        (
            add_head,
            r"'mine' makes weights in its forward \(head\.weight, head\.bias\), which are in no checkpoint",
        ),
    ],
)
def test_what_a_forward_must_leave_alone(forward: Forward, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "forward", forward)
    with pytest.raises(UsageError, match=told), torch.no_grad():
        check_function("mine", Net(lambda net, means: means).eval(), IMAGES.clone())


@pytest.mark.parametrize(
    ("logits", "told"),
    [
        ({"logits": torch.zeros(2, 3)}, "gives a dict for a batch of images; its forward must return logits"),
        (torch.zeros(2), "gives a tensor of 1 axes"),
        (torch.eye(2).to_sparse(), "gives a tensor of layout sparse_coo"),
        (torch.zeros(2, 3, dtype=torch.int64), "gives int64 numbers"),
        (torch.zeros(2, 1), "gives one number for an image, and a classifier has two classes or more; of the score"),
        (torch.zeros(2, 3), "gives 3 numbers for an image, its card has 4 classes"),
    ],
)
def test_what_is_no_logits_is_named(logits: object, told: str) -> None:
    with pytest.raises(UsageError, match=f"'mine' {told}"):
        check_logits("mine", logits, 2, 4)


def test_logits_are_a_row_for_each_image() -> None:
    assert check_logits("mine", torch.zeros(2, 7), 2) == 7
    with pytest.raises(UsageError, match="gives logits of 1 images for 2; its forward must take a batch of any size"):
        check_logits("mine", torch.zeros(1, 7), 2)


@pytest.mark.parametrize(("module", "name"), [("os", "_exit"), ("sys", "exit")])
def test_a_forward_that_leaves_is_an_error(module: str, name: str) -> None:
    told = f"'mine' does not run .it leaves with {module}.{name}.; mend its forward"
    with pytest.raises(UsageError, match=told), refuse_images("mine", IMAGES.shape, "another size"):
        getattr(import_module(module), name)(0)
