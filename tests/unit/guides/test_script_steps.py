"""What scripts do to images, read without running them."""

import textwrap

import pytest

from guide_folders import PREPROCESS
from seatrial.guides.script import FoundSteps, read_steps

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HEAD = """
import cv2, numpy as np, torch
from PIL import Image
from torchvision import transforms
from timm.data import create_loader, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
"""


def read(body: str, *words: str) -> FoundSteps:
    found = read_steps(HEAD + textwrap.dedent(body), "script.py", words)
    assert found is not None
    return found


def list_steps(found: FoundSteps) -> list[tuple[str, dict[str, object]]]:
    return [(step.step, step.options) for step in found.steps]


def test_a_table_of_modes_is_read_at_the_word_of_the_command() -> None:
    found = read_steps(PREPROCESS, "small_preprocess.py", ("resnet", "./val", "./bins"))
    assert found is not None and not found.unclear
    assert list_steps(found) == [
        ("resize", {"short_side": 256, "interpolation": "bilinear"}),
        ("center_crop", {"size": (224, 224), "offset": "half_even"}),
        ("to_float", {}),
        ("normalise", IMAGENET),
    ]
    lines = PREPROCESS.splitlines()
    assert '"resize": 256' in lines[found.steps[0].line - 1]
    assert '"centercrop": 224' in lines[found.steps[1].line - 1]
    assert "0.485" in lines[found.steps[3].line - 1]
    assert "0.229" in lines[(found.steps[3].std_line or 0) - 1]


def test_without_the_word_nothing_is_taken_for_granted() -> None:
    found = read_steps(PREPROCESS, "small_preprocess.py")
    assert found is not None and found.unclear


def test_composed_transforms_count_where_they_are_applied() -> None:
    found = read("""
        unused = transforms.Compose([transforms.Resize(999), transforms.ToTensor()])
        train = transforms.Compose([transforms.RandomResizedCrop(224), transforms.ToTensor()])
        steps = [transforms.Resize(int((256 / 224) * 240), interpolation=3)]
        steps.append(transforms.CenterCrop(240))
        steps += [transforms.ToTensor(), transforms.Normalize(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)]
        transform = transforms.Compose(steps)
        for name in names:
            x = transform(Image.open(name).convert("RGB")).unsqueeze(0)
            np.array(x).astype(np.float32).tofile(name)
    """)
    assert list_steps(found)[:2] == [
        ("resize", {"short_side": 274, "interpolation": "bicubic"}),
        ("center_crop", {"size": (240, 240), "offset": "half_even"}),
    ]
    assert list_steps(found)[3] == ("normalise", IMAGENET)
    assert not found.unclear


def test_arithmetic_in_numpy_is_one_normalisation() -> None:
    found = read("""
        img = Image.open(name).resize((256, 192), Image.BICUBIC)
        img = np.array(img, dtype=np.float32)
        height, width, _ = img.shape
        left = int((width - 160) / 2)
        right = int((width + 160) / 2)
        top = int((height - 128) / 2)
        img = img[top:int((height + 128) / 2), left:right]
        img[..., 0] -= 123.675
        img[..., 1] -= 116.28
        img[..., 2] -= 103.53
        img = img / np.array([58.395, 57.12, 57.375])
    """)
    assert list_steps(found) == [
        ("resize", {"size": (192, 256), "interpolation": "bicubic"}),
        ("center_crop", {"size": (128, 160), "offset": "truncate"}),
        ("to_float", {}),
        ("normalise", IMAGENET),
    ]


def test_a_loop_over_channels_normalises_each_by_its_own() -> None:
    found = read("""
        def normalize(img, means, variances):
            for channel, (mean, variance) in enumerate(zip(means, variances)):
                img[:, :, channel] = (img[:, :, channel] - mean) / variance
            return img
        img = np.array(Image.open(name).resize((8, 8), 2)).astype(np.float32) / 255
        normalize(img, [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    """)
    assert list_steps(found)[-1] == ("normalise", {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]})


