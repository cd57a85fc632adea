"""Translates the flags of pytorch/examples' main.py and of the Ascend guides' training scripts to `seatrial train`'s.

Each is a row of `FLAGS`: it becomes options of ours, is dropped as not needed, or is refused with what to use instead.
Options with the same name and meaning need no row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seatrial.errors import UsageError

NO_VALUE, ONE_VALUE, MAYBE_VALUE = "none", "one", "maybe"
"""What follows a flag: no value, one, or perhaps one of its `choices`."""
TRUTHS = ("True", "true", "1", "False", "false", "0")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line, split into their flags and ours."""

    values: Mapping[str, str]
    """Values of their flags, by a flag's first name."""
    rest: tuple[str, ...]
    """All other words."""
    launched: bool
    """By torchrun, which gives every process its rank."""

    def find(self, option: str) -> str | None:
        """The value of an option of ours."""
        for index, word in enumerate(self.rest):
            if word == option:
                return "".join(self.rest[index + 1 : index + 2])
            if word.startswith(f"{option}="):
                return word.partition("=")[2]
        return None

    @property
    def processes(self) -> int:
        """Processes on this machine, by `--nproc` or the flags of the scripts."""
        devices = self.values.get("--device-list")
        return _parse_count("--nproc", self.find("--nproc") or (str(len(devices.split(","))) if devices else "1"))


Translator = Callable[[str, CommandLine], tuple[str, ...]]
"""Our words for a flag's value; none if it is dropped. A first word that is no option is RECIPE."""


@dataclass(frozen=True, slots=True)
class TrainFlag:
    """A flag of theirs."""

    names: tuple[str, ...]
    ours: str
    """Our equivalent, as docs and notes name it."""
    translate: Translator | None
    """None refuses the flag."""
    takes: str = ONE_VALUE
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Translation:
    """A command line with our options."""

    words: tuple[str, ...]
    notes: tuple[str, ...]
    """What each flag was replaced by."""


def translate(words: Sequence[str], launched: bool = False) -> Translation:
    """Replace every flag of theirs in a command line.

    Args:
        launched: by torchrun.

    Raises:
        UsageError: a flag has no equivalent, or is given together with it.
    """
    flags, rest = _split(words)
    line = CommandLine({flag.names[0]: value for flag, _, value in flags}, rest, launched)
    options: list[str] = []
    recipes: list[str] = []
    notes = []
    for flag, spelling, value in flags:
        if flag.translate is None:
            raise UsageError(f"{spelling} is not supported", flag.ours)
        ours = flag.translate(value, line)
        if ours and not ours[0].startswith("--"):
            recipes += ours
            notes.append(f"{spelling} is the recipe here")
            continue
        if ours and (ours[0] in options or line.find(ours[0]) is not None):
            raise UsageError(f"{spelling} is {ours[0]} here, which is given too", "give one of them")
        options += ours
        if " ".join(ours) != spelling.replace("=", " ", 1):
            notes.append(f"{spelling} is {' '.join(ours)} here" if ours else f"{spelling} is ignored: {flag.ours}")
    return Translation((*recipes, *rest, *options), tuple(notes))


def _split(words: Sequence[str]) -> tuple[list[tuple[TrainFlag, str, str]], tuple[str, ...]]:
    """Their flags as (flag, spelling, value), and the other words."""
    flags: list[tuple[TrainFlag, str, str]] = []
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, joined, value = _split_word(word)
        flag = _BY_NAME.get(name)
        if flag is None or (name == "--amp" and (joined or (queue and not queue[0].startswith("-")))):
            rest.append(word)
        elif joined and flag.takes == NO_VALUE:
            raise UsageError(f"{name} takes no value", f"give {name} alone")
        elif (
            joined
            or flag.takes == NO_VALUE
            or (flag.takes == MAYBE_VALUE and queue[:1] not in ([c] for c in flag.choices))
        ):
            flags.append((flag, word, value))
        elif not queue:
            raise UsageError(f"{name} needs a value", f"give {name} VALUE")
        else:
            flags.append((flag, f"{word} {queue[0]}", queue.pop(0)))
    return flags, tuple(rest)


