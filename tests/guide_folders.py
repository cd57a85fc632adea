"""Small guides written for the tests, in the layout of the Ascend ModelZoo."""

from pathlib import Path

README = """# SmallNet inference guide

url=https://example.org/smallnet

| 输入数据 | 数据类型 | 大小 | 数据排布格式 |
|---|---|---|---|
| image | RGB_FP32 | batchsize x 3 x 224 x 224 | NCHW |

| 输出数据 | 数据类型 | 大小 | 数据排布格式 |
|---|---|---|---|
| class | FLOAT32 | batchsize x 1000 | ND |

Weights: `resnet18-f37072fd.pth`, md5: 0123456789abcdef0123456789abcdef

```
python3 small_preprocess.py resnet ./val ./bins
python3 small_pth2onnx.py resnet18-f37072fd.pth small.onnx
atc --framework=5 --model=small.onnx --input_shape="image:1,3,224,224" --output=small
```

| Batch Size | 310 | 310P | 310P/310 |
|---|---|---|---|
| 1 | 100 | 250 | 2.5 |
| 4 | 200 | 700 | 3.4 |
"""
PREPROCESS = """import sys
import numpy as np
from PIL import Image

model_config = {
    "resnet": {"resize": 256, "centercrop": 224,
               "mean": [0.485, 0.456, 0.406],
               "std": [0.229, 0.224, 0.225]},
    "inception": {"resize": 342, "centercrop": 299, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


def center_crop(img, output_size):
    if isinstance(output_size, int):
        output_size = (int(output_size), int(output_size))
    image_width, image_height = img.size
    crop_height, crop_width = output_size
    top = int(round((image_height - crop_height) / 2.))
    left = int(round((image_width - crop_width) / 2.))
    return img.crop((left, top, left + crop_width, top + crop_height))


def resize(img, size, interpolation=Image.BILINEAR):
    if isinstance(size, int):
        w, h = img.size
        if (w <= h and w == size) or (h <= w and h == size):
            return img
        if w < h:
            return img.resize((size, int(size * h / w)), interpolation)
        return img.resize((int(size * w / h), size), interpolation)
    return img.resize(size[::-1], interpolation)


def preprocess(mode, source, target):
    for name in source:
        image = Image.open(name).convert("RGB")
        image = resize(image, model_config[mode]["resize"])
        image = center_crop(image, model_config[mode]["centercrop"])
        img = np.array(image, dtype=np.float32).transpose(2, 0, 1) / 255.0
        img -= np.array(model_config[mode]["mean"], dtype=np.float32)[:, None, None]
        img /= np.array(model_config[mode]["std"], dtype=np.float32)[:, None, None]
        img.tofile(target)


if __name__ == "__main__":
    preprocess(sys.argv[1], sys.argv[2], sys.argv[3])
"""
EXPORT = """import sys
import torch
import torchvision.models as models

model = models.resnet18(pretrained=False)
model.load_state_dict(torch.load(sys.argv[1]))
input_names = ["image"]
output_names = ["class"]
dummy_input = torch.randn(1, 3, 224, 224)
torch.onnx.export(model, dummy_input, sys.argv[2], input_names=input_names, output_names=output_names, opset_version=11)
"""
AIPP = """aipp_op {
    aipp_mode: static
    input_format: RGB888_U8
    src_image_size_w: 256
    src_image_size_h: 256
    crop: true
    load_start_pos_w: 16
    load_start_pos_h: 16
    crop_size_w: 224
    crop_size_h: 224
    min_chn_0: 123.675
    min_chn_1: 116.28
    min_chn_2: 103.53
    var_reci_chn_0: 0.0171247538316637
    var_reci_chn_1: 0.0175070028011204
    var_reci_chn_2: 0.0174291938997821
}
"""


def write_guide(folder: Path, **files: str) -> Path:
    """A guide's folder; `files` are by what they are in the place of the usual ones, and left out where empty."""
    texts = {"readme": README, "preprocess": PREPROCESS, "export": EXPORT, "aipp": "", **files}
    names = {
        "readme": "README.md",
        "preprocess": "small_preprocess.py",
        "export": "small_pth2onnx.py",
        "aipp": "aipp.config",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in texts.items():
        if text:
            (folder / names[kind]).write_text(text, encoding="utf-8")
    return folder
