"""The guides' export scripts, and onnxsim."""

from pathlib import Path

from seatrial.cli.compat.call import Call, Flag, Plan, Tool, read_places
from seatrial.cli.compat.recipes import find_recipe
from seatrial.errors import UsageError

FIXED_BATCH = "16"
"""What the ResNet50 guide's scripts fix the batch to."""
OFFICIAL = "resnet50_official.onnx"
"""What its pth2onnx.py writes, whatever it reads."""
NVIDIA_WEIGHTS, NVIDIA_GRAPH = "resnet50checkpoint.pth.tar", "resnet50_npu_16.onnx"
"""What its pthtar2onx.py reads and writes where no other file is given."""
PLAIN = ("--no-fuse-preprocess", "--no-simplify")
"""The guides' graphs take normalised floats, and are as the exporter writes them."""


def plan_export(call: Call) -> Plan:
    """`PTH ONNX` or `--pth PTH --onnx ONNX`: a graph with a free batch.

    Raises:
        UsageError: the form is another one, or nothing says which network it is.
    """
    words = read_places(call, ("pth", "onnx"), [word for word in call.arguments if not word.endswith(CONFIGURATIONS)])
    batch = ("--batch-size", words[2]) if len(words) == 3 and words[2].isdecimal() else ()
    if len(words) != (3 if batch else 2):
        raise UsageError(f"{call.name} needs a checkpoint and an ONNX file", f"its form: {call.tool.usage}")
    return _export(call, *words[:2], *batch, *call.handed_on)


def plan_fixed(call: Call) -> Plan:
    """`pth2onnx.py PTH`: the ResNet50 guide's form, of batch 16; with an ONNX file behind it that of other guides.

    Raises:
        UsageError: nothing says which network it is, or it is another one and no ONNX file is named.
    """
    if "pth" in call.values or len(call.arguments) != 1:
        return plan_export(call)
    recipe, _ = find_recipe(call, checkpoint=Path(call.arguments[0]))
    if recipe != "resnet50":
        stem = Path(call.arguments[0]).name.split(".")[0]
        raise UsageError(
            f"{call.name} with a checkpoint alone is the ResNet50 guide's, which writes {OFFICIAL}",
            f"name the ONNX file too: {call.name} {call.arguments[0]} {stem}.onnx",
        )
    return _export(call, call.arguments[0], OFFICIAL, "--batch-size", FIXED_BATCH)


def plan_nvidia(call: Call) -> Plan:
    """`pthtar2onx.py [PTH]`."""
    return _export(call, *(call.arguments or (NVIDIA_WEIGHTS,)), NVIDIA_GRAPH, "--batch-size", FIXED_BATCH)


def plan_simplify(call: Call) -> Plan:
    """`onnxsim IN OUT [CHECKS]`."""
    source, target = call.arguments[:2]
    return Plan((("simplify", source, target, *call.handed_on),))


def _export(call: Call, checkpoint: str, graph: str, *options: str) -> Plan:
    recipe, reason = find_recipe(call, checkpoint=Path(checkpoint))
    words = ("export", recipe, "--checkpoint", checkpoint, *PLAIN, "--output", graph, *options)
    return Plan((words,), (f"recipe {recipe}, by {reason}",))


CHECKPOINT = Flag(("pth",), means="`--checkpoint PTH`")
GRAPH = Flag(("onnx",), means="`--output ONNX`")
ENDS = "--pth PTH --onnx ONNX"
OTHERS = (
    Flag(
        (
            *("pth", "pth_path", "ckpt", "checkpoint", "checkpoint_path", "model_path", "weight", "weights", "source"),
            *("src", "input", "input_path", "input_file", "pretrained", "pretrain_path", "resume", "c", "m", "i"),
        ),
        means="`--checkpoint PTH`",
    ),
    Flag(
        (
            *("onnx", "onnx_path", "out", "out_path", "output", "output_path", "output_file", "save_path", "save_dir"),
            *("target", "des", "o"),
        ),
        means="`--output ONNX`",
    ),
    Flag(("batch_size", "batchsize", "bs", "batch"), "--batch-size"),
    Flag(("opset_version", "opset"), "--opset"),
    Flag(("cfg", "config", "model_name", "arch"), dropped="the recipe says which network it is"),
)
"""How other guides' scripts call them."""
CONFIGURATIONS = (".yaml", ".yml")
"""Of files that say which network it is, between the words: the recipe does here."""
OURS = f"export {' '.join(PLAIN)}"
PASSES = "its passes cannot be chosen: leave it out"
TOOLS = (
    Tool(("sknet_pth2onnx.py", "sknet2onnx.py"), ENDS, OURS, plan_export, (CHECKPOINT, GRAPH), (0, 2), "sk_resnet50"),
    Tool(("Se_Resnext101_pth2onnx.py",), "PTH ONNX", OURS, plan_export, (), (2,), "seresnext101_32x4d"),
    Tool(("resnext50_pth2onnx.py",), "PTH ONNX", OURS, plan_export, (), (2,), "resnext50_32x4d"),
    Tool(("pthtar2onx.py",), "[PTH]", f"{OURS} --batch-size {FIXED_BATCH}", plan_nvidia, (), (0, 1), "resnet50"),
    Tool(
        ("pth2onnx.py",),
        "PTH (ResNet50), or PTH ONNX",
        f"{OURS}; of PTH alone --batch-size {FIXED_BATCH}",
        plan_fixed,
        OTHERS,
        (0, 1, 2, 3),
        abbreviates=True,
    ),
    Tool(
        ("opt_*.py", "modify*.py", "*_modify.py", "onnx_optimize.py", "auto_optimizer"),
        "",
        "it rewrites nodes of the graph for an NPU: leave it out, and give the next command the graph from before",
        None,
    ),
    Tool(
        ("pthtar2onnx.py", "*_pth2onnx.py", "*2onnx.py", "*_onnx.py"),
        f"PTH [CFG] ONNX [BATCH] or {ENDS}",
        OURS,
        plan_export,
        OTHERS,
        (0, 2, 3, 4),
        abbreviates=True,
    ),
    Tool(
        ("onnxsim", "onnx-simplifier", "onnx_simplifier"),
        "IN OUT [CHECKS]",
        "simplify",
        plan_simplify,
        (
            Flag(("overwrite_input_shape", "input_shape"), "--input-shape"),
            Flag(("check_n",), dropped="64 images of noise are always compared"),
            Flag(("test_input_shape",), dropped="64 images of noise are always compared"),
            Flag(("dynamic_input_shape",), takes="none", dropped="without an input shape the graph's own stays"),
            Flag(("skip_fuse_bn", "skip_shape_inference", "skip_optimization"), takes="none", refused=PASSES),
        ),
        (2, 3),
    ),
)