def _split_word(word: str) -> tuple[str, bool, str]:
    """Name, whether a value is joined to it, and the value, of `--lr=1`, `-b512` or `--lr`."""
    if word.startswith("--"):
        name, sign, value = word.partition("=")
        return name, bool(sign), value
    if word[:2] in _BY_NAME and word not in _BY_NAME:
        return word[:2], True, word[2:].removeprefix("=")
    return word, False, ""


def _parse_count(name: str, value: str) -> int:
    if not value.lstrip("-").isdecimal():
        raise UsageError(f"{name} {value} is not a whole number", f"give {name} N")
    return int(value)


def _rename(option: str, prefix: str = "") -> Translator:
    return lambda value, line: (option, prefix + value)


def _replace(*words: str) -> Translator:
    return lambda value, line: words


def _evaluate(value: str, line: CommandLine) -> tuple[str, ...]:
    return () if value.lower() in ("false", "0") else ("--evaluate",)


def _name_device(value: str, line: CommandLine) -> tuple[str, ...]:
    return ("--device", "cuda" if value == "gpu" else value)


def _look_up(option: str, values: Mapping[str, str]) -> Translator:
    def look_up(value: str, line: CommandLine) -> tuple[str, ...]:
        if value not in values:
            raise UsageError(f"'{value}' has no equivalent of {option}", f"give one of {', '.join(values)}")
        return (option, values[value])

    return look_up


