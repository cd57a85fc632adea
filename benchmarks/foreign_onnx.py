"""ONNX files as other tools write them, each to a verdict or a refusal that says why.

    python benchmarks/foreign_onnx.py --folder WORK [--only WORDS] [--text-direction cls.onnx]

A small network is trained on scikit-learn's digits, and written once for each kind. A kind is put through
`seatrial run FILE --like CARD`; what is no reference of its own (fp16, int8) is then compiled beside the fp32 file and
evaluated against its predictions. `--text-direction` adds a file that pip packages for text recognition ship: whether a
line of text stands on its head (BGR, 48 × 192, two classes), on lines that are drawn here.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from PIL import Image, ImageDraw

SIZE, CLASSES = 32, 10
CARD = """\
name = "digits"
title = "Digits"
preprocess = [
  {{ step = "resize", size = [32, 32], interpolation = "bilinear" }},
  {steps}
]
[network]
name = "digits"
classes = 10
{more}
[gates]
reference_drop_pp = 2.0
"""
TEXT_CARD = """\
name = "text_direction"
title = "Text direction"
preprocess = [
  { step = "resize", size = [48, 192], interpolation = "bilinear" },
  { step = "channels", order = "BGR" },
  { step = "to_float" },
  { step = "normalise", mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] },
]
[network]
name = "text_direction"
classes = 2
[labels]
names = ["0", "180"]
[gates]
reference_drop_pp = 5.0
"""
NORMALISED = '{ step = "to_float" },\n  { step = "normalise", mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] },'


@dataclass(frozen=True)
class Kind:
    """A way to write the network, and what the card must say of it."""

    make: Callable[[Path, Path], None]
    """From the plain file to this one."""
    more: str = ""
    """Lines of the card after its `[network]`."""
    words: tuple[str, ...] = ()
    """Further options of `run`."""
    engine: bool = False
    """It is no reference of its own: compiled and evaluated against the plain file."""
    refused: str = ""
    """What the refusal must say; empty where a verdict is expected."""
    code: int = 0
    """The exit code of the verdict."""
    steps: str = field(default=NORMALISED)


def train_network(folder: Path) -> Path:
    """The plain file: float32 NCHW, free batch, opset 17; its images and labels beside it."""
    path = folder / "plain.onnx"
    if path.exists():
        return path
    from sklearn.datasets import load_digits

    digits = load_digits()
    (folder / "images").mkdir(exist_ok=True)
    pixels, lines = [], []
    for index, (values, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        grey = Image.fromarray((values * 255 / 16).astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        picture = Image.merge("RGB", (grey, grey.point(lambda level: 255 - level), grey))
        pixels.append(np.asarray(picture))
        if index >= 1257:
            picture.save(folder / "images" / f"{index:04d}.png")
            lines.append(f"{index:04d}.png {label}\n")
    (folder / "labels.txt").write_text("".join(lines))
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, 2, 1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, 2, 1), torch.nn.BatchNorm2d(32), torch.nn.ReLU(),
        torch.nn.Conv2d(32, 64, 3, 2, 1), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(256, CLASSES),
    )  # fmt: skip
    images = (torch.from_numpy(np.stack(pixels[:1257])).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    labels = torch.from_numpy(digits.target[:1257]).long()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(12):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()
    names = {"input_names": ["pixels"], "output_names": ["scores"]}
    free = {"pixels": {0: "n"}, "scores": {0: "n"}}
    warnings.simplefilter("ignore")
    for opset, file in ((9, folder / "plain-9.onnx"), (17, path)):
        torch.onnx.export(
            network.eval(), (images[:1],), str(file), opset_version=opset, dynamo=False, dynamic_axes=free, **names
        )
    return path


def edit(change: Callable[[onnx.ModelProto], onnx.ModelProto | None]) -> Callable[[Path, Path], None]:
    """A kind that changes the plain file's graph, in place or by another."""

    def make(plain: Path, path: Path) -> None:
        model = onnx.load(plain)
        onnx.save(change(model) or model, path)

    return make


