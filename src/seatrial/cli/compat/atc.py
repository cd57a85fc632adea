"""`atc`: a graph to an `.om`, which here is an engine folder of that name."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.compat.call import Call, Flag, Plan, Tool
from seatrial.cli.compat.engines import NPU, Chosen, choose_engine
from seatrial.cli.compat.graphs import name_recipe, pin_batch, read_input
from seatrial.cli.output.progress import print_lines
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.store.records import TensorSpec

SUFFIX = ".om"
QUOTES = " \"'“”"
"""What stands around values that were copied from a page."""
BEGIN = "ATC start working now, please wait for a moment."
END = "ATC run success, welcome to the next use."
HANDED_ON = (
    *("soc_version", "input_format", "enable_small_channel", "output_type", "input_fp16_nodes", "precision_mode"),
    *("precision_mode_v2", "op_select_implmode", "optypelist_for_implmode", "op_precision_mode", "modify_mixlist"),
    *("keep_dtype", "fusion_switch_file", "buffer_optimize", "auto_tune_mode", "disable_reuse_memory", "log"),
)
"""Flags that `compile --engine ascend` takes as options, and no other engine has."""
NEEDED = ("input_fp16_nodes",)
"""Those of them that change what is fed, so that no other engine can leave them out."""
WITHOUT_EFFECT = ("host_env_os", "host_env_cpu", "core_type", "aicore_num", "debug_dir")
IMAGE_SIZE = "a classifier's image size is its recipe's: give --input_shape with numbers alone"


def plan_atc(call: Call) -> Plan:
    """Compile `--model` into the folder `--output`.om; a graph of another fixed batch is pinned to this one first.

    Raises:
        UsageError: there is no such graph, or the shape is not its input's.
        EngineError: no engine can be used here.
    """
    from seatrial.engines.ascend.options import MODES, MODES_V2

    source, output = Path(call.need("model")), call.need("output")
    if output.endswith("/") or not Path(output).name:
        raise UsageError(f"atc: --output={output} names no file", "give the name of the .om")
    spec = read_input(source)
    sizes = _read_sizes(call, spec)
    modes = (call.values.get("precision_mode"), call.values.get("precision_mode_v2"))
    is_fp32 = modes[0] in MODES["fp32"] or modes[1] in MODES_V2["fp32"]
    chosen = choose_engine(call, "fp32" if is_fp32 else "fp16")
    left_out = tuple(_list_left_out(call, chosen))
    graph, pinning = pin_batch(source, spec, sizes)
    recipe, reason = name_recipe(call, source)
    name = output if output.endswith(SUFFIX) else f"{output}{SUFFIX}"
    batches = ",".join(map(str, sizes))
    words = ("compile", str(graph), *chosen.options, "--batch-size", batches, "--output", name)
    compiling = (*words, *recipe, *_write_options(call, chosen, len(sizes)))
    notes = (chosen.note, *left_out, *reason)
    return Plan((*pinning, compiling), notes, (BEGIN,), lambda: print_lines(END), is_quiet=True)


def _read_sizes(call: Call, spec: "TensorSpec") -> tuple[int, ...]:
    """The batch sizes of `--input_shape` and `--dynamic_batch_size`, once the shape is known to be the graph's."""
    gears, shape = call.values.get("dynamic_batch_size"), call.values.get("input_shape")
    batch = spec.shape[0] if shape is None else _read_batch(shape.strip(QUOTES), spec)
    if gears is not None:
        sizes = tuple(int(part) if part.strip().isdecimal() else 0 for part in gears.strip(QUOTES).split(","))
        if not all(sizes) or batch not in (-1, None):
            raise UsageError(
                f"atc: --dynamic_batch_size={gears} is not possible with a batch of {batch}",
                'give numbers such as "1,4,8", and -1 as the batch of --input_shape',
            )
        return sizes
    if batch is None or batch < 1:
        fix = f'give --input_shape="{spec.name}:16,…" or --dynamic_batch_size'
        raise UsageError("atc: the graph leaves the batch size free", fix)
    return (batch,)


