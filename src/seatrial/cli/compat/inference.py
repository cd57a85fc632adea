"""The tools that run an `.om`: ais_bench and its forerunners ais_infer, benchmark and msame."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.compat.call import Call, Flag, Plan, Tool
from seatrial.cli.compat.engines import NPU
from seatrial.errors import EngineError, UsageError

if TYPE_CHECKING:
    from seatrial.store.records import EngineManifest

FIXED_SHAPE = "a classifier's image size is fixed: `seatrial compat atc` makes an .om for each batch size"
ONE_BATCH = "a batch is one of those that the .om was compiled for"
PROFILING = "`seatrial diagnose` finds what is wrong in an engine, `seatrial bench` how fast it is"
TIMES_ONLY = "it changes how the tool copies, not what it computes"
REPLACED = "logits of an earlier run in {folder} make room; the tool would write between them"


def plan_ais_bench(call: Call) -> Plan:
    """`ais_bench --model OM …` is `infer OM …`.

    Raises:
        UsageError: there is no such engine folder, or two flags give two batch sizes.
        EngineError: `--device` is another NPU than it was compiled for.
    """
    if call.arguments and call.arguments != ("benchmark",):
        raise UsageError(
            f"{call.name} {' '.join(call.arguments)} is not possible here", f"only {call.name} benchmark is"
        )
    om, notes = _open(call, call.need("model"), call.values.get("device", "0"))
    sizes = {call.values[name] for name in ("batchsize", "dymBatch") if call.values.get(name, "0") != "0"}
    if len(sizes) > 1:
        raise UsageError("--batchsize and --dymBatch give two batch sizes", ONE_BATCH)
    batch = ("--batch-size", *sizes) if sizes else ()
    output, dirname = call.values.get("output"), call.values.get("output_dirname")
    folder = Path(output) / dirname if output and dirname else None
    words = ("infer", om, *call.handed_on, *batch, *_replace(folder, notes))
    return Plan((words,), tuple(notes))


def plan_benchmark(call: Call) -> Plan:
    """`benchmark.x86_64 -om_path=OM -input_text_path=INFO …` is `infer OM --layout benchmark …`; `-round` has no input.

    Raises:
        UsageError: there is no such engine folder, no input, or two.
        EngineError: `-device_id` is another NPU than it was compiled for.
    """
    om, notes = _open(call, call.need("om_path"), call.values.get("device_id", "0"))
    inputs = [name for name in ("input_text_path", "input_imgFiles_path", "round") if name in call.values]
    if len(inputs) != 1:
        given = " and ".join(f"-{name}" for name in inputs) or "none"
        raise UsageError(
            f"{call.name} takes one of -input_text_path, -input_imgFiles_path and -round, not {given}", "give one"
        )
    value = call.values[inputs[0]]
    what = ("--loop", value) if inputs == ["round"] else ("--input", value)
    place = ("--output", ".", "--layout", "benchmark")
    words = ("infer", om, *what, *place, "--batch-size", call.need("batch_size"), *call.handed_on)
    if inputs != ["round"] and "output_binary" not in call.values:
        words += ("--outfmt", "TXT")
    if inputs == ["input_text_path"]:
        _compare_sizes(call, Path(value))
    own = _read_number(_read_manifest(om).device)
    number = call.values.get("device_id", own)
    if number != own:
        words += ("--device-number", number)
    folder = None if inputs == ["round"] else Path("result") / f"dumpOutput_device{number}"
    return Plan(((*words, *_replace(folder, notes)),), tuple(notes))


def _compare_sizes(call: Call, info: Path) -> None:
    """Compare `-input_width` and `-input_height` with the `.info` file; `infer` compares that with the engine.

    Raises:
        UsageError: they differ.
        DataError: it is no `.info` file.
    """
    if not info.is_file():
        return  # `infer` says so.
    from seatrial.data.bins.info_file import read_info

    first = read_info(info)[0]
    for flag, size in (("input_width", first.width), ("input_height", first.height)):
        if call.values.get(flag, str(size)) != str(size):
            raise UsageError(
                f"-{flag}={call.values[flag]}, and {info} says {first.width}×{first.height} (width×height)",
                f"give -{flag}={size}, or write the .info file anew",
            )


def plan_msame(call: Call) -> Plan:
    """`msame --model OM --input FILES --output DIR …` is `infer OM --layout msame …`.

    Raises:
        UsageError: there is no such engine folder.
        EngineError: `--device` is another NPU than it was compiled for.
    """
    om, notes = _open(call, call.need("model"), call.values.get("device", "0"))
    return Plan((("infer", om, "--layout", "msame", "--warmup", "0", *call.handed_on),), tuple(notes))


def _open(call: Call, om: str, device: str) -> tuple[str, list[str]]:
    """The engine folder, and a note on the device, where it is no NPU.

    Raises:
        UsageError: it is no engine folder.
        EngineError: it was compiled for another NPU.
    """
    manifest = _read_manifest(om)
    if not device.isdecimal():
        raise UsageError(
            f"{call.name}: device {device} is not one device", "give one number; one engine runs on one device"
        )
    if manifest.engine != NPU:
        given = any(name in call.values for name in ("device", "device_id"))
        asked = f"device {device} is no NPU here: " if given else ""
        return om, [f"{asked}{om} runs on {manifest.device}, by {manifest.engine} {manifest.precision}"]
    if _read_number(manifest.device) != device:
        raise EngineError(
            f"{call.name}: {om} was compiled for {manifest.device}, and device {device} is asked for",
            f"take device {_read_number(manifest.device)}, or compile it for npu:{device}",
        )
    return om, []


def _read_manifest(om: str) -> "EngineManifest":
    from seatrial.engines.base import MANIFEST
    from seatrial.store.records import EngineManifest

    path = Path(om)
    if path.is_file():
        raise UsageError(
            f"{om} is a file, and here an .om is an engine folder", "`seatrial compat atc …` makes one of its ONNX file"
        )
    if not (path / MANIFEST).is_file():
        state = "is no engine folder" if path.exists() else "is not there"
        named = path.with_name(f"{path.name}.om")
        here = ", ".join(sorted(str(each.parent) for each in Path().glob(f"*.om/{MANIFEST}")))
        made = "`seatrial compat atc … --output=NAME` makes NAME.om" + (f"; here are {here}" if here else "")
        raise UsageError(f"{om} {state}", f"did you mean {named}?" if (named / MANIFEST).is_file() else made)
    return EngineManifest.load(path / MANIFEST)


def _read_number(device: str) -> str:
    number = device.rpartition(":")[2]
    return number if number.isdecimal() else "0"


def _replace(folder: Path | None, notes: list[str]) -> Iterator[str]:
    """The option that replaces what an earlier run left in the folder, as the tools do."""
    from seatrial.workflow.infer_output import LOGITS

    names = [path.name for path in folder.iterdir()] if folder is not None and folder.is_dir() else []
    if names and all(LOGITS.fullmatch(name) for name in names):
        notes.append(REPLACED.format(folder=folder))
        yield "--replace"


FORMS = {"bin": "BIN", "npy": "NPY", "txt": "TXT"}
MODES = {mode: mode for mode in ("array", "files", "tensor", "full")}
OFF = ("false", "0", "no", "n", "f")
AIS_BENCH = (
    Flag(("model", "m", "om", "om_model"), means="FOLDER of `infer`"),
    Flag(("input", "i"), "--input"),
    Flag(("output", "o"), "--output"),
    Flag(("output_dirname", "od"), "--output-dirname"),
    Flag(("outfmt",), "--outfmt", choices=FORMS),
    Flag(("loop", "l", "r"), "--loop"),
    Flag(("warmup_count", "wcount"), "--warmup"),
    Flag(("batchsize", "batch_size"), means="`--batch-size N`: a size that the .om was compiled for"),
    Flag(("dymBatch", "db"), means="`--batch-size N`"),
    Flag(("pure_data_type", "pdt"), "--pure-data-type", choices={"zero": "zero", "random": "random"}),
    Flag(("display_all_summary", "das"), "--display-all-summary", takes="truth"),
    Flag(("device", "d"), means="the NPU's number; an engine of another device runs on its own, and a line says so"),
    Flag(("debug",), takes="truth", dropped="progress is always shown"),
    Flag(("run_mode", "rm"), choices=MODES, dropped=TIMES_ONLY),
    Flag(("pipeline",), takes="truth", dropped=TIMES_ONLY),
    Flag(("threads",), dropped=TIMES_ONLY),
    Flag(("infer_queue_count",), dropped=TIMES_ONLY),
    Flag(("output_batchsize_axis", "oba"), refused="outputs are split on axis 0", unless=("0",)),
    Flag(("dymHW", "dhw"), refused=FIXED_SHAPE),
    Flag(("dymDims", "dd"), refused=FIXED_SHAPE),
    Flag(("dymShape", "ds"), refused=FIXED_SHAPE),
    Flag(("dymShape_range", "dr"), refused=FIXED_SHAPE),
    Flag(("auto_set_dymshape_mode", "asdsm"), takes="truth", refused=FIXED_SHAPE, unless=OFF),
    Flag(("auto_set_dymdims_mode", "asddm"), takes="truth", refused=FIXED_SHAPE, unless=OFF),
    Flag(("outputSize", "outsize"), dropped="the size of a classifier's output is known"),
    Flag(("profiler", "pf"), takes="truth", refused=PROFILING, unless=OFF),
    Flag(("profiler_rename",), takes="truth", dropped="nothing is profiled"),
    Flag(("dump",), takes="truth", refused=PROFILING, unless=OFF),
    Flag(("dump_npy",), takes="truth", refused=PROFILING, unless=OFF),
    Flag(("acl_json_path", "acl"), refused=PROFILING),
    Flag(("aipp_config", "aipp"), refused="give it to `seatrial compat atc --insert_op_conf=FILE`"),
    Flag(("energy_consumption", "ec"), takes="truth", refused="`seatrial bench` measures energy", unless=OFF),
    Flag(("npu_id",), dropped="it is for --energy_consumption"),
    Flag(("backend",), refused="give the command to `seatrial compat trtexec`"),
    Flag(("perf",), takes="truth", refused="it is for --backend trtexec", unless=OFF),
    Flag(("divide_input",), takes="truth", refused="it is for several devices, and one engine runs on one", unless=OFF),
)
SIZES = "must be those of the .info file"
BENCHMARK = (
    Flag(("model_type",), choices={"vision": "vision"}, means="vision alone"),
    Flag(("om_path",), means="FOLDER of `infer`"),
    Flag(("batch_size",), means="`--batch-size N`"),
    Flag(("input_text_path",), means="`--input INFO`"),
    Flag(("input_imgFiles_path",), means="`--input FOLDER`"),
    Flag(("round",), means="`--loop N` without input"),
    Flag(("output_binary",), "--outfmt", choices={"true": "BIN", "false": "TXT"}),
    Flag(("device_id",), means="the NPU's number; of others `--device-number N`, the number in the files' names"),
    Flag(("input_width",), means=SIZES),
    Flag(("input_height",), means=SIZES),
    Flag(
        ("useDvpp",), choices={"true": "true", "false": "false"}, means="images are prepared as the engine's card says"
    ),
)
MSAME = (
    Flag(("model",), means="FOLDER of `infer`"),
    Flag(("input",), "--input"),
    Flag(("output",), "--output"),
    Flag(("outfmt",), "--outfmt", choices={"txt": "TXT", "bin": "BIN"}),
    Flag(("loop",), "--loop"),
    Flag(("device",), means="the NPU's number; an engine of another device runs on its own, and a line says so"),
    Flag(("debug",), takes="truth", dropped="progress is always shown"),
    Flag(("profiler",), takes="truth", refused=PROFILING, unless=OFF),
    Flag(("dump",), takes="truth", refused=PROFILING, unless=OFF),
    Flag(("dymBatch",), refused=ONE_BATCH),
    Flag(("dymHW",), refused=FIXED_SHAPE),
    Flag(("dymDims",), refused=FIXED_SHAPE),
    Flag(("dymShape",), refused=FIXED_SHAPE),
    Flag(("outputSize",), dropped="the size of a classifier's output is known"),
)
TOOLS = (
    Tool(
        ("ais_bench", "ais_infer.py", "ais_infer", "ais_bench.infer"),
        "--model OM --input DIR --output DIR --output_dirname NAME --outfmt TXT …",
        "infer",
        plan_ais_bench,
        AIS_BENCH,
        abbreviates=True,
    ),
    Tool(("msit", "ait"), "benchmark -om OM …", "infer", plan_ais_bench, AIS_BENCH, (1,)),
    Tool(
        ("benchmark.x86_64", "benchmark.aarch64", "benchmark"),
        "-model_type=vision -om_path=OM -batch_size=N -input_text_path=INFO …",
        "infer --layout benchmark",
        plan_benchmark,
        BENCHMARK,
    ),
    Tool(
        ("msame",),
        "--model OM --input FILES --output DIR --outfmt TXT …",
        "infer --layout msame",
        plan_msame,
        MSAME,
    ),
)