def put_before(nodes: list[onnx.NodeProto], kind: int, shape: list[int | str], constants: list[onnx.TensorProto] = []):  # type: ignore[no-untyped-def]  # noqa: B006
    """Another input, from which `nodes` make the plain graph's `pixels`."""

    def change(model: onnx.ModelProto) -> None:
        del model.graph.input[:]
        model.graph.input.append(helper.make_tensor_value_info("image", kind, shape))
        for place, node in enumerate(nodes):
            model.graph.node.insert(place, node)
        model.graph.initializer.extend(constants)

    return edit(change)


def constant(name: str, values: object, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype), name)


def append_softmax(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1))
    model.graph.output[0].name = "probabilities"


def append_sigmoid(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Sigmoid", ["scores"], ["chances"]))
    model.graph.output[0].name = "chances"


def fix_batch(size: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for end in (*model.graph.input, *model.graph.output):
            end.type.tensor_type.shape.dim[0].dim_value = size
        del model.graph.value_info[:]

    return change


def free_size(model: onnx.ModelProto) -> None:
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"axis{axis}"
    del model.graph.value_info[:]


def add_output(model: onnx.ModelProto) -> None:
    features = next(node for node in model.graph.node if node.op_type == "Flatten").output[0]
    model.graph.output.insert(0, helper.make_tensor_value_info(features, TensorProto.FLOAT, ["n", 256]))


def to_half(plain: Path, path: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(plain)), path)


def to_half_inside(plain: Path, path: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(plain), keep_io_types=True), path)


def list_initialisers(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    model.ir_version = 3


def convert_opset(opset: int, ir: int) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    def change(model: onnx.ModelProto) -> onnx.ModelProto:
        converted = version_converter.convert_version(model, opset)
        converted.ir_version = ir
        return converted

    return change


def save_outside(plain: Path, path: Path) -> None:
    (path.parent / f"{path.name}.data").unlink(missing_ok=True)
    onnx.save(onnx.load(plain), path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)


class Digits(CalibrationDataReader):
    """Some of the images, normalised."""

    def __init__(self, folder: Path) -> None:
        files = sorted((folder / "images").iterdir())[:64]
        batches = [np.asarray(Image.open(file), np.float32).transpose(2, 0, 1)[None] / 255 for file in files]
        self.rows = iter([{"pixels": (batch - 0.5) / 0.25} for batch in batches])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rows, None)


def quantise(form: QuantFormat) -> Callable[[Path, Path], None]:
    def make(plain: Path, path: Path) -> None:
        quantize_static(plain, path, Digits(plain.parent), form, weight_type=QuantType.QInt8, per_channel=True)

    return make


def quantise_dynamically(plain: Path, path: Path) -> None:
    quantize_dynamic(plain, path, weight_type=QuantType.QUInt8)


def add_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("size", TensorProto.FLOAT, ["n", 2]))
    model.graph.node.append(helper.make_node("ReduceMean", ["size"], ["mean_size"], axes=[1], keepdims=1))
    model.graph.node.append(helper.make_node("Add", ["scores", "mean_size"], ["sum"]))
    model.graph.output[0].name = "sum"


def drop_in_training(model: onnx.ModelProto) -> None:
    last = next(node for node in model.graph.node if node.output[0] == "scores")
    last.input[0], before = "dropped", last.input[0]
    flags = [constant("ratio", 0.5), constant("training", True, bool)]  # type: ignore[arg-type]
    model.graph.initializer.extend(flags)
    dropout = helper.make_node("Dropout", [before, "ratio", "training"], ["dropped"])
    model.graph.node.insert(len(model.graph.node) - 1, dropout)


def name_classes(model: onnx.ModelProto) -> None:
    helper.set_model_props(model, {"names": str({index: f"digit {index}" for index in range(CLASSES)})})


def keep_features(model: onnx.ModelProto) -> None:
    """A body without a head: 256 numbers an image."""
    add_output(model)
    del model.graph.output[1:]
    del model.graph.node[-1:]


