"""The options that may be given to `atc`, all checked before it is started.

Values and exclusions are those of ATC's own checks; what a flag does: `docs/ascend.md`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seatrial.data.preprocessing.aipp import load_aipp
from seatrial.engines.base import CompileJob, check_options
from seatrial.errors import UsageError

MODES = {
    "fp16": ("force_fp16", "allow_fp32_to_fp16", "allow_mix_precision", "allow_mix_precision_fp16"),
    # force_fp32 and cube_fp16in_fp32out feed convolutions float16 where the chip has it: that is not fp32.
    "fp32": ("must_keep_origin_dtype",),
}
"""What each precision may be for `precision_mode`; the first is taken when neither option is given."""
MODES_V2 = {"fp16": ("fp16", "mixed_float16"), "fp32": ("origin",)}
HALF_CUBE = ("force_fp32", "cube_fp16in_fp32out")
"""Modes whose convolutions and matrices take float16 and give float32."""
MIXED = ("allow_mix_precision", "allow_mix_precision_fp16", "mixed_float16")
MOST_GEARS, LARGEST_GEAR = 100, 2048
PATH = re.compile(r"[\w./-]+")
"""The characters of a path that `atc` takes: letters, digits, and _ . - /"""
RESERVED = ("atc.", "model-", "engine.json", "fusion_result", "check_result", "kernel_meta")
"""How the names of an engine folder's own files begin, and of those that `atc` writes there."""


@dataclass(frozen=True, slots=True)
class Option:
    """One flag of `atc`."""

    what: str
    values: tuple[str, ...] = ()
    """The only ones; empty takes what `pattern` or the file system allows."""
    pattern: str = ""
    is_file: bool = False


OPTIONS = {
    "gears": Option("true puts all batch sizes into one file (--dynamic_batch_size)", ("true", "false")),
    "soc_version": Option("chip to compile for; default: the device's", pattern=r"Ascend\w+"),
    "input_format": Option("default: NCHW for float images, ND for uint8 ones", ("NCHW", "ND")),
    "insert_op_conf": Option("AIPP configuration, for a graph exported without preprocessing", is_file=True),
    "enable_small_channel": Option("1: first convolution of up to 4 channels; needs insert_op_conf", ("0", "1")),
    "output_type": Option("of the logits", ("FP32", "FP16")),
    "input_fp16_nodes": Option("the input's name: feed float16 instead of float32", pattern=r"[^;,\s]+"),
    "precision_mode": Option("default: by --precision", (*MODES["fp16"], *HALF_CUBE, *MODES["fp32"])),
    "precision_mode_v2": Option("instead of precision_mode", (*MODES_V2["fp16"], HALF_CUBE[1], *MODES_V2["fp32"])),
    "op_select_implmode": Option(
        "operator implementations",
        ("high_precision", "high_performance", "high_precision_for_all", "high_performance_for_all"),
    ),
    "optypelist_for_implmode": Option("operator types that it is for, A,B", pattern=r"\w+(,\w+)*"),
    "op_precision_mode": Option("precision by operator (.ini)", is_file=True),
    "modify_mixlist": Option("precision lists of the mixed modes", is_file=True),
    "keep_dtype": Option("operators that keep their precision", is_file=True),
    "fusion_switch_file": Option("fusion rules on and off", is_file=True),
    "buffer_optimize": Option("default: l2_optimize", ("l2_optimize", "l1_optimize", "off_optimize")),
    "auto_tune_mode": Option("CANN 5 and older", ("RL", "GA", "RL,GA", "GA,RL")),
    "disable_reuse_memory": Option("1: no memory is reused", ("0", "1")),
    "log": Option("default: null", ("debug", "info", "warning", "error", "null")),
}
DECIDED = {
    "framework": "it is 5, ONNX",
    "mode": "it is 0, a model to compile",
    "model": "it is the graph",
    "weight": "it is Caffe's",
    "output": "it is --output",
    "input_shape": "it follows from the graph and --batch-size",
    "dynamic_batch_size": "give --batch-size 1,4,8 and --option gears=true",
    "dynamic_image_size": "a classifier's image size is its recipe's",
    "dynamic_dims": "a classifier's image size is its recipe's",
    "out_nodes": "the output is the graph's",
}
"""Flags that are no options, because something else decides them."""


def check_atc_options(job: CompileJob) -> None:
    """Refuse whatever `atc` would refuse, or what would not give the requested precision.

    Raises:
        UsageError: names the option, what was given and what there is.
    """
    options = job.options
    for name in DECIDED.keys() & options.keys():
        raise UsageError(f"ascend takes no option '{name}'", DECIDED[name])
    check_options("ascend", options, {name: _describe(option) for name, option in OPTIONS.items()})
    for name, value in options.items():
        _check_value(name, value)
    _check_files(options)
    _check_precision(job.precision, options)
    _check_batches(job)
    _check_input(job)
    if "optypelist_for_implmode" in options and "op_select_implmode" not in options:
        raise UsageError("option optypelist_for_implmode needs op_select_implmode", "give both")
    if not PATH.fullmatch(str(job.graph.absolute())):
        raise UsageError(f"atc takes no path like {job.graph.absolute()}", "use letters, digits, _ . - and / only")


