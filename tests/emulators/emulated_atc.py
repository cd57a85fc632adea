"""An EMULATOR of `atc`, for tests: it checks flags as documented and writes what `emulated_om` describes.

It has not met hardware. Codes and texts of E10001, E10006, E10007, E10010, E10054 and E19010 are those of published
sources and logs; whatever else is wrong is told as E10001.
"""

import json
import re
import sys
from pathlib import Path

import onnx
from emulated_om import Om, fed_shape, load_om, save_om

from seatrial.data.preprocessing.aipp import Aipp, load_aipp
from seatrial.errors import SeatrialError

FLAGS = {
    *("framework", "mode", "model", "weight", "output", "input_format", "input_shape", "dynamic_batch_size", "om"),
    *("dynamic_image_size", "dynamic_dims", "soc_version", "log", "insert_op_conf", "enable_small_channel", "json"),
    *("output_type", "precision_mode", "precision_mode_v2", "op_select_implmode", "optypelist_for_implmode"),
    *("fusion_switch_file", "modify_mixlist", "op_precision_mode", "keep_dtype", "buffer_optimize", "out_nodes"),
    *("auto_tune_mode", "input_fp16_nodes", "disable_reuse_memory"),
}
VALUES = {
    "mode": "0 1 3 5 6 30",
    "input_format": "NCHW ND NCDHW",
    "output_type": "FP32 FP16 UINT8 INT8",
    "buffer_optimize": "l1_optimize l2_optimize off_optimize",
    "op_select_implmode": "high_precision high_performance high_precision_for_all high_performance_for_all",
    "precision_mode": "force_fp16 force_fp32 cube_fp16in_fp32out allow_mix_precision allow_fp32_to_fp16 "
    "must_keep_origin_dtype allow_mix_precision_fp16 allow_mix_precision_bf16 allow_fp32_to_bf16",
    "precision_mode_v2": "fp16 origin cube_fp16in_fp32out mixed_float16 mixed_bfloat16",
    "soc_version": "Ascend310 Ascend310P1 Ascend310P3 Ascend910A Ascend910B Ascend910B3",
}
SWITCHES = ("enable_small_channel", "disable_reuse_memory")
FILES = ("model", "insert_op_conf", "fusion_switch_file", "modify_mixlist", "op_precision_mode", "keep_dtype")
FRAMEWORKS = "0(Caffe) or 1(MindSpore) or 3(TensorFlow) or 5(Onnx)"
NEWEST_OPSET = 18
PATH = re.compile(r"[\w./-]+")