def text(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


NORMALISE = [
    helper.make_node("Sub", ["image", "mean"], ["centred"]),
    helper.make_node("Div", ["centred", "std"], ["pixels"]),
]
MEAN, STD = constant("mean", np.full((1, 3, 1, 1), 0.5)), constant("std", np.full((1, 3, 1, 1), 0.25))
FROM_BYTES = [
    helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
    helper.make_node("Sub", ["float", "mean"], ["centred"]),
    helper.make_node("Div", ["centred", "std"], ["planes"]),
]
BYTE_MEAN, BYTE_STD = constant("mean", [127.5] * 3), constant("std", [63.75] * 3)
PLANE_MEAN = constant("mean", np.full((1, 3, 1, 1), 127.5))
PLANE_STD = constant("std", np.full((1, 3, 1, 1), 63.75))
TO_PLANES = helper.make_node("Transpose", ["planes"], ["pixels"], perm=[0, 3, 1, 2])
BATCH_4 = ("--batch-size", "4")

KINDS = {
    "float32 NCHW": Kind(lambda plain, path: shutil.copy(plain, path) and None),
    "float32 NHWC": Kind(
        put_before([helper.make_node("Transpose", ["image"], ["pixels"], perm=[0, 3, 1, 2])], 1, ["n", SIZE, SIZE, 3])
    ),
    "softmax inside": Kind(edit(append_softmax)),
    "batch fixed to 1": Kind(edit(fix_batch(1)), words=("--batch-size", "1")),
    "batch fixed to 4": Kind(edit(fix_batch(4)), words=BATCH_4),
    "batch fixed to 4, 8 asked": Kind(edit(fix_batch(4)), words=("--batch-size", "8"), refused="give --batch-size 4"),
    "free height and width": Kind(edit(free_size)),
    "two outputs, one named": Kind(edit(add_output), more='[graph]\noutput = "scores"\n'),
    "two outputs, none named": Kind(edit(add_output), refused="graph"),
    "float16, ends too": Kind(to_half, engine=True, refused="cannot run here"),
    "float16 inside": Kind(to_half_inside, engine=True, refused="cannot run here"),
    "uint8 NHWC, normalised inside": Kind(
        put_before([*FROM_BYTES, TO_PLANES], TensorProto.UINT8, ["n", SIZE, SIZE, 3], [BYTE_MEAN, BYTE_STD])
    ),
    "uint8 NCHW, normalised inside": Kind(
        put_before(
            [*FROM_BYTES[:2], helper.make_node("Div", ["centred", "std"], ["pixels"])],
            TensorProto.UINT8,
            ["n", 3, SIZE, SIZE],
            [PLANE_MEAN, PLANE_STD],
        )
    ),
    "float32, normalised inside": Kind(put_before(NORMALISE, 1, ["n", 3, SIZE, SIZE], [MEAN, STD])),
    "initialisers as inputs, IR 3": Kind(edit(list_initialisers)),
    "external data": Kind(save_outside),
    "opset 9, IR 4": Kind(lambda plain, path: shutil.copy(plain.parent / "plain-9.onnx", path) and None),
    "opset 21, IR 10": Kind(edit(convert_opset(21, 10))),
    "opset 25, IR 13": Kind(edit(convert_opset(25, 13))),
    "int8 QDQ": Kind(quantise(QuantFormat.QDQ), engine=True),
    "int8 QOperator": Kind(quantise(QuantFormat.QOperator), engine=True),
    "int8, dynamic scales": Kind(quantise_dynamically, engine=True),
    "classes in the metadata": Kind(edit(name_classes)),
    "two inputs": Kind(edit(add_input), refused="input"),
    "dropout in training": Kind(edit(drop_in_training), refused="training"),
    "features without a head": Kind(edit(keep_features), code=7),
    "input of text": Kind(edit(text), refused="string"),
    "sigmoid inside": Kind(edit(append_sigmoid)),
}


def write_card(path: Path, kind: Kind) -> Path:
    path.write_text(CARD.format(steps=kind.steps, more=kind.more))
    return path


def call(*words: object) -> tuple[int, str]:
    """A command's exit code, and its last line: of what it printed, or of its error."""
    command = [sys.executable, "-m", "seatrial", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if "Traceback" in done.stderr:
        return 1, "TRACEBACK " + done.stderr.strip().splitlines()[-1]
    lines = (done.stdout if done.returncode in (0, 3, 4, 7) else done.stderr).strip().splitlines()
    return done.returncode, lines[-1] if lines else ""


def judge(name: str, kind: Kind, plain: Path) -> tuple[bool, str]:
    """Whether the kind came to what is expected of it, and what was printed."""
    folder = plain.parent
    slug = re.sub(r"\W+", "-", name)
    path, card = folder / f"{slug}.onnx", write_card(folder / f"{slug}.toml", kind)
    kind.make(plain, path)
    out = folder / f"run-{slug}"
    data = ["--images", folder / "images", "--labels", folder / "labels.txt"]
    short = ["--bench-duration", "0.05", "--bench-samples", "3", "--engines", "onnxruntime,openvino"]
    batch = [] if "--batch-size" in kind.words else ["--batch-size", "1"]
    shutil.rmtree(out, ignore_errors=True)
    code, line = call("run", path, "--like", card, *data, "--output", out, *short, *batch, *kind.words)
    if kind.refused and not kind.engine:
        return code in (2, 5, 6, 8) and kind.refused in line, f"exit {code}: {line}"
    if not kind.engine:
        return code == kind.code, f"exit {code}: {line}"
    first = f"run, exit {code}: {line}"
    reference = folder / "run-float32-NCHW" / "evaluation" / "onnxruntime.parquet"
    shutil.rmtree(folder / f"engine-{slug}", ignore_errors=True)
    compiled = call("compile", path, "--recipe", card, "--engine", "onnxruntime", "--output", folder / f"engine-{slug}")
    if compiled[0]:
        return kind.refused != "" and kind.refused in compiled[
            1
        ], f"{first}; compile, exit {compiled[0]}: {compiled[1]}"
    words = ["evaluate", folder / f"engine-{slug}", *data, "--reference", reference, "--output", out]
    evaluated = call(*words)
    return code in (2, 5) and evaluated[0] == 0, f"{first}; evaluate, exit {evaluated[0]}: {evaluated[1]}"


def judge_text_direction(path: Path, folder: Path) -> tuple[bool, str]:
    """Lines of drawn text, half of them on their heads, through the file: BGR, 48 × 192, two classes."""
    shutil.rmtree(folder / "lines", ignore_errors=True)
    (folder / "lines").mkdir()
    names = []
    rng = np.random.default_rng(0)
    for index in range(120):
        picture = Image.new("RGB", (384, 96), (250, 248, 240))
        words = "".join(rng.choice(list("ABCDEFGHKLRTabdeghnrty2345679 ")) for _ in range(14))
        ImageDraw.Draw(picture).text((12, 24), words, fill=(30, 20, 90), font_size=40)
        picture = picture.rotate(180) if index % 2 else picture
        picture.save(folder / "lines" / f"{index:03d}.png")
        names.append(f"{index:03d}.png {index % 2}\n")
    (folder / "lines.txt").write_text("".join(names))
    card = folder / "text-direction.toml"
    card.write_text(TEXT_CARD)
    out = folder / "run-text-direction"
    shutil.rmtree(out, ignore_errors=True)
    words = [
        "run",
        path,
        "--like",
        card,
        "--images",
        folder / "lines",
        "--labels",
        folder / "lines.txt",
        "--output",
        out,
    ]
    code, line = call(*words, "--bench-duration", "0.05", "--bench-samples", "3", "--batch-size", "1")
    return code == 0, f"exit {code}: {line}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--text-direction", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    plain = train_network(asked.folder)
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    good, start = [], time.perf_counter()
    for name, kind in KINDS.items():
        if asked.only in name:
            sound, line = judge(name, kind, plain)
            good.append(sound)
            print(f"{'as expected' if sound else 'NOT EXPECTED'}  {name:<32}{line}", flush=True)
    if asked.text_direction:
        sound, line = judge_text_direction(asked.text_direction, asked.folder)
        good.append(sound)
        print(f"{'as expected' if sound else 'NOT EXPECTED'}  {'BGR, 48 x 192, two classes':<32}{line}", flush=True)
    print(f"{sum(good)} of {len(good)} kinds as expected, {time.perf_counter() - start:.0f} s")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