@pytest.mark.parametrize(
    ("reading", "steps"),
    [
        ("x = cv2.imread(name)", ["resize", "channels", "to_float"]),
        ("x = cv2.cvtColor(cv2.imread(name), cv2.COLOR_BGR2RGB)", ["resize", "to_float"]),
        ("x = cv2.imread(name)[:, :, ::-1]", ["resize", "to_float"]),
        ("x = cv2.imread(name)[:, :, [2, 1, 0]]", ["resize", "to_float"]),
        ("x = cv2.imread(name)[..., ::-1]", ["resize", "to_float"]),
        ("b, g, r = cv2.split(cv2.imread(name)); x = cv2.merge([r, g, b])", ["resize", "to_float"]),
    ],
)
def test_opencv_reads_blue_first_until_it_is_turned_round(reading: str, steps: list[str]) -> None:
    found = read(f"{reading}\nx = cv2.resize(x, (224, 224)) / 255.")
    assert [step.step for step in found.steps] == steps
    assert found.steps[0].options["antialias"] is False
    assert not found.unclear


def test_opencvs_other_side_is_rounded_where_the_script_rounds() -> None:
    found = read("""
        class Resize(object):
            def __init__(self, size=256):
                self.size = size
            def __call__(self, img):
                img = np.asarray(img)
                H, W, _ = img.shape
                size = (int(self.size / H * W + 0.5), self.size) if H < W else (self.size, int(self.size / W * H + 0.5))
                return Image.fromarray(cv2.resize(img, size, interpolation=cv2.INTER_LINEAR))
        t = transforms.Compose([Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
        t(Image.open(name))
    """)
    assert found.steps[0].options["cover"] == (256, 256)


def test_timms_loader_resizes_to_its_size_over_crop_pct() -> None:
    found = read("""
        loader = create_loader(data, input_size=(3, 224, 224), interpolation="bicubic", crop_pct=0.9,
                               mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), use_prefetcher=True)
    """)
    assert found.steps[0].options == {"short_side": 248, "interpolation": "bicubic"}
    unread = read("loader = create_loader(data, input_size=(3, 224, 224), crop_pct=config['crop_pct'])")
    assert unread.unclear and not unread.steps


@pytest.mark.parametrize(
    "line",
    [
        "x = repository.augment(Image.open(name))",
        "x = Image.open(name).rotate(angle)",
        "x = np.array(Image.open(name)) - mean_of_unknown_file",
        "x = np.array(Image.open(name)) / 0",
        "x = np.array(Image.open(name))[::-1]",
        "x = np.pad(np.array(Image.open(name)), 4)",
        "x = Image.open(name).convert('YCbCr')",
        "r, g, b = Image.open(name).split()\nx = Image.merge('RGB', (b, g, r))",
        "x = cv2.cvtColor(cv2.imread(name), cv2.COLOR_BGR2YUV)",
        "x = cv2.imread(name, cv2.IMREAD_GRAYSCALE)",
        "t = transforms.Resize(256, max_size=300)\nt(Image.open(name))",
        "t = transforms.Compose([transforms.ToTensor(), transforms.Resize((9, 9))])\nt(Image.open(name))",
        "x = np.array(Image.open(name))[16:240, 16:240]",
        "x = np.array(Image.open(name)) * 1e300 * 1e300",
        "x = np.array(Image.open(name))\nx[0] -= 0.5",
        "t = transforms.Normalize([0.5] * 3, [0, 0, 0])\nt(Image.open(name))",
        "x = Image.open(name)\nif flag:\n    x = x.resize((8, 8), 2)\nelse:\n    x = x.resize((9, 9), 2)",
    ],
)
def test_what_is_not_read_is_said(line: str) -> None:
    found = read(line)
    assert found.unclear and all(where.startswith("script.py line ") for where in found.unclear)


def test_nothing_is_run() -> None:
    found = read_steps("import os\nos.abort()\n", "script.py")
    assert found is None


@pytest.mark.parametrize(
    "line", ["x = 'a' * 99999999999", "x = (1,) * 99999999999", "x = 9 * 9 // 0", "x" + ".a" * 900]
)
def test_arithmetic_of_scripts_takes_no_memory_and_no_errors(line: str) -> None:
    found = read_steps(line, "script.py")
    assert found is None or not found.steps


def test_endless_recursion_ends() -> None:
    found = read_steps("def f(x):\n    return f(x.convert('RGB'))\nf(Image.open(1))\nwhile True:\n    pass\n", "s.py")
    assert found is None or not found.steps