def list_files(options: Mapping[str, str]) -> dict[str, Path]:
    """The options that name a file, with it."""
    return {name: Path(value) for name, value in options.items() if OPTIONS[name].is_file}


def uses_gears(options: Mapping[str, str]) -> bool:
    """Whether all batch sizes go into one file."""
    return options.get("gears") == "true"


def _describe(option: Option) -> str:
    return f"{option.what}: {', '.join(option.values)}" if option.values else option.what


def _check_value(name: str, value: str) -> None:
    option = OPTIONS[name]
    if option.values and value not in option.values:
        raise UsageError(f"option {name} cannot be {value or '(empty)'}", f"give one of {', '.join(option.values)}")
    if option.pattern and not re.fullmatch(option.pattern, value):
        raise UsageError(f"option {name}={value or '(empty)'} cannot be read", option.what)
    if option.is_file and not Path(value).is_file():
        raise UsageError(f"option {name}: there is no file {value or '(empty)'}", "give the path of an existing file")


def _check_files(options: Mapping[str, str]) -> None:
    names: dict[str, str] = {}
    for name, path in list_files(options).items():
        if not PATH.fullmatch(path.name) or path.name.startswith(RESERVED):
            raise UsageError(
                f"option {name}: {path} cannot be kept in the engine folder under its name",
                f"rename it: letters, digits, _ . - only, and not {', '.join(RESERVED)}",
            )
        if path.name in names:
            raise UsageError(f"options {names[path.name]} and {name} name two files {path.name}", "rename one")
        names[path.name] = name


def _check_precision(precision: str, options: Mapping[str, str]) -> None:
    given = {name: options[name] for name in ("precision_mode", "precision_mode_v2") if name in options}
    if len(given) == 2:
        raise UsageError("options precision_mode and precision_mode_v2 exclude each other", "give one of them")
    for name, mode in given.items():
        wanted = (MODES if name == "precision_mode" else MODES_V2)[precision]
        allowed = (*wanted, *HALF_CUBE) if precision == "fp16" else wanted
        if mode not in allowed:
            raise UsageError(
                f"option {name}={mode} does not give {precision}", f"{precision} is {' or '.join(allowed)}"
            )
    if "modify_mixlist" in options and not set(given.values()) & set(MIXED):
        raise UsageError("option modify_mixlist needs a mixed precision_mode", f"which are {', '.join(MIXED)}")
    if "keep_dtype" in options and precision == "fp32":
        raise UsageError(
            "option keep_dtype has no effect in fp32, where every operator keeps its precision", "leave it out"
        )


def _check_batches(job: CompileJob) -> None:
    sizes = job.batch_sizes
    if not sizes:
        raise UsageError("ascend has no free batch", "give the sizes, such as --batch-size 1,4,8")
    if not uses_gears(job.options):
        return
    if not 2 <= len(sizes) <= MOST_GEARS:
        raise UsageError(f"gears are 2 to {MOST_GEARS} batch sizes, not {len(sizes)}", "or leave gears=true out")
    if not all(1 <= size <= LARGEST_GEAR for size in sizes):
        raise UsageError(
            f"gears are batch sizes from 1 to {LARGEST_GEAR}, not {', '.join(map(str, sizes))}", "change --batch-size"
        )


def _check_input(job: CompileJob) -> None:
    options, spec = job.options, job.manifest.input
    if "insert_op_conf" in options:
        if spec.dtype == "uint8":
            raise UsageError(
                "option insert_op_conf: the preprocessing is in this graph already",
                "leave it out, or export with --no-fuse-preprocess",
            )
        if options.get("input_format", "NCHW") != "NCHW":
            raise UsageError("option insert_op_conf needs input_format NCHW", "leave input_format out")
        load_aipp(Path(options["insert_op_conf"]))
    if options.get("enable_small_channel") == "1" and "insert_op_conf" not in options:
        raise UsageError("option enable_small_channel=1 needs a static AIPP", "give insert_op_conf=FILE too")
    if spec.layout == "NHWC" and options.get("input_format") == "NCHW":
        raise UsageError("option input_format=NCHW: the graph takes NHWC images", "leave it out, or give ND")
    nodes = options.get("input_fp16_nodes")
    if nodes is None:
        return
    if nodes != spec.name:
        raise UsageError(
            f"option input_fp16_nodes={nodes}: the graph's input is '{spec.name}'", f"give input_fp16_nodes={spec.name}"
        )
    if spec.dtype == "uint8" or "insert_op_conf" in options:
        raise UsageError(
            f"option input_fp16_nodes={nodes}: the input is uint8 images",
            "leave it out, or export with --no-fuse-preprocess",
        )
