"""Ascend chips as npu-smi lists them, with what they do."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from seatrial.store.measurement import DeviceProcess

QUERY_TIMEOUT_S = 60
MEBIBYTE = 2**20


_BUS = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]|NA")


_ROW = re.compile(r"\s*(?P<number>\d+)(?:\s+(?P<second>\S+))?\s*")


_USED = re.compile(r"(\d+)\s*/\s*(\d+)")
"""Memory in use and in all, in MB."""


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


@dataclass(frozen=True, slots=True)
class ChipState:
    """A chip and what it does; what the table does not give is None."""

    chip: Chip
    power_w: float | None
    """Of the chip's own row, else of its card."""
    busy: float | None
    """AICore, as a share 0..1."""
    memory_bytes: int | None
    processes: tuple[DeviceProcess, ...]


@dataclass(frozen=True, slots=True)
class _Card:
    number: int
    name: str
    power_w: float | None


def parse_npu_smi(text: str) -> tuple[ChipState, ...]:
    """The chips in the table of `npu-smi info`, by device number.

    A row of three cells is an NPU (number, name | health | power, …) or one of its chips (chip, device | bus | AICore,
    memory). A chip whose row has no device number, as on newer cards, is counted.
    """
    rows = [(cells, row) for cells in _split(text) if (row := _ROW.fullmatch(cells[0])) is not None]
    processes = dict(_list_processes(rows))
    found: list[ChipState] = []
    card: _Card | None = None
    for cells, row in rows:
        if len(cells) != 3:
            continue
        if not _BUS.fullmatch(cells[1].strip()):
            card = _read_card(row, cells[2], card)
        elif card is not None:
            device = int(row["second"]) if (row["second"] or "").isdecimal() else len(found)
            of_chip = processes.get((card.number, int(row["number"])), [])
            chip = Chip(device, card.number, card.name)
            state = ChipState(chip, card.power_w, _read_share(cells[2]), _read_memory(cells[2]), tuple(of_chip))
            found.append(state)
    return tuple(sorted(found, key=lambda state: state.chip.device))


def _split(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        yield line.strip().removeprefix("|").removesuffix("|").split("|")


def _read_card(row: re.Match[str], facts: str, before: _Card | None) -> _Card | None:
    """An NPU's row; the second chip of a card has none of its power, for which `-` stands."""
    if not row["second"]:
        return None
    number, power_w = int(row["number"]), _read_number(facts)
    if power_w is None and before is not None and before.number == number:
        power_w = before.power_w
    return _Card(number, row["second"], power_w)


def _list_processes(rows: list[tuple[list[str], re.Match[str]]]) -> dict[tuple[int, int], list[DeviceProcess]]:
    """By card and chip: rows `NPU Chip | process id | name | MB`, on newer drivers with its id in its container."""
    found: dict[tuple[int, int], list[DeviceProcess]] = {}
    for cells, row in rows:
        numbers = [cell.strip() for cell in (cells[1], *cells[4:5]) if cell.strip().isdecimal()]
        if len(cells) < 4 or not (row["second"] or "").isdecimal() or not numbers:
            continue
        used = _read_number(cells[3])
        process = DeviceProcess(
            pid=int(numbers[-1]),
            name=cells[2].strip(),
            memory_bytes=None if used is None else int(used * MEBIBYTE),
        )
        found.setdefault((int(row["number"]), int(row["second"])), []).append(process)
    return found


def _read_number(cell: str) -> float | None:
    """The first word of a cell; None where a dash or NA stands for it."""
    first = next(iter(cell.split()), "")
    return float(first) if re.fullmatch(r"\d+(\.\d+)?", first) else None


def _read_share(cell: str) -> float | None:
    percent = _read_number(cell)
    return None if percent is None else percent / 100


def _read_memory(cell: str) -> int | None:
    """Of the HBM, which comes last, where the chip has any."""
    used = [int(used) for used, total in _USED.findall(cell) if int(total) > 0]
    return used[-1] * MEBIBYTE if used else None


def read_chips() -> tuple[ChipState, ...]:
    """The NPUs of this machine with what they do now; none when `npu-smi` is missing or fails."""
    tool = shutil.which("npu-smi")
    if tool is None:
        return ()
    try:
        ran = subprocess.run([tool, "info"], capture_output=True, text=True, timeout=QUERY_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_npu_smi(ran.stdout) if ran.returncode == 0 else ()


def list_chips() -> tuple[Chip, ...]:
    """The NPUs of this machine; none when `npu-smi` is missing or fails."""
    return tuple(state.chip for state in read_chips())


def read_chip(device: str) -> ChipState | None:
    """What the chip that `npu:N` names does now, counted as programs do; None where there is none."""
    kind, _, number = device.partition(":")
    if kind != "npu":
        return None
    wanted = number or "0"
    listed = os.environ.get("ASCEND_RT_VISIBLE_DEVICES")
    if listed is not None:
        wanted = dict(enumerate(listed.replace(" ", "").split(","))).get(int(wanted), "none")
    return next((state for state in read_chips() if str(state.chip.device) == wanted), None)
