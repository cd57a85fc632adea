"""An EMULATOR of `npu-smi info`, for tests. It has not met hardware: the layout is that of tables in published READMEs.

The environment variable EMULATED_NPUS lists the chips by name: `310P3,310P3`.
"""

import os
import sys

RULE = "+-------------------+-----------------+------------------------------------------------------+\n"
DOUBLE = RULE.replace("-", "=")
HEADER = (
    "| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |\n"
    "| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |\n"
)


def list_names() -> list[str]:
    """The chips that this machine pretends to have; the device number is the position."""
    return [name for name in os.environ.get("EMULATED_NPUS", "").split(",") if name]


def make_table(names: list[str]) -> str:
    """Two rows for each NPU of one chip."""
    rows = RULE + HEADER + DOUBLE
    for device, name in enumerate(names):
        rows += f"| {device:<7} {name:<9} | OK              | 15.8         42                0    / 0              |\n"
        bus = f"0000:{0x82 + device:02X}:00.0"
        rows += f"| 0       {device:<9} | {bus}    | 0            1074 / 21534                            |\n"
        rows += DOUBLE
    return rows


def main(arguments: list[str]) -> int:
    """Print the table of `npu-smi info`."""
    if arguments != ["info"]:
        sys.stderr.write(f"the emulator knows `npu-smi info` only, not {arguments}\n")
        return 1
    sys.stdout.write(make_table(list_names()))
    return 0
