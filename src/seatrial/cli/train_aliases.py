"""The flags of pytorch/examples' main.py and of the Ascend guides' training scripts, in words of `seatrial train`.

Each is a row of `FLAGS`: it becomes options of ours, falls away since ours does so anyway, or is refused with the name
of what does it here. Options that both call by one name need no row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seatrial.errors import UsageError

NOTHING, ONE, PERHAPS = "nothing", "one", "perhaps"
"""What follows a flag: no value, one, or one of its `choices` if that stands there."""
TRUTHS = ("True", "true", "1", "False", "false", "0")


@dataclass(frozen=True, slots=True)
class Line:
    """A command line taken apart."""

    said: Mapping[str, str]
    """What stands behind the guides' flags, by a flag's first name."""
    rest: tuple[str, ...]
    """All other words."""
    started: bool
    """By torchrun, which tells every process about the others."""

    def find(self, option: str) -> str | None:
        """The value of an option of ours."""
        for place, word in enumerate(self.rest):
            if word == option:
                return "".join(self.rest[place + 1 : place + 2])
            if word.startswith(f"{option}="):
                return word.partition("=")[2]
        return None

    @property
    def processes(self) -> int:
        """That this machine is to have, as far as the line tells."""
        listed = self.said.get("--device-list")
        return _count("--nproc", self.find("--nproc") or (str(len(listed.split(","))) if listed else "1"))


Meaning = Callable[[str, Line], tuple[str, ...]]
"""The words of ours for a flag's value; none where it falls away. A first word that is no option is RECIPE."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of theirs."""

    names: tuple[str, ...]
    ours: str
    """What does it here, for a reader."""
    meaning: Meaning | None
    """None refuses it."""
    takes: str = ONE
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Translation:
    """A command line in our words."""

    words: tuple[str, ...]
    notes: tuple[str, ...]
    """What was put in the place of what."""


def translate(words: Sequence[str], started: bool = False) -> Translation:
    """A command line with every flag of the guides in words of ours.

    Args:
        started: torchrun started this process.

    Raises:
        UsageError: a flag has no meaning here, and what does it is named; or ours is given beside it.
    """
    found, rest = _split(words)
    line = Line({flag.names[0]: value for flag, _, value in found}, rest, started)
    options: list[str] = []
    recipes: list[str] = []
    notes = []
    for flag, spelt, value in found:
        if flag.meaning is None:
            raise UsageError(f"{spelt} is not taken here", flag.ours)
        meant = flag.meaning(value, line)
        if meant and not meant[0].startswith("--"):
            recipes += meant
            notes.append(f"{spelt} is the recipe here")
            continue
        if meant and (meant[0] in options or line.find(meant[0]) is not None):
            raise UsageError(f"{spelt} is {meant[0]} here, which is given too", "give one of them")
        options += meant
        if " ".join(meant) != spelt.replace("=", " ", 1):
            notes.append(f"{spelt} is {' '.join(meant)} here" if meant else f"{spelt} falls away: {flag.ours}")
    return Translation((*recipes, *rest, *options), tuple(notes))


def _split(words: Sequence[str]) -> tuple[list[tuple[Flag, str, str]], tuple[str, ...]]:
    """Theirs as (flag, as it was spelt, value), and the other words."""
    found: list[tuple[Flag, str, str]] = []
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, joined, value = _take_apart(word)
        flag = _BY_NAME.get(name)
        if flag is None or (name == "--amp" and (joined or (queue and not queue[0].startswith("-")))):
            rest.append(word)
        elif joined and flag.takes == NOTHING:
            raise UsageError(f"{name} takes no value")
        elif (
            joined or flag.takes == NOTHING or (flag.takes == PERHAPS and queue[:1] not in ([c] for c in flag.choices))
        ):
            found.append((flag, word, value))
        elif not queue:
            raise UsageError(f"{name} needs a value")
        else:
            found.append((flag, f"{word} {queue[0]}", queue.pop(0)))
    return found, tuple(rest)


