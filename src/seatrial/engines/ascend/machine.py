"""The Ascend machine as it stands: its NPUs, its CANN, and what of the environment is missing."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from seatrial.engines.base import Capabilities
from seatrial.errors import EngineError

PRECISIONS = ("fp16", "fp32")
SET_ENV = (
    "/usr/local/Ascend/ascend-toolkit/set_env.sh",
    "/usr/local/Ascend/cann/set_env.sh",
    "~/Ascend/ascend-toolkit/set_env.sh",
    "~/Ascend/cann/set_env.sh",
)
"""Where CANN's installer puts the script that makes it usable in a shell."""
DRIVER_HINT = "install the Ascend driver; in a container, mount npu-smi and /usr/local/Ascend/driver from the host"
WHEELS_HINT = "pip install aclruntime-*.whl ais_bench-*.whl, the wheels of Ascend's msit for this Python and machine"
QUERY_TIMEOUT_S = 60
_BUS = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]|NA")
_ROW = re.compile(r"\s*(?P<number>\d+)(?:\s+(?P<second>\S+))?\s*")


@dataclass(frozen=True, slots=True)
class Chip:
    """One NPU, as programs address it."""

    device: int
    """0 to 255; a card may carry several."""
    card: int
    name: str
    """As `npu-smi` prints it, such as 310P3."""

    @property
    def soc_version(self) -> str:
        """What `atc` calls it."""
        return self.name if self.name.startswith("Ascend") else f"Ascend{self.name}"


def parse_npu_smi(text: str) -> tuple[Chip, ...]:
    """The chips in the table of `npu-smi info`, by device number.

    A row of three cells is an NPU (number, name | health | …) or one of its chips (chip, device | bus | …). A chip
    whose row has no device number, as on newer cards, is counted.
    """
    chips: list[Chip] = []
    card: tuple[int, str] | None = None
    for line in text.splitlines():
        cells = line.strip().strip("|").split("|")
        row = _ROW.fullmatch(cells[0])
        if len(cells) != 3 or row is None:
            continue
        if not _BUS.fullmatch(cells[1].strip()):
            card = (int(row["number"]), row["second"]) if row["second"] else None
        elif card is not None:
            device = int(row["second"]) if (row["second"] or "").isdecimal() else len(chips)
            chips.append(Chip(device, *card))
    return tuple(sorted(chips, key=lambda chip: chip.device))


def list_chips() -> tuple[Chip, ...]:
    """The NPUs of this machine; none when `npu-smi` is missing or fails."""
    tool = shutil.which("npu-smi")
    if tool is None:
        return ()
    try:
        ran = subprocess.run([tool, "info"], capture_output=True, text=True, timeout=QUERY_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_npu_smi(ran.stdout) if ran.returncode == 0 else ()


def find_chip(device: str) -> Chip:
    """The chip that `npu:N` names.

    Raises:
        EngineError: lists those there are.
    """
    chips = {f"npu:{chip.device}": chip for chip in list_chips()}
    if device not in chips:
        listed = ", ".join(f"{name} ({chip.soc_version})" for name, chip in chips.items()) or "none"
        raise EngineError(f"ascend has no device '{device}' here", f"it has {listed}")
    return chips[device]


def probe_machine() -> Capabilities:
    """What is here, and everything that is missing with the commands that bring it."""
    chips = list_chips()
    lacks = [*_missing_driver(bool(chips)), *_missing_cann(), *_missing_python()]
    if lacks:
        hints = dict.fromkeys(hint for _, hint in lacks)
        return Capabilities("ascend", None, missing=", ".join(what for what, _ in lacks), install_hint="; ".join(hints))
    return Capabilities(
        "ascend",
        read_cann_version(),
        devices=tuple(f"npu:{chip.device}" for chip in chips),
        hardware=tuple(chip.soc_version for chip in chips),
        precisions=PRECISIONS,
    )


def read_cann_version() -> str:
    """The version of the CANN toolkit that this shell has set up; 'unknown' where its files do not tell."""
    home = Path(os.environ.get("ASCEND_HOME_PATH") or os.environ.get("ASCEND_TOOLKIT_HOME") or "/nowhere")
    opp = Path(os.environ.get("ASCEND_OPP_PATH", "/nowhere"))
    found = [*sorted(home.glob("ascend_toolkit_install.info")), *sorted(home.glob("*/ascend_toolkit_install.info"))]
    for path in (*found, home / "version.info", opp / "version.info"):
        if path.is_file():
            line = re.search(r"^version\s*=\s*(\S+)", path.read_text("utf-8"), re.MULTILINE | re.IGNORECASE)
            if line:
                return f"CANN {line[1]}"
    return "CANN unknown"


def source_hint() -> str:
    """The command that sets CANN up in a shell: the script that is there, else how to get one."""
    found = next((path for path in SET_ENV if Path(path).expanduser().is_file()), None)
    return f"source {found}" if found else f"install the CANN toolkit (Ascend-cann-toolkit), then source {SET_ENV[0]}"


def _missing_driver(has_chips: bool) -> list[tuple[str, str]]:
    if has_chips:
        return []
    here = shutil.which("npu-smi") is not None
    return [("`npu-smi info` lists no NPU" if here else "npu-smi is not on PATH", DRIVER_HINT)]


def _missing_cann() -> list[tuple[str, str]]:
    """The first thing that `set_env.sh` would have brought: it brings them all."""
    opp = os.environ.get("ASCEND_OPP_PATH", "")
    folders = [Path(part) for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part]
    if shutil.which("atc") is None:
        lacks = "atc is not on PATH"
    elif not opp:
        lacks = "ASCEND_OPP_PATH is not set"
    elif not Path(opp).is_dir():
        lacks = f"ASCEND_OPP_PATH is {opp}, which is no folder"
    elif not any((folder / "libascendcl.so").is_file() for folder in folders):
        lacks = "libascendcl.so is in no folder of LD_LIBRARY_PATH"
    else:
        return []
    return [(lacks, source_hint())]


def _missing_python() -> list[tuple[str, str]]:
    lacks = [name for name in ("aclruntime", "ais_bench") if find_spec(name) is None]
    return [(f"not installed in this Python: {' and '.join(lacks)}", WHEELS_HINT)] if lacks else []
