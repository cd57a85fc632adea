"""The Ascend machine: its NPUs, its CANN, and what of the environment is missing."""

import os
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from seatrial.engines.base import Capabilities
from seatrial.errors import EngineError
from seatrial.machine.ascend import Chip, list_chips
from seatrial.store.files import expand_home

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
    """What is here, and everything that is missing with the commands that install it."""
    chips = list_chips()
    lacks = list(_find_lacks(bool(chips)))
    if lacks:
        hints = dict.fromkeys(hint for _, hint in lacks)
        return Capabilities("ascend", None, missing=", ".join(what for what, _ in lacks), install_hint="; ".join(hints))
    return Capabilities(
        "ascend",
        read_cann_version(),
        devices=tuple(f"npu:{chip.device}" for chip in chips),
        hardware=tuple(chip.soc_version for chip in chips),
        precisions=PRECISIONS,
        one_output=True,
    )


def read_cann_version() -> str:
    """The version of the CANN toolkit that this shell has set up; 'unknown' where its files do not give it."""
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
    found = next((path for path in SET_ENV if expand_home(path).is_file()), None)
    return f"source {found}" if found else f"install the CANN toolkit (Ascend-cann-toolkit), then source {SET_ENV[0]}"


def _find_lacks(has_chips: bool) -> Iterator[tuple[str, str]]:
    """What is missing and what brings it; of CANN the first thing alone, for its `set_env.sh` brings them all."""
    if not has_chips:
        here = shutil.which("npu-smi") is not None
        yield "`npu-smi info` lists no NPU" if here else "npu-smi is not on PATH", DRIVER_HINT
    opp = os.environ.get("ASCEND_OPP_PATH", "")
    folders = [Path(part) for part in os.environ.get("LD_LIBRARY_PATH", "").split(":") if part]
    cann = {
        "atc is not on PATH": shutil.which("atc") is None,
        "ASCEND_OPP_PATH is not set": not opp,
        f"ASCEND_OPP_PATH is {opp}, which is no folder": not Path(opp).is_dir(),
        "libascendcl.so is in no folder of LD_LIBRARY_PATH": not any((f / "libascendcl.so").is_file() for f in folders),
    }
    yield from [(what, source_hint()) for what, is_lacking in cann.items() if is_lacking][:1]
    wheels = [name for name in ("aclruntime", "ais_bench") if find_spec(name) is None]
    if wheels:
        yield f"not installed in this Python: {' and '.join(wheels)}", WHEELS_HINT