def _take_apart(word: str) -> tuple[str, bool, str]:
    """Name, whether a value is joined to it, and the value: of `--lr=1`, `-b512` or `--lr`."""
    if word.startswith("--"):
        name, sign, value = word.partition("=")
        return name, bool(sign), value
    if word[:2] in _BY_NAME and word not in _BY_NAME:
        return word[:2], True, word[2:].removeprefix("=")
    return word, False, ""


def _count(name: str, value: str) -> int:
    if not value.lstrip("-").isdecimal():
        raise UsageError(f"{name} {value} is no whole number")
    return int(value)


def _become(option: str, prefix: str = "") -> Meaning:
    return lambda value, line: (option, prefix + value)


def _become_flag(*words: str) -> Meaning:
    return lambda value, line: words


def _drop(value: str, line: Line) -> tuple[str, ...]:
    return ()


def _evaluate(value: str, line: Line) -> tuple[str, ...]:
    return () if value.lower() in ("false", "0") else ("--evaluate",)


def _name_device(value: str, line: Line) -> tuple[str, ...]:
    return ("--device", "cuda" if value == "gpu" else value)


def _look_up(option: str, values: Mapping[str, str]) -> Meaning:
    def meaning(value: str, line: Line) -> tuple[str, ...]:
        if value not in values:
            raise UsageError(f"'{value}' has no meaning for {option}", f"known: {', '.join(values)}")
        return (option, values[value])

    return meaning


