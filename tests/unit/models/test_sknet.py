"""SK-ResNet50 has PytorchInsight's names in PytorchInsight's order, and its attention is a weighing of two branches."""

import json
from pathlib import Path

import torch

from golden_weights import fill_golden_weights, make_input
from seatrial.models.build import count_parameters, sketch_network
from seatrial.models.sknet import SelectiveKernelBottleneck, SkResNet50
from seatrial.recipes.schema import Network

GOLDEN = Path(__file__).parents[2] / "golden" / "models" / "sk_resnet50.json"


def test_names_shapes_and_order_are_the_published_ones() -> None:
    state = sketch_network(Network(builder="seatrial", name="sk_resnet50", classes=1000)).state_dict()
    published = json.loads(GOLDEN.read_text())["keys"]
    assert [f"module.{key}" for key in state] == list(published)
    assert {f"module.{key}": list(tensor.shape) for key, tensor in state.items()} == published
    assert len(state) == 528


def test_parameters_follow_the_number_of_classes() -> None:
    with torch.device("meta"):
        assert count_parameters(SkResNet50(1000)) == 26_154_496
        assert count_parameters(SkResNet50(10)) == 26_154_496 - 990 * (2048 + 1)


def test_even_scores_take_the_mean_of_the_branches() -> None:
    block = SelectiveKernelBottleneck(64, 64, 2, torch.nn.Conv2d(64, 256, 1, 2, bias=False)).eval()
    fill_golden_weights(block)
    x = make_input(images=2, size=8).repeat(1, 22, 1, 1)[:, :64]
    with torch.inference_mode():
        block.conv_fc2.weight.zero_()
        narrow = block.bn1(block.conv1(x)).relu()
        branches = block.bn2(block.conv2(narrow)).relu(), block.bn2g(block.conv2g(narrow)).relu()
        expected = (block.bn3(block.conv3(sum(branches) / 2)) + block.downsample(x)).relu()
        assert torch.allclose(block(x), expected, atol=1e-5)
        assert expected.shape == (2, 256, 4, 4)


def test_fresh_convolutions_are_scaled_to_their_fan_out() -> None:
    torch.manual_seed(0)
    block = SkResNet50(2).layer4[0]
    assert abs(float(block.conv2.weight.detach().std()) / (2 / (512 * 9)) ** 0.5 - 1) < 0.01