class Refused(Exception):
    """What `atc` prints behind a code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: [PID: 10490] 2025-03-18-09:02:18.501.341 {text}")


def main(arguments: list[str]) -> int:
    """Do what the flags say, printing what `atc` prints."""
    sys.stdout.write("ATC start working now, please wait for a moment.\n")
    try:
        flags = read_flags(arguments)
        describe(flags) if flags.get("mode") == "1" else build(flags)
    except Refused as error:
        sys.stdout.write("ATC run failed, Please check the detail log, Try 'atc --help' for more information\n")
        sys.stdout.write(f"{error}\n        Solution: Try again with a valid argument.\n")
        return 1
    except LookupError as error:
        sys.stderr.write(f"ERROR: unknown command line flag '{error.args[0]}'\n")
        sys.stdout.write("ATC run failed, Please check the detail log, Try 'atc --help' for more information\n")
        return 1
    sys.stdout.write("ATC run success, welcome to the next use.\n")
    return 0


def read_flags(arguments: list[str]) -> dict[str, str]:
    """`--a=b` and `--a b`, - for _ in names; every value within its range."""
    flags: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        name = name.lstrip("-").replace("-", "_")
        if name not in FLAGS:
            raise KeyError(name)
        flags[name] = value if equals else next(words, "")
        check_value(name, flags[name])
    return flags


def check_value(name: str, value: str) -> None:
    """The ranges of single flags."""
    if name == "framework" and value not in ("0", "1", "3", "5"):
        raise Refused("E10007", f"[--framework] is required. The value must be [{FRAMEWORKS}].")
    if name == "log" and value not in ("debug", "info", "warning", "error", "null"):
        raise Refused("E10010", f"Log level [{value}] is invalid.")
    if name in SWITCHES and value not in ("0", "1"):
        raise Refused("E10006", f"Value [{value}] for parameter [--{name}] is invalid. The value must be 0 or 1.")
    if name in VALUES and value not in VALUES[name].split():
        listed = " ".join(f"[{choice}]" for choice in VALUES[name].split())
        refuse(name, value, f"The value is not within the range of values. The valid range is {listed} .")
    if name in FILES and not (PATH.fullmatch(value) and Path(value).is_file()):
        refuse(name, value, "The path is not valid or does not exist.")


def refuse(name: str, value: str, reason: str) -> None:
    """E10001."""
    raise Refused("E10001", f"Value [{value}] for parameter [--{name}] is invalid. Reason: {reason}")


def build(flags: dict[str, str]) -> None:
    """Compile: `--output` becomes an emulated `.om`."""
    check_together(flags)
    model = onnx.load(flags["model"])
    newest = max(opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx"))
    if newest > NEWEST_OPSET:
        node = model.graph.node[0]
        raise Refused(
            "E19010", f"No parser is registered for Op [{node.name}, optype [ai.onnx::{newest}::{node.op_type}]]."
        )
    value = model.graph.input[0]
    batch, shape = read_shape(flags, value)
    config = read_aipp(flags)
    gears = read_gears(flags, batch)
    half = flags.get("precision_mode", "force_fp16") != "must_keep_origin_dtype"
    half = flags["precision_mode_v2"] != "origin" if "precision_mode_v2" in flags else half
    size = (shape[1], shape[2])
    float_type = "float16" if flags.get("input_fp16_nodes") == value.name else "float32"
    fed = "uint8" if config or value.type.tensor_type.elem_type == onnx.TensorProto.UINT8 else float_type
    om = Om(
        soc_version=flags["soc_version"],
        half=half,
        batch=batch,
        gears=gears,
        input_name=value.name,
        input_type=fed,
        input_shape=fed_shape(config, size) if config else shape,
        image_size=size,
        output_type="float16" if flags.get("output_type") == "FP16" else "float32",
        aipp=config.model_dump(mode="json") if config else None,
    )
    save_om(Path(f"{flags['output'].removesuffix('.om')}.om"), om, free_batch(model))
    # The real one leaves these where it runs.
    Path("kernel_meta").mkdir(exist_ok=True)
    Path("fusion_result.json").write_text("[]")


def check_together(flags: dict[str, str]) -> None:
    """What is required, and what excludes or needs what."""
    for name in ("soc_version", "output", "model"):
        if not flags.get(name):
            raise Refused(
                "E10054",
                f"The required parameter [--{name}] for ATC is empty. Another possible reason is that the value of "
                'some parameters is not enclosed by quotation marks ("").',
            )
    if "framework" not in flags:
        check_value("framework", "")
    if not PATH.fullmatch(flags["output"]) or not Path(flags["output"]).parent.is_dir():
        refuse("output", flags["output"], "The path is not valid or does not exist.")
    if {"precision_mode", "precision_mode_v2"} <= flags.keys():
        refuse("precision_mode_v2", flags["precision_mode_v2"], "Cannot be used together with precision_mode.")
    if "optypelist_for_implmode" in flags and "op_select_implmode" not in flags:
        refuse("op_select_implmode", "", "op_select_implmode must be set with optypelist_for_implmode.")
    if "modify_mixlist" in flags and "mix" not in flags.get("precision_mode", "") + flags.get("precision_mode_v2", ""):
        refuse("modify_mixlist", flags["modify_mixlist"], "It needs a mixed precision mode.")
    if flags.get("enable_small_channel") == "1" and "insert_op_conf" not in flags:
        refuse("enable_small_channel", "1", "It needs a static AIPP.")
    if "insert_op_conf" in flags and (flags.get("input_format", "NCHW") != "NCHW" or "dynamic_dims" in flags):
        refuse("insert_op_conf", flags["insert_op_conf"], "AIPP needs NCHW and no dynamic dims.")


def read_shape(flags: dict[str, str], value: onnx.ValueInfoProto) -> tuple[int, tuple[int, ...]]:
    """Batch and the rest of `--input_shape`, which must be the model's but for the batch."""
    name, _, text = flags.get("input_shape", "").rpartition(":")
    if name != value.name:
        refuse("input_shape", flags.get("input_shape", ""), f"The model has no input '{name}'.")
    if not re.fullmatch(r"-?\d+(,-?\d+)*", text):
        refuse("input_shape", flags["input_shape"], "It is not a list of sizes.")
    batch, *rest = (int(size) for size in text.split(","))
    if rest != [axis.dim_value for axis in value.type.tensor_type.shape.dim][1:]:
        refuse("input_shape", flags["input_shape"], "It is not the shape of the model's input.")
    return batch, tuple(rest)


def read_gears(flags: dict[str, str], batch: int) -> tuple[int, ...]:
    """`--dynamic_batch_size`: 2 to 100 gears of 1 to 2048, and only with a batch of -1."""
    text = flags.get("dynamic_batch_size")
    if text is None:
        if batch < 1:
            refuse("input_shape", flags["input_shape"], "A batch of -1 needs dynamic_batch_size.")
        return ()
    gears = tuple(int(gear) for gear in text.split(",") if gear.isdecimal())
    in_range = 2 <= len(gears) <= 100 and all(1 <= gear <= 2048 for gear in gears)
    if batch != -1 or not in_range or len(set(gears)) != len(text.split(",")):
        refuse("dynamic_batch_size", text, "It is 2 to 100 different gears of 1 to 2048, for a batch of -1.")
    return gears


def read_aipp(flags: dict[str, str]) -> Aipp | None:
    """The configuration of `--insert_op_conf`."""
    if "insert_op_conf" not in flags:
        return None
    try:
        return load_aipp(Path(flags["insert_op_conf"]))
    except SeatrialError as error:
        refuse("insert_op_conf", flags["insert_op_conf"], str(error))
        return None


def free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """`--input_shape` overrides the batch that a graph was exported with."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    return model


def describe(flags: dict[str, str]) -> None:
    """`--mode=1`: the graph in JSON, its matrix operators with the type of their input."""
    for name in ("om", "json"):
        if not flags.get(name):
            raise Refused("E10004", f"Value for [--{name}] is empty.")
    om, graph = load_om(Path(flags["om"]))
    model = onnx.ModelProto.FromString(graph)
    types = {"Conv": "Conv2D", "Gemm": "MatMulV2", "MatMul": "MatMulV2"}
    dtype = "DT_FLOAT16" if om.half else "DT_FLOAT"
    ops = [
        {"name": node.name, "type": types.get(node.op_type, node.op_type), "input_desc": [{"dtype": dtype}]}
        for node in model.graph.node
    ]
    Path(flags["json"]).write_text(json.dumps({"graph": [{"name": "ge_default", "op": ops}]}))