def _read_batch(text: str, spec: "TensorSpec") -> int:
    """The batch of `NAME:N,C,H,W`, of which all else must be the graph's."""
    name, _, shape = text.rpartition(":")
    parts = [part.strip() for part in shape.split(",")]
    if not all(part.removeprefix("-").isdecimal() for part in parts):
        raise UsageError(f"atc: --input_shape={text} is not NAME:N,C,H,W of one input in numbers", IMAGE_SIZE)
    batch, *rest = (int(part) for part in parts)
    own = spec.shape[1:]
    fits = len(rest) == len(own) and all(have in (None, want) for have, want in zip(own, rest, strict=True))
    if name not in ("", spec.name) or not fits:
        sizes = ",".join("N" if size is None else str(size) for size in spec.shape)
        raise UsageError(f"atc: --input_shape={text} is not of this graph", f"its input is {spec.name}:{sizes}")
    return batch


def _write_options(call: Call, chosen: Chosen, sizes: int) -> Iterator[str]:
    """The engine's own options of `compile`, and the AIPP configuration."""
    aipp = call.values.get("insert_op_conf")
    if chosen.engine != NPU:
        yield from ("--aipp", aipp) if aipp else ()
        return
    given = {name: call.values[name] for name in HANDED_ON if name in call.values}
    given |= {"insert_op_conf": aipp} if aipp else {}
    given |= {"gears": "true"} if sizes > 1 else {}
    for name, value in given.items():
        yield from ("--option", f"{name}={value}")


def _list_left_out(call: Call, chosen: Chosen) -> Iterator[str]:
    """Notes on flags that only `atc` has, where another engine does its work.

    Raises:
        UsageError: one changes what the engine is fed.
    """
    if chosen.engine == NPU:
        return
    needed = next((name for name in NEEDED if name in call.values), None)
    if needed is not None:
        raise UsageError(f"atc: --{needed} is not possible with {chosen.engine}, which is fed float32", "leave it out")
    left_out = [f"--{name}" for name in HANDED_ON if name in call.values]
    if left_out:
        yield f"without effect on {chosen.engine}: {', '.join(left_out)}"


TOOLS = (
    Tool(
        ("atc", "atc.bin"),
        "--framework=5 --model=ONNX --output=NAME --input_shape=NAME:N,C,H,W --soc_version=CHIP …",
        "compile, after simplify where a graph of another fixed batch is pinned to this one",
        plan_atc,
        (
            Flag(("model",), means="GRAPH of `compile`"),
            Flag(("output",), means="`--output NAME.om`, a folder"),
            Flag(("input_shape",), means="`--batch-size N`; the rest must be the graph's own"),
            Flag(("dynamic_batch_size",), means="`--batch-size 1,4,8`; on an NPU also `--option gears=true`"),
            Flag(("insert_op_conf",), means="`--aipp FILE`; on an NPU `--option insert_op_conf=FILE`"),
            *(
                Flag((name,), means=f"on an NPU `--option {name}=…`, else dropped")
                for name in HANDED_ON
                if name not in NEEDED
            ),
            Flag(NEEDED, means="on an NPU `--option input_fp16_nodes=…`, else refused"),
            Flag(("framework",), choices={"5": "5"}, means="5 alone, ONNX"),
            Flag(
                ("mode",),
                refused="only a model is compiled: `seatrial doctor` and engine.json say what is in one",
                unless=("0",),
            ),
            Flag(("weight",), refused="it is Caffe's: give an ONNX file with its weights"),
            Flag(("dynamic_image_size", "dynamic_dims"), refused=IMAGE_SIZE),
            Flag(("out_nodes",), refused="`seatrial simplify GRAPH OUT --output-name NAME` chooses the output"),
            *(Flag((name,), dropped="only atc has it") for name in WITHOUT_EFFECT),
        ),
    ),
)
