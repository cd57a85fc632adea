"""Export scripts and onnxsim, with their own words."""

import shlex
from pathlib import Path

import pytest
import torch

from golden_weights import make_state
from seatrial.cli.compat.call import Plan
from seatrial.cli.compat.run import plan_words
from seatrial.cli.compat.tools import TOOLS
from seatrial.errors import UsageError
from seatrial.models.build import sketch_network
from seatrial.recipes import load_recipe

FIXED = "--no-fuse-preprocess --no-simplify --output resnet50_official.onnx --batch-size 16"


def plan_line(line: str, recipe: str | None = None) -> Plan:
    return plan_words(shlex.split(line), TOOLS, recipe)[1]


def plan(line: str, recipe: str | None = None) -> str:
    """The one command of ours that a line is."""
    (words,) = plan_line(line, recipe).commands
    return shlex.join(words)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save_weights(recipe: str, path: str) -> None:
    """Weights of a card's network in the guides' wrapping, of zeros that take no room."""
    wanted = sketch_network(load_recipe(recipe).network).state_dict()
    zeros = {f"module.{key}": torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in wanted.items()}
    torch.save({"state_dict": zeros}, path)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        (
            "python3.7 sknet_pth2onnx.py --pth ./sk.pth.tar --onnx sknet.onnx",
            "export sk_resnet50 --checkpoint ./sk.pth.tar --no-fuse-preprocess --no-simplify --output sknet.onnx",
        ),
        (
            "sknet2onnx.py -pth a.pth -onnx b.onnx",
            "export sk_resnet50 --checkpoint a.pth --no-fuse-preprocess --no-simplify --output b.onnx",
        ),
        (
            "python3 Se_Resnext101_pth2onnx.py state_dict.pth se.onnx",
            "export seresnext101_32x4d --checkpoint state_dict.pth --no-fuse-preprocess --no-simplify --output se.onnx",
        ),
        (
            "python3 resnext50_pth2onnx.py x.pth y.onnx",
            "export resnext50_32x4d --checkpoint x.pth --no-fuse-preprocess --no-simplify --output y.onnx",
        ),
        (
            "python3 pthtar2onx.py",
            "export resnet50 --checkpoint resnet50checkpoint.pth.tar --no-fuse-preprocess --no-simplify "
            "--output resnet50_npu_16.onnx --batch-size 16",
        ),
        ("onnxsim in.onnx out.onnx", "simplify in.onnx out.onnx"),
        (
            "python3 -m onnxsim in.onnx out.onnx --overwrite-input-shape=16,3,224,224",
            "simplify in.onnx out.onnx --input-shape 16,3,224,224",
        ),
        (
            "onnxsim in.onnx out.onnx 3 --input-shape image:1,3,224,224",
            "simplify in.onnx out.onnx --input-shape image:1,3,224,224",
        ),
    ],
)
def test_every_command_of_the_guides_has_its_own(line: str, ours: str) -> None:
    assert plan(line) == ours


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("inceptionv4_pth2onnx.py --ckpt a.pth --onnx b.onnx", ""),
        ("resnet101_pth2onnx.py --checkpoint a.pth --save_dir b.onnx", ""),
        ("vgg16_pth2onnx.py --pth_path=a.pth --out=b.onnx", ""),
        ("resnest_pth2onnx.py --source=a.pth --target=b.onnx", ""),
        ("pth2onnx.py -m a.pth -o b.onnx --opset_version 11", "--opset 11"),
        ("swin_pth2onnx.py --resume=a.pth --cfg=c.yaml --output b.onnx --batch-size=16", "--batch-size 16"),
        ("RegNetX_onnx.py a.pth b.onnx", ""),
        ("Efficient-B1_pth2onnx.py a.pth pycls/b1.yaml b.onnx", ""),
        ("shufflenetv2_pth2onnx.py a.pth b.onnx 4", "--batch-size 4"),
    ],
)
def test_scripts_of_other_guides_take_their_own_words(line: str, more: str) -> None:
    ours = "export timm:dpn131 --checkpoint a.pth --no-fuse-preprocess --no-simplify --output b.onnx"
    assert plan(line, "timm:dpn131") == f"{ours} {more}".strip()


def test_what_rewrites_nodes_for_an_npu_is_left_out() -> None:
    with pytest.raises(UsageError, match="rewrites nodes of the graph for an NPU: leave it out"):
        plan("opt_onnx.py -i a.onnx -o b.onnx")


@pytest.mark.parametrize("script", ["pth2onnx.py", "pthtar2onnx.py"])
def test_the_recipe_is_the_one_that_the_weights_fit(script: str) -> None:
    save_weights("spnasnet_100", "model_best.pth.tar")
    made = plan_line(f"{script} model_best.pth.tar spnasnet.onnx")
    ends = "--checkpoint model_best.pth.tar --no-fuse-preprocess --no-simplify --output spnasnet.onnx"
    assert [shlex.join(words) for words in made.commands] == [f"export spnasnet_100 {ends}"]
    fit = "the weights in model_best.pth.tar, which fit no other card's network"
    assert made.notes == (f"recipe spnasnet_100, by {fit}",)
    assert plan(f"{script} model_best.pth.tar spnasnet.onnx", "resnet50").startswith("export resnet50")


def test_a_checkpoint_alone_is_resnet50s_form_of_batch_16() -> None:
    save_weights("resnet50", "checkpoint.pth")
    assert plan("python3 pth2onnx.py ./checkpoint.pth") == f"export resnet50 --checkpoint ./checkpoint.pth {FIXED}"
    save_weights("spnasnet_100", "model_best.pth.tar")
    with pytest.raises(UsageError, match=r"name the ONNX file too: pth2onnx.py model_best.pth.tar model_best.onnx"):
        plan("pth2onnx.py model_best.pth.tar")


def test_weights_of_no_card_are_a_question() -> None:
    torch.save(make_state({"conv.weight": (2, 3, 1, 1)}), "other.pth")
    with pytest.raises(UsageError, match=r"does not say of which network it is; .*--recipe REF"):
        plan("pthtar2onnx.py other.pth other.onnx")
    with pytest.raises(UsageError, match=r"there is no checkpoint gone\.pth"):
        plan("pthtar2onnx.py gone.pth other.onnx")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sknet_pth2onnx.py --pth a.pth", "needs --onnx"),
        ("sknet_pth2onnx.py --pth a.pth b.onnx c.onnx", "not both"),
        ("sknet_pth2onnx.py", "needs a checkpoint and an ONNX file"),
        ("Se_Resnext101_pth2onnx.py a.pth", "takes PTH ONNX"),
        ("onnxsim in.onnx", r"takes IN OUT \[CHECKS\]"),
        ("onnxsim in.onnx out.onnx --skip-fuse-bn", "its passes cannot be chosen"),
        ("onnxsim in.onnx out.onnx --overwrite-shape=1", "did you mean '--overwrite_input_shape'"),
    ],
)
def test_what_is_no_form_of_a_command_is_refused(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(line)
