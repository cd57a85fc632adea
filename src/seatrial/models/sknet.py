"""SK-ResNet50 as PytorchInsight trained it; timm's skresnet50 is another network and cannot take these weights.

Source: https://github.com/implus/PytorchInsight, classification/models/imagenet/resnet_sk.py. It departs from the paper
(Selective Kernel Networks, https://arxiv.org/abs/1903.06586): the second branch is a grouped 3×3, not a dilated one,
and the squeeze has planes/16 channels with no minimum. Names of modules are those of the published checkpoint.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BRANCHES = 2
EXPANSION = 4
GROUPS = 32
REDUCTION = 16


class SelectiveKernelBottleneck(nn.Module):
    """1×1, two 3×3 branches weighed against each other per channel, 1×1, and the way around them."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs, squeezed = planes * EXPANSION, planes // REDUCTION
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2g = nn.Conv2d(planes, planes, 3, stride, 1, groups=GROUPS, bias=False)
        self.bn2g = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.conv_fc1 = nn.Conv2d(planes, squeezed, 1, bias=False)
        self.bn_fc1 = nn.BatchNorm2d(squeezed)
        self.conv_fc2 = nn.Conv2d(squeezed, BRANCHES * planes, 1, bias=False)
        self.planes = planes

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, 4·planes, h/stride, w/stride)."""
        narrow = F.relu(self.bn1(self.conv1(x)))
        plain = F.relu(self.bn2(self.conv2(narrow)))
        grouped = F.relu(self.bn2g(self.conv2g(narrow)))
        squeezed = F.adaptive_avg_pool2d(plain, 1) + F.adaptive_avg_pool2d(grouped, 1)
        scores = self.conv_fc2(F.relu(self.bn_fc1(self.conv_fc1(squeezed))))
        # -1 for the batch keeps a graph that is exported from this free of shape arithmetic.
        share = scores.reshape(-1, BRANCHES, self.planes, 1, 1).softmax(dim=1)
        wide = self.bn3(self.conv3(plain * share[:, 0] + grouped * share[:, 1]))
        return F.relu(wide + self.downsample(x))


class SkResNet50(nn.Module):
    """The whole network: RGB (n, 3, h, w) to logits (n, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stack_blocks(64, 64, blocks=3, stride=1)
        self.layer2 = _stack_blocks(256, 128, blocks=4, stride=2)
        self.layer3 = _stack_blocks(512, 256, blocks=6, stride=2)
        self.layer4 = _stack_blocks(1024, 512, blocks=3, stride=2)
        self.fc = nn.Linear(2048, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of normalised images."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return logits


def _stack_blocks(inputs: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    first = SelectiveKernelBottleneck(inputs, planes, stride)
    rest = (SelectiveKernelBottleneck(planes * EXPANSION, planes, stride=1) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