def _divide_workers(value: str, line: CommandLine) -> tuple[str, ...]:
    return ("--workers", str(-(-_parse_count("-j", value) // max(1, line.processes))))


def _count_processes(value: str, line: CommandLine) -> tuple[str, ...]:
    if line.launched:
        return ()
    devices = value.split(",")
    if sorted(devices) != sorted(map(str, range(len(devices)))):
        raise UsageError(
            f"--device-list {value} skips devices",
            f"set ASCEND_RT_VISIBLE_DEVICES or CUDA_VISIBLE_DEVICES to {value}, and give --nproc {len(devices)}",
        )
    return ("--nproc", str(len(devices)))


def _need_processes(value: str, line: CommandLine) -> tuple[str, ...]:
    if not line.launched and line.find("--nproc") is None and "--device-list" not in line.values:
        raise UsageError("--multiprocessing-distributed does not give the number of processes", "give --nproc N")
    return ()


def _keep_to_one_machine(value: str, line: CommandLine) -> tuple[str, ...]:
    if line.launched or _parse_count("--nnodes", value) <= 1:
        return ()
    rank, address = (
        line.values.get(name, letter) for name, letter in (("--node_rank", "R"), ("--master_addr", "HOST"))
    )
    port = line.values.get("--master_port", "29500")
    raise UsageError(
        f"several machines ({value}) need torchrun",
        f"run on each: `torchrun --nnodes {value} --node-rank {rank} --nproc-per-node N --master-addr {address} "
        f"--master-port {port} -m seatrial train …`",
    )


def _accumulate(value: str, line: CommandLine) -> tuple[str, ...]:
    total = _parse_count("--optimizer-batch-size", value)
    batch = _parse_count("--batch-size", line.values.get("-b") or line.find("--batch-size") or value)
    if total <= batch:
        return ()
    raise UsageError(
        f"--optimizer-batch-size {total} with a batch size of {batch} is not supported",
        f"give --batch-size {total} --accumulate {-(-total // batch)}",
    )


def _refuse_benchmark(value: str, line: CommandLine) -> tuple[str, ...]:
    if value != "0":
        raise UsageError(f"--benchmark {value} accumulates gradients up to a batch of 2048", "give --accumulate N")
    return ()


DROP = _replace()
ONE_MACHINE = "torchrun connects several machines; one needs nothing"
FLAGS = (
    TrainFlag(("-a", "--arch"), "RECIPE", lambda value, line: (value,)),
    TrainFlag(("-b", "--batch_size"), "--batch-size N", _rename("--batch-size")),
    TrainFlag(("-j",), "--workers N, counted for each process", _divide_workers),
    TrainFlag(("-p",), "--print-freq N", _rename("--print-freq")),
    TrainFlag(("-e", "--evaluate"), "--evaluate", _evaluate, MAYBE_VALUE, TRUTHS),
    TrainFlag(("--lr",), "--learning-rate X", _rename("--learning-rate")),
    TrainFlag(("--wd",), "--weight-decay X", _rename("--weight-decay")),
    TrainFlag(("--mom",), "--momentum X", _rename("--momentum")),
    TrainFlag(("--warmup",), "--warmup-epochs N", _rename("--warmup-epochs")),
    TrainFlag(("--data_path",), "--data DIR", _rename("--data")),
    TrainFlag(("--save_ckpt_path", "--workspace"), "--output DIR", _rename("--output")),
    TrainFlag(("--checkpoint",), "--resume FILE", _rename("--resume")),
    TrainFlag(("--start-epoch",), "the epoch is in --resume FILE", None),
    TrainFlag(("--gpu",), "--device cuda:N", _rename("--device", "cuda:")),
    TrainFlag(("--npu", "--device_id"), "--device npu:N", _rename("--device", "npu:")),
    TrainFlag(("--device",), "--device cpu, cuda or npu", _name_device),
    TrainFlag(("--amp",), "--amp fp16, without a value", _replace("--amp", "fp16"), MAYBE_VALUE),
    TrainFlag(("--fp16",), "--amp fp16", _replace("--amp", "fp16"), NO_VALUE),
    TrainFlag(
        ("--opt-level",),
        "--amp fp16, for O0 --amp off",
        _look_up("--amp", {"O0": "off", "O1": "fp16", "O2": "fp16", "O3": "fp16"}),
    ),
    TrainFlag(
        ("--precision_mode",),
        "--amp fp16, for must_keep_origin_dtype --amp off",
        _look_up("--amp", {"allow_mix_precision": "fp16", "must_keep_origin_dtype": "off"}),
    ),
    TrainFlag(("--static-loss-scale",), "--loss-scale N", _rename("--loss-scale")),
    TrainFlag(("--dynamic-loss-scale",), "--loss-scale dynamic", _replace("--loss-scale", "dynamic"), NO_VALUE),
    TrainFlag(
        ("--optimizer-batch-size",), "--batch-size counts all images of a step, --accumulate its parts", _accumulate
    ),
    TrainFlag(("-bm", "--benchmark"), "--accumulate N", _refuse_benchmark),
    TrainFlag(("--graph_mode",), "--compile", _replace("--compile"), NO_VALUE),
    TrainFlag(("--ND",), "give --channels-last or --no-channels-last", None, NO_VALUE),
    TrainFlag(("--device-list",), "--nproc N", _count_processes),
    TrainFlag(("--multiprocessing-distributed",), "--nproc N", _need_processes, NO_VALUE),
    TrainFlag(("--nnodes", "--world-size", "--linux_num"), ONE_MACHINE, _keep_to_one_machine),
    TrainFlag(("--node_rank", "--rank", "--server_index"), ONE_MACHINE, DROP),
    TrainFlag(("--master_addr", "--addr", "--one_node_ip"), ONE_MACHINE, DROP),
    TrainFlag(("--master_port",), ONE_MACHINE, DROP),
    TrainFlag(("--local_addr", "--fix_node_ip"), ONE_MACHINE, DROP),
    TrainFlag(("--dist-url",), ONE_MACHINE, DROP),
    TrainFlag(("--conf_path",), "use `torchrun --nnodes N --node-rank R --master-addr HOST`", None),
    TrainFlag(("--checkpoint-freq",), "every epoch ends with a snapshot, --checkpoint-every N writes more", DROP),
    TrainFlag(("--checkpoint-nameprefix",), "--guide-format writes checkpoint.pth.tar and model_best.pth.tar", None),
    TrainFlag(("--raport-file",), "--dllogger writes dllogger.json into --output", None),
    TrainFlag(("--num_classes", "--num-classes"), "--classes N", _rename("--classes")),
    TrainFlag(("-c", "--model-config"), "set the card's [network]", None),
    TrainFlag(("--bn-weight-decay",), "--weight-decay never applies to BatchNorm and biases", None, NO_VALUE),
    TrainFlag(("--pretrained",), "give weights to start from with --resume FILE", None, NO_VALUE),
    TrainFlag(("-t", "--fine-tuning"), "all layers are trained; --classifier-rate slows the last one", None, NO_VALUE),
)  # fmt: skip
_BY_NAME = {name: flag for flag in FLAGS for name in flag.names}
