"""The training guide's shell scripts, `test/train_….sh` of ResNet50_for_PyTorch in Ascend's ModelZoo-PyTorch."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from seatrial.cli.compat.call import Call, Flag, Plan, Tool
from seatrial.cli.compat.recipes import find_recipe
from seatrial.errors import UsageError

KINDS = ("npu", "cuda", "cpu")
"""Devices that train, the first kind that is here."""
CARDS = 8
"""Of a machine of the scripts."""
PORT = 29501
"""On which the scripts' processes meet."""
TEST = "test"
"""The folder of the scripts, in which they are run, or beside which."""
ONE_CARD: Mapping[str, object] = {
    "epochs": 90,
    "batch_size": 512,
    "learning_rate": 0.2,
    "warmup_epochs": 5,
    "label_smoothing": 0.1,
    "weight_decay": 1e-4,
    "momentum": 0.9,
    "nesterov": False,
    "amp": "fp16",
    "loss_scale": 1024,
}
"""What `pytorch_resnet50_apex.py` is given, or has by itself."""
MANY_CARDS: Mapping[str, object] = {
    **ONE_CARD,
    "batch_size": 4096,
    "learning_rate": 1.6,
    "warmup_epochs": 8,
    "seed": 49,
    "print_freq": 1,
}
"""What `main_apex_d76_npu.py` is given, or has by itself."""

DATA = Flag(("data_path",), means="`--data DIR`")
BATCH = Flag(("batch_size",), means="`--batch-size N`, of all cards together")
PRECISION = Flag(
    ("precision_mode",),
    choices={"allow_mix_precision": "fp16", "must_keep_origin_dtype": "off"},
    means="`--amp fp16` or `--amp off`",
)
DEVICE = Flag(("device_id",), means="`--device npu:N`, or another device of that number")
CHECKPOINT = Flag(("checkpoint",), "--resume")
MACHINES = (
    Flag(("nnodes", "linux_num"), means="`torchrun --nnodes N`"),
    Flag(("node_rank", "server_index"), means="`torchrun --node-rank R`"),
    Flag(("master_addr", "one_node_ip"), means="`torchrun --master-addr HOST`"),
    Flag(("master_port",), means="`torchrun --master-port PORT`"),
    Flag(("local_addr", "fix_node_ip"), means="`HCCL_IF_IP` of the environment"),
    Flag(("conf_path",), means="the folder of `server_ADDRESS_RANK.info`, which gives machines and HOST"),
)


