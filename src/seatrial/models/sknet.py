"""SK-ResNet50 as PytorchInsight trained it; timm's skresnet50 is another network and cannot take these weights.

Source: https://github.com/implus/PytorchInsight, classification/models/imagenet/resnet_sk.py. It departs from the paper
(Selective Kernel Networks, https://arxiv.org/abs/1903.06586): the second branch is a grouped 3×3, not a dilated one,
and the squeeze has planes/16 channels with no minimum. Around its blocks it is torchvision's ResNet. Names of modules
are those of the published checkpoint.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import ResNet

BRANCHES = 2
GROUPS = 32
REDUCTION = 16


class SelectiveKernelBottleneck(nn.Module):
    """1×1, two 3×3 branches weighed against each other per channel, 1×1, and the way around them."""

    expansion = 4

    def __init__(
        self, inputs: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, *_: Any, **__: Any
    ) -> None:
        super().__init__()
        outputs, squeezed = planes * self.expansion, planes // REDUCTION
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2g = nn.Conv2d(planes, planes, 3, stride, 1, groups=GROUPS, bias=False)
        self.bn2g = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = downsample or nn.Identity()
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


class SkResNet50(ResNet):  # type: ignore[misc]
    """The whole network: RGB (n, 3, h, w) to logits (n, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__(SelectiveKernelBottleneck, [3, 4, 6, 3], num_classes=classes)