def _share_workers(value: str, line: Line) -> tuple[str, ...]:
    return ("--workers", str(-(-_count("-j", value) // max(1, line.processes))))


def _count_processes(value: str, line: Line) -> tuple[str, ...]:
    if line.started:
        return ()
    devices = value.split(",")
    if sorted(devices) != sorted(map(str, range(len(devices)))):
        raise UsageError(
            f"--device-list {value} leaves devices out",
            f"name them in ASCEND_RT_VISIBLE_DEVICES or CUDA_VISIBLE_DEVICES, and give --nproc {len(devices)}",
        )
    return ("--nproc", str(len(devices)))


def _need_processes(value: str, line: Line) -> tuple[str, ...]:
    if not line.started and line.find("--nproc") is None and "--device-list" not in line.said:
        raise UsageError("--multiprocessing-distributed does not say how many processes", "give --nproc N")
    return ()


def _keep_to_one_machine(value: str, line: Line) -> tuple[str, ...]:
    if line.started or _count("--nnodes", value) <= 1:
        return ()
    rank, address = (line.said.get(name, letter) for name, letter in (("--node_rank", "R"), ("--master_addr", "HOST")))
    port = line.said.get("--master_port", "29500")
    raise UsageError(
        f"{value} machines are torchrun's",
        f"on each: `torchrun --nnodes {value} --node-rank {rank} --nproc-per-node N --master-addr {address} "
        f"--master-port {port} -m seatrial train …`",
    )


def _accumulate(value: str, line: Line) -> tuple[str, ...]:
    total = _count("--optimizer-batch-size", value)
    batch = _count("--batch-size", line.said.get("-b") or line.find("--batch-size") or value)
    if total <= batch:
        return ()
    raise UsageError(
        f"--optimizer-batch-size {total} with {batch} images at a time is told otherwise here",
        f"give --batch-size {total} --accumulate {-(-total // batch)}",
    )


def _refuse_benchmark(value: str, line: Line) -> tuple[str, ...]:
    if value != "0":
        raise UsageError(f"--benchmark {value} gathers gradients up to a batch of 2048", "say so with --accumulate")
    return ()


ONE_MACHINE = "torchrun tells several machines of each other; one needs nothing"
FLAGS = (
    Flag(("-a", "--arch"), "RECIPE", lambda value, line: (value,)),
    Flag(("-b", "--batch_size"), "--batch-size N", _become("--batch-size")),
    Flag(("-j",), "--workers N, which counts each process's", _share_workers),
    Flag(("-p",), "--print-freq N", _become("--print-freq")),
    Flag(("-e", "--evaluate"), "--evaluate", _evaluate, PERHAPS, TRUTHS),
    Flag(("--lr",), "--learning-rate X", _become("--learning-rate")),
    Flag(("--wd",), "--weight-decay X", _become("--weight-decay")),
    Flag(("--mom",), "--momentum X", _become("--momentum")),
    Flag(("--warmup",), "--warmup-epochs N", _become("--warmup-epochs")),
    Flag(("--data_path",), "--data DIR", _become("--data")),
    Flag(("--save_ckpt_path", "--workspace"), "--output DIR", _become("--output")),
    Flag(("--checkpoint",), "--resume FILE", _become("--resume")),
    Flag(("--start-epoch",), "--resume FILE knows the epoch", None),
    Flag(("--gpu",), "--device cuda:N", _become("--device", "cuda:")),
    Flag(("--npu", "--device_id"), "--device npu:N", _become("--device", "npu:")),
    Flag(("--device",), "--device cpu, cuda or npu", _name_device),
    Flag(("--amp",), "--amp fp16, without a value", _become_flag("--amp", "fp16"), PERHAPS),
    Flag(("--fp16",), "--amp fp16", _become_flag("--amp", "fp16"), NOTHING),
    Flag(
        ("--opt-level",),
        "--amp fp16, for O0 --amp off",
        _look_up("--amp", {"O0": "off", "O1": "fp16", "O2": "fp16", "O3": "fp16"}),
    ),
    Flag(
        ("--precision_mode",),
        "--amp fp16, for must_keep_origin_dtype --amp off",
        _look_up("--amp", {"allow_mix_precision": "fp16", "must_keep_origin_dtype": "off"}),
    ),
    Flag(("--static-loss-scale",), "--loss-scale N", _become("--loss-scale")),
    Flag(("--dynamic-loss-scale",), "--loss-scale dynamic", _become_flag("--loss-scale", "dynamic"), NOTHING),
    Flag(("--optimizer-batch-size",), "--batch-size counts all images of a step, --accumulate its parts", _accumulate),
    Flag(("-bm", "--benchmark"), "--accumulate N", _refuse_benchmark),
    Flag(("--graph_mode",), "--compile", _become_flag("--compile"), NOTHING),
    Flag(("--ND",), "--channels-last and --no-channels-last are the layouts there are", None, NOTHING),
    Flag(("--device-list",), "--nproc N", _count_processes),
    Flag(("--multiprocessing-distributed",), "--nproc N", _need_processes, NOTHING),
    Flag(("--nnodes", "--world-size", "--linux_num"), ONE_MACHINE, _keep_to_one_machine),
    Flag(("--node_rank", "--rank", "--server_index"), ONE_MACHINE, _drop),
    Flag(("--master_addr", "--addr", "--one_node_ip"), ONE_MACHINE, _drop),
    Flag(("--master_port",), ONE_MACHINE, _drop),
    Flag(("--local_addr", "--fix_node_ip"), ONE_MACHINE, _drop),
    Flag(("--dist-url",), ONE_MACHINE, _drop),
    Flag(("--conf_path",), "`torchrun --nnodes N --node-rank R --master-addr HOST` says it", None),
    Flag(("--checkpoint-freq",), "every epoch ends with a snapshot, --checkpoint-every N writes more", _drop),
    Flag(("--checkpoint-nameprefix",), "--guide-format writes checkpoint.pth.tar and model_best.pth.tar", None),
    Flag(("--raport-file",), "--dllogger writes dllogger.json into --output", None),
    Flag(("--num_classes", "--num-classes"), "the card's [network] says how many classes there are", None),
    Flag(("-c", "--model-config"), "the card's [network] says which network it is", None),
    Flag(("--bn-weight-decay",), "--weight-decay always spares BatchNorm and biases", None, NOTHING),
    Flag(("--pretrained",), "training starts anew; `seatrial export` takes published weights", None, NOTHING),
    Flag(("-t", "--fine-tuning"), "all layers are trained; --classifier-rate slows the last one", None, NOTHING),
)  # fmt: skip
_BY_NAME = {name: flag for flag in FLAGS for name in flag.names}
