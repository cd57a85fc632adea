"""A small network of each origin, trained on the demo's digits as its users train it: their libraries, their files.

What is timed and counted is not here: these are the weights that exist before the trial.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seatrial.data.demo import DemoData
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline
from seatrial.models.sources.resolve import resolve_recipe

CLASSES = 10
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BATCH = 32

NETS = """\
import torch
from numpy.typing import NDArray
from torch import nn


class SmallNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        widths = (3, 16, 32, 64, 128)
        self.blocks = nn.Sequential(*(self.block(a, b) for a, b in zip(widths, widths[1:])))
        self.head = nn.Linear(widths[-1], classes)

    @staticmethod
    def block(before, after):
        return nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)
        )

    def forward(self, images):
        return self.head(self.blocks(images).mean((2, 3)))
"""
CARD = f"""\
base = "digits/demo.toml"
name = "digits"
[network]
name = "test_resnet"
[labels]
names = {list(NAMES)!r}
"""
PROCESSOR = """\
{"image_processor_type": "ConvNextImageProcessor", "do_resize": true, "size": {"shortest_edge": 64},
 "crop_pct": 0.875, "resample": 3, "do_rescale": true, "rescale_factor": 0.00392156862745098, "do_normalize": true,
 "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
"""


@dataclass(frozen=True)
class Trained:
    """A network that exists, and the command that puts it through its trial."""

    origin: str
    network: str
    words: tuple[str, ...]
    """After `seatrial run`: the reference, and what belongs to it."""
    written: tuple[str, ...] = ()
    """Files that were written for the trial alone."""


def read_digits(like: tuple[str, int | None], data: DemoData) -> tuple[NDArray[np.uint8], torch.Tensor, InputPipeline]:
    """The training images as a reference prepares them, with their classes, and what finishes them."""
    reference, size = like
    pipeline = make_pipeline(resolve_recipe(reference, size))
    paths = sorted(data.train.rglob("*.JPEG"))
    labels = torch.tensor([int(path.parent.name) for path in paths])
    return np.stack([pipeline.load(path) for path in paths]), labels, pipeline


def train(network: nn.Module, like: tuple[str, int | None], data: DemoData, epochs: int, rate: float) -> None:
    """A plain loop: SGD, one cycle, the reference's own preprocessing, no augmentation but shifts."""
    pixels, labels, pipeline = read_digits(like, data)
    steps = epochs * (len(pixels) // BATCH)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(pixels), generator=generator)
        for chosen in order[: len(order) // BATCH * BATCH].split(BATCH):
            images = torch.from_numpy(pipeline.finish(pixels[chosen.numpy()]))
            shift = torch.randint(-4, 5, (2,), generator=generator).tolist()
            with torch.autocast("cpu", torch.bfloat16):
                given = network(images.roll(shift, (2, 3)))
                logits = given if isinstance(given, torch.Tensor) else given.logits
                loss = nn.functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()


def make_recipe(folder: Path, data: DemoData) -> Trained:
    """A recipe that comes with seatrial: its last layer is fitted to random features, as 224 px take long."""
    import timm

    network = timm.create_model("spnasnet_100", num_classes=CLASSES)
    pixels, labels, pipeline = read_digits(("spnasnet_100", None), data)
    batches = [torch.from_numpy(pipeline.finish(part)) for part in np.array_split(pixels, len(pixels) // BATCH)]
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # The mean over all batches.
        for batch in batches[::4]:
            network(batch)
        network.eval()
        features = [network.forward_head(network.forward_features(batch), pre_logits=True) for batch in batches]
    given = torch.cat(features).double()
    given = torch.cat([given, torch.ones(len(given), 1)], dim=1)
    wanted = nn.functional.one_hot(labels, CLASSES).double()
    ridge = 1e-2 * given.square().mean() * len(given) * torch.eye(given.shape[1])
    fitted = torch.linalg.solve(given.T @ given + ridge, given.T @ wanted).float()
    network.classifier.weight.data, network.classifier.bias.data = 10 * fitted[:-1].T.contiguous(), 10 * fitted[-1]
    torch.save({"state_dict": network.state_dict()}, folder / "recipe.pth.tar")
    words = ("spnasnet_100", "--classes", str(CLASSES), "--checkpoint", "recipe.pth.tar")
    return Trained("recipe", "spnasnet_100", words)


def make_card(folder: Path, data: DemoData) -> Trained:
    """A card of the user's: a base, other classes and their names; the weights of the next one."""
    (folder / "digits.toml").write_text(CARD)
    _train_timm(folder / "timm.pth", data)
    return Trained("card", "test_resnet", ("digits.toml", "--checkpoint", "timm.pth"), ("digits.toml",))


def make_timm(folder: Path, data: DemoData) -> Trained:
    """timm's network with another head."""
    _train_timm(folder / "timm.pth", data)
    words = ("timm:test_resnet.r160_in1k", "--classes", "10", "--image-size", "64", "--checkpoint", "timm.pth")
    return Trained("timm:", "test_resnet", words)


def _train_timm(path: Path, data: DemoData) -> None:
    import timm

    if not path.exists():
        network = timm.create_model("test_resnet", num_classes=CLASSES)
        train(network, ("timm:test_resnet.r160_in1k", 64), data, epochs=6, rate=0.1)
        torch.save(network.state_dict(), path)


def make_torchvision(folder: Path, data: DemoData) -> Trained:
    """torchvision's network with another head, in the dictionary that its own scripts write."""
    from torchvision import models

    network = models.shufflenet_v2_x0_5(weights=None, num_classes=CLASSES)
    train(network, ("torchvision:shufflenet_v2_x0_5", 64), data, epochs=8, rate=0.1)
    torch.save({"model": network.state_dict(), "epoch": 8}, folder / "torchvision.pth")
    words = ("torchvision:shufflenet_v2_x0_5", "--classes", str(CLASSES), "--image-size", "64")
    return Trained("torchvision:", "shufflenet_v2_x0_5", (*words, "--checkpoint", "torchvision.pth"))


def make_huggingface(folder: Path, data: DemoData) -> Trained:
    """A folder as `save_pretrained` writes it."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1], layer_type="basic",
        id2label=dict(enumerate(NAMES)), label2id={name: index for index, name in enumerate(NAMES)},
    )  # fmt: skip
    network = ResNetForImageClassification(config)
    network.save_pretrained(folder / "hf")
    (folder / "hf" / "preprocessor_config.json").write_text(PROCESSOR)
    train(network, (f"hf:{folder / 'hf'}", None), data, epochs=4, rate=0.1)
    network.save_pretrained(folder / "hf")
    return Trained("hf:./folder", "ResNet, 4 blocks", ("hf:./hf",))


def make_python(folder: Path, data: DemoData) -> Trained:
    """The user's own file, as it was trained."""
    _train_own(folder, data)
    words = ("nets.py:SmallNet", "--like", "timm:resnet18.a1_in1k", "--image-size", "64", "--checkpoint", "nets.pth")
    return Trained("file.py:callable", "SmallNet", words)


def make_onnx(folder: Path, data: DemoData) -> Trained:
    """The same network, exported by its user with names in the metadata."""
    import onnx

    network, path = _train_own(folder, data), folder / "nets.onnx"
    torch.onnx.export(
        network, (torch.zeros(1, 3, 64, 64),), path, input_names=["images"], output_names=["logits"],
        dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}}, opset_version=17, dynamo=False,
    )  # fmt: skip
    model = onnx.load(path)
    model.metadata_props.add(key="names", value=str(dict(enumerate(NAMES))))
    onnx.save(model, path)
    return Trained("model.onnx", "SmallNet", ("nets.onnx", "--like", "timm:resnet18.a1_in1k", "--image-size", "64"))


def _train_own(folder: Path, data: DemoData) -> nn.Module:
    (folder / "nets.py").write_text(NETS)
    content: dict[str, type[nn.Module]] = {}
    exec(NETS, content)
    network = content["SmallNet"]()
    if (folder / "nets.pth").exists():
        network.load_state_dict(torch.load(folder / "nets.pth")["net"])
        return network.eval()
    train(network, ("timm:resnet18.a1_in1k", 64), data, epochs=6, rate=0.1)
    torch.save({"net": network.state_dict()}, folder / "nets.pth")
    return network


MAKERS: dict[str, Callable[[Path, DemoData], Trained]] = {
    "card": make_card,
    "timm": make_timm,
    "torchvision": make_torchvision,
    "hf": make_huggingface,
    "python": make_python,
    "onnx": make_onnx,
    "recipe": make_recipe,
}
