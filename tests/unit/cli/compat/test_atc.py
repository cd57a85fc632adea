"""`atc` with its own flags, on an NPU and without one."""

import shlex
from pathlib import Path

import pytest

from ascend_machine import emulate_ascend
from fake_engine import make_graph
from onnx_graphs import write_linear
from seatrial.cli import run_cli
from seatrial.cli.compat import atc
from seatrial.cli.compat.call import Plan
from seatrial.cli.compat.engines import ORDER
from seatrial.cli.compat.run import plan_words
from seatrial.cli.compat.tools import TOOLS
from seatrial.engines import ENGINES
from seatrial.engines.ascend.options import DECIDED, OPTIONS
from seatrial.engines.base import read_engine
from seatrial.errors import EngineError, UsageError

HERE = "--engine onnxruntime --precision fp32 --device cpu"
CARD = """
name = "linear"
title = "Means of channels times weights"
preprocess = [{ step = "resize", size = [32, 32] }, { step = "to_float" }]
[network]
builder = "onnx"
name = "net.onnx"
classes = 3
"""
CHIP = "--soc_version=Ascend310P3"


def plan_line(line: str, recipe: str | None = None, engine: str | None = None) -> Plan:
    return plan_words(shlex.split(line), TOOLS, recipe, engine)[1]


def plan(line: str, recipe: str | None = None, engine: str | None = None) -> list[str]:
    return [shlex.join(words) for words in plan_line(line, recipe, engine).commands]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a graph of a free batch, without a manifest."""
    monkeypatch.chdir(tmp_path)
    write_linear(Path("net.onnx"), shape=("batch", 3, 32, 32))


def test_a_guides_line_is_compile_with_a_folder_called_om() -> None:
    line = (
        'atc --framework=5 --model=net.onnx --output=net_bs16 --input_format=NCHW --input_shape="pixels:16,3,32,32" '
        f"--log=debug {CHIP}"
    )
    made = plan_line(line, "resnet50")
    assert [shlex.join(words) for words in made.commands] == [
        f"compile net.onnx {HERE} --batch-size 16 --output net_bs16.om --recipe resnet50"
    ]
    assert "onnxruntime fp32 on cpu does it" in made.notes[0] and "npu-smi is not on PATH" in made.notes[0]
    assert made.notes[1:] == (
        "without effect on onnxruntime: --soc_version, --input_format, --log",
        "recipe resnet50, by --recipe",
    )


@pytest.mark.parametrize("line", ["--output=a.om", "--output a.om", "-output a"])
def test_om_is_appended_where_it_is_missing(line: str) -> None:
    (words,) = plan(f"atc --model net.onnx --input-shape pixels:1,3,32,32 {line}", "resnet50")
    assert "--output a.om " in words


def test_gears_are_batch_sizes() -> None:
    (words,) = plan('atc --model=net.onnx --output=a --input_shape="pixels:-1,3,32,32" --dynamic_batch_size="1,4"', "x")
    assert "--batch-size 1,4 " in words


def test_a_fixed_batch_is_pinned_to_another_one() -> None:
    write_linear(Path("fixed.onnx"), shape=(16, 3, 32, 32))
    line = "atc --model=fixed.onnx --output=a --insert_op_conf=aipp.config --input_shape=pixels:64,3,32,32"
    assert plan(line, "x") == [
        "simplify fixed.onnx fixed-bs64.onnx --input-shape 64,3,32,32",
        f"compile fixed-bs64.onnx {HERE} --batch-size 64 --output a.om --recipe x --aipp aipp.config",
    ]
    for own in ("--input_shape=pixels:16,3,32,32", ""):
        (words,) = plan(f"atc --model=fixed.onnx --output=a {own}", "x")
        assert words.startswith("compile fixed.onnx") and "--batch-size 16 " in words


def test_a_graph_of_ours_knows_its_recipe(tmp_path: Path) -> None:
    path = make_graph(tmp_path)
    (words,) = plan(f"atc --model={path} --output=a --input_shape=image:2,4,6,3")
    assert "--recipe" not in words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--input_shape=image:1,3,32,32", r"is not of this graph; its input is pixels:N,3,32,32"),
        ("--input_shape=pixels:1,3,224,224", "is not of this graph"),
        ("--input_shape=pixels:1~4,3,32,32", "is not NAME:N,C,H,W of one input in numbers"),
        ("", "the graph leaves the batch size free"),
        ("--input_shape=pixels:-1,3,32,32", "the graph leaves the batch size free"),
        ("--input_shape=pixels:1,3,32,32 --dynamic_batch_size=1,4", "not possible with a batch of 1"),
        ("--input_shape=pixels:-1,3,32,32 --dynamic_batch_size=1,x", "give numbers such as"),
        ("--framework=0", "--framework=0 is not possible here; possible: 5"),
        ("--mode=1", "--mode=1 is not possible here"),
        ("--out_nodes=x:0", "`seatrial simplify GRAPH OUT --output-name NAME`"),
        ("--input_shap=1", "did you mean '--input_shape'"),
        ("--input_fp16_nodes=pixels --input_shape=pixels:1,3,32,32", "which is fed float32"),
        ("--input_shape=pixels:1,3,32,32", "of which network"),
    ],
)
def test_what_cannot_be_done_is_refused(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(f"atc --model=net.onnx --output=a {line}")


def test_an_engine_may_be_chosen() -> None:
    line = "atc --model=net.onnx --output=a --input_shape=pixels:1,3,32,32"
    (words,) = plan(line, "x", "openvino:fp32")
    assert "--engine openvino --precision fp32 --device cpu " in words
    with pytest.raises(EngineError, match="tensorrt"):
        plan(line, "x", "tensorrt")
    with pytest.raises(UsageError, match="there is no engine 'onnx'"):
        plan(line, "x", "onnx")


def test_an_npu_gets_what_atc_takes(tmp_path: Path) -> None:
    line = "atc --framework=5 --model=net.onnx --output=a --input_shape=pixels:-1,3,32,32 --dynamic_batch_size=1,4"
    more = "--precision_mode=must_keep_origin_dtype --log=error"
    with emulate_ascend(tmp_path / "cann"):
        (words,) = plan(f"{line} {CHIP} {more}", "x")
    assert words == (
        "compile net.onnx --engine ascend --precision fp32 --device npu:0 --batch-size 1,4 --output a.om --recipe x "
        "--option soc_version=Ascend310P3 --option precision_mode=must_keep_origin_dtype --option log=error "
        "--option gears=true"
    )


def test_every_option_of_atc_is_in_the_row() -> None:
    (tool,) = atc.TOOLS
    known = {name for flag in tool.flags for name in flag.names}
    assert known >= (OPTIONS.keys() | DECIDED.keys()) - {"gears"}
    assert {*ORDER, "ascend"} == set(ENGINES)


def test_atc_compiles_and_prints_what_atc_prints(capsys: pytest.CaptureFixture[str]) -> None:
    Path("card.toml").write_text(CARD)
    line = f"atc --framework=5 --model=net.onnx --output=net_bs2 --input_shape=pixels:2,3,32,32 {CHIP}"
    assert run_cli(shlex.split(f"compat --recipe card.toml {line}")) == 0
    assert capsys.readouterr().out == f"{atc.BEGIN}\n{atc.END}\n"
    assert read_engine(Path("net_bs2.om")).find().batch_size == 2
