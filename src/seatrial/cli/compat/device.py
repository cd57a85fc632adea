"""`npu-smi`: what devices there are."""

import shutil
import subprocess

from seatrial.cli.compat.call import Call, Flag, Plan, Tool
from seatrial.errors import EngineError

QUERIES = ("m", "t", "i", "c", "l")
"""Its options: chip names, a kind of figures, a card, a chip, the list of cards."""


def plan_smi(call: Call) -> Plan:
    """The machine's own `npu-smi`, or `doctor` and exit code 5, as there is no NPU."""
    if shutil.which("npu-smi") is not None:

        def run() -> None:
            ran = subprocess.run(("npu-smi", *call.words), stdin=subprocess.DEVNULL)
            if ran.returncode:
                raise EngineError(f"npu-smi fails with exit code {ran.returncode}", "see what it printed")

        return Plan((), ("this machine's own npu-smi is run",), finish=run)

    def fail() -> None:
        raise EngineError("npu-smi is not on PATH: no NPU here", "the table lists what there is instead")

    return Plan(
        (("doctor",),), ("npu-smi has no rows for CPUs and GPUs: what follows is the list of engines",), finish=fail
    )


TOOLS = (
    Tool(
        ("npu-smi",),
        "info [-m] [-t KIND -i CARD]",
        "doctor, and exit code 5; on an NPU the machine's own",
        plan_smi,
        tuple(
            Flag((name,), takes="none" if name in ("m", "l") else "value", means="passed on to npu-smi")
            for name in QUERIES
        ),
        (1,),
    ),
)
