"""Ascend chips as npu-smi lists them."""

import re
import shutil
import subprocess
from dataclasses import dataclass

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
