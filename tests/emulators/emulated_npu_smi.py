"""An EMULATOR of `npu-smi info`, for tests. It has not met hardware: the layout is that of tables in published READMEs.

The environment variable EMULATED_NPUS lists the chips by name: `310P3,310P3`. EMULATED_NPU_BUSY is the AICore of
all of them in per cent, 0 without it, and EMULATED_NPU_PROCESSES lists who has memory: `NPU:PROCESS:NAME:MB,…`.
"""

import os
import sys

RULE = "+-------------------+-----------------+------------------------------------------------------+\n"
DOUBLE = RULE.replace("-", "=")
HEADER = (
    "| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |\n"
    "| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |\n"
)


PROCESS_RULE = f"+{'-' * 27}+{'-' * 15}+{'-' * 52}+\n"
PROCESS_DOUBLE = PROCESS_RULE.replace("-", "=")
PROCESS_HEADER = "| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |\n"


def list_names() -> list[str]:
    """The chips that this machine pretends to have; the device number is the position."""
    return [name for name in os.environ.get("EMULATED_NPUS", "").split(",") if name]


def make_table(names: list[str]) -> str:
    """Two rows for each NPU of one chip."""
    rows = RULE + HEADER + DOUBLE
    for device, name in enumerate(names):
        rows += f"| {device:<7} {name:<9} | OK              | 15.8         42                0    / 0              |\n"
        bus = f"0000:{0x82 + device:02X}:00.0"
        busy = os.environ.get("EMULATED_NPU_BUSY", "0")
        rows += f"| 0       {device:<9} | {bus}    | {busy:<12} 1074 / 21534                            |\n"
        rows += DOUBLE
    return rows


def make_process_table(count: int) -> str:
    """The second table: a row for each process, or one line for an NPU without any."""
    processes = [each.split(":") for each in os.environ.get("EMULATED_NPU_PROCESSES", "").split(",") if each]
    rows = PROCESS_RULE + PROCESS_HEADER + PROCESS_DOUBLE
    for device in range(count):
        own = [each for each in processes if each[0] == str(device)]
        for _, number, name, megabytes in own:
            rows += f"| {device:<7} 0                 | {number:<13} | {name:<24} | {megabytes:<23} |\n"
        if not own:
            rows += f"| {f'No running processes found in NPU {device}':<94} |\n"
        rows += PROCESS_DOUBLE
    return rows


def main(arguments: list[str]) -> int:
    """Print the table of `npu-smi info`."""
    if arguments != ["info"]:
        sys.stderr.write(f"the emulator knows `npu-smi info` only, not {arguments}\n")
        return 1
    names = list_names()
    sys.stdout.write(make_table(names) + make_process_table(len(names)))
    return 0