@dataclass(frozen=True, slots=True)
class Script:
    """One script: how many cards train for what, and what is not as in `ONE_CARD` or `MANY_CARDS`."""

    name: str
    cards: int
    """Of all machines; 0 is eight of each that is named."""
    purpose: Literal["full", "performance", "eval"]
    own: Mapping[str, object] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, object]:
        """Of the training."""
        return {**(ONE_CARD if self.cards == 1 else MANY_CARDS), **self.own}

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Those that it reads."""
        if self.cards == 1:
            return (DATA, BATCH, PRECISION, DEVICE, *((CHECKPOINT,) if self.purpose == "eval" else ()))
        return (DATA, BATCH, PRECISION, *(MACHINES if self.cards == 0 or self.cards > CARDS else ()))


SCRIPTS = (
    Script("train_full_1p.sh", 1, "full"),
    Script("train_performance_1p.sh", 1, "performance", {"epochs": 1}),
    Script("train_eval_1p.sh", 1, "eval"),
    Script("train_full_4p.sh", 4, "full", {"batch_size": 2048}),
    Script("train_full_8p.sh", 8, "full"),
    Script("train_full_16p.sh", 16, "full"),
    Script("train_full_32p.sh", 32, "full", {"batch_size": 16384, "learning_rate": 4.9}),
    Script("train_performance_4p.sh", 4, "performance", {"batch_size": 2048, "epochs": 3}),
    Script("train_performance_8p.sh", 8, "performance", {"epochs": 3}),
    Script("train_performance_16p.sh", 16, "performance", {"epochs": 3}),
    Script("train_performance_32p.sh", 32, "performance", {"batch_size": 8192, "epochs": 3}),
    Script("train_performance_64p.sh", 64, "performance", {"batch_size": 16384, "epochs": 3}),
    Script("train_performance_multinodes.sh", 0, "performance", {"epochs": 3}),
)


def plan_training(script: Script, call: Call) -> Plan:
    """Train, measure or validate as a script does; on several machines, the line that starts it on this one.

    Raises:
        UsageError: there is no data_path, or nothing says which network it is.
    """
    data = call.values.get("data_path")
    if not data:
        raise UsageError(
            f'{call.name}: [Error] para "data_path" must be confing', "give --data_path=DIR, with train and val in it"
        )
    recipe, reason = find_recipe(call, notes=False)
    kind, device, note = _choose_device(script, call)
    number = device.partition(":")[2] or "0"
    folder = Path(TEST) if Path.cwd().name != TEST else Path()
    places = ("--data", data, "--output", str(folder / "output" / number), "--device", device)
    settings = (*_list_purpose(script), *call.handed_on, *_list_settings(script, call, kind))
    words = ("train", recipe, *places, *settings, "--guide-format")
    notes = (f"recipe {recipe}, by {reason}", *note)
    if script.cards == 1:
        return Plan((words,), notes, (f"device id is {number}",))
    machines, master = _find_machines(script, call)
    processes = 1 if kind == "cpu" else min(script.cards or CARDS, CARDS)
    if machines > 1:
        line = _write_torchrun(call, words, (machines, processes), master)
        return Plan((), (*notes, "run on each machine what is printed"), (line,))
    return Plan(((*words, *(("--nproc", str(processes)) if processes > 1 else ())),), notes)


def _choose_device(script: Script, call: Call) -> tuple[str, str, tuple[str, ...]]:
    """Kind and name of the device, and a note where it is no NPU.

    Raises:
        UsageError: `--engine` is another than torch.
    """
    from seatrial.workflow.compile import parse_engine

    number = os.environ.get("ASCEND_DEVICE_ID") or call.values.get("device_id") or "0"
    if call.engine is not None:
        spec = parse_engine(call.engine)
        if spec.engine != "torch":
            fix = "give --engine torch@DEVICE, or leave it out"
            raise UsageError(f"training runs in torch, not in {spec.engine}", fix)
        device = spec.device
        kind = device.partition(":")[0]
        return kind, device if script.cards == 1 else kind, (f"device {device}, by --engine",)
    here = {name.partition(":")[0] for name in _list_devices()}
    kind = next(kind for kind in KINDS if kind in here or kind == "cpu")
    if kind == "cpu":
        alone = "" if script.cards == 1 else "in one process, "
        return kind, kind, (f"no NPU and no GPU here: the CPU trains, {alone}with --amp auto unless it is off",)
    note = () if kind == "npu" else (f"no NPU here: {kind} does it",)
    return kind, f"{kind}:{number}" if script.cards == 1 else kind, note


def _list_devices() -> tuple[str, ...]:
    """Those that torch trains on here."""
    from seatrial.engines import get_engine

    return get_engine("torch").probe().devices


def _list_purpose(script: Script) -> tuple[str, ...]:
    return {"full": (), "performance": ("--performance",), "eval": ("--evaluate",)}[script.purpose]


def _list_settings(script: Script, call: Call, kind: str) -> Iterator[str]:
    """The script's settings as options; a validation has no use for most of them."""
    settings = {**script.settings, "amp": call.values.get("precision_mode", "fp16")}
    settings |= {"batch_size": call.values["batch_size"]} if "batch_size" in call.values else {}
    if kind == "cpu" and settings["amp"] != "off":
        settings["amp"] = "auto"
    if settings["amp"] != "fp16":
        del settings["loss_scale"]
    if script.purpose == "eval":
        settings = {name: settings[name] for name in ("batch_size", "amp")}
    for name, value in settings.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        else:
            yield from (f"--{option}", str(value))


def _find_machines(script: Script, call: Call) -> tuple[int, str]:
    """How many machines there are, and the first one's address.

    Raises:
        UsageError: their number is none, or the folder of --conf_path names none.
    """
    number, master = call.values.get("nnodes"), call.values.get("master_addr", "HOST")
    folder = call.values.get("conf_path")
    if folder:
        found = {path.stem.rpartition("_")[2]: path.stem.split("_")[1] for path in Path(folder).glob("server_*_*.info")}
        if "0" not in found:
            raise UsageError(
                f"{call.name}: {folder} has no server_ADDRESS_0.info", "give --linux_num=N and --one_node_ip=ADDRESS"
            )
        return len(found), found["0"]
    if number is None:
        return max(1, script.cards // CARDS), master
    if not number.isdecimal() or int(number) < 1:
        raise UsageError(f"{call.name}: {number} is no number of machines", "give a whole number from 1 on")
    return int(number), master


def _write_torchrun(call: Call, words: tuple[str, ...], size: tuple[int, int], master: str) -> str:
    """The line that starts one of several machines; `size` is their number and the processes of each."""
    machines, processes = map(str, size)
    address = call.values.get("local_addr")
    rank, port = call.values.get("node_rank", "R"), call.values.get("master_port", str(PORT))
    own = (f"HCCL_IF_IP={address}",) if address else ()
    launch = ("torchrun", "--nnodes", machines, "--node-rank", rank, "--nproc-per-node", processes)
    return shlex.join((*own, *launch, "--master-addr", master, "--master-port", port, "-m", "seatrial", *words))


def _write_usage(script: Script) -> str:
    """The form that the page shows, with the first flags alone."""
    more = " --nnodes=N --node_rank=R --master_addr=HOST …" if MACHINES[0] in script.flags else ""
    more += " --device_id=N" if DEVICE in script.flags else ""
    more += " --checkpoint=FILE" if CHECKPOINT in script.flags else ""
    return f"--data_path=DIR --batch_size=N --precision_mode=MODE{more}"


TOOLS = tuple(
    Tool(
        (script.name,),
        _write_usage(script),
        " ".join(("train", *_list_purpose(script), "--guide-format")),
        partial(plan_training, script),
        script.flags,
    )
    for script in SCRIPTS
)
