"""Faults planted in a sound trial: what does `seatrial run`, `evaluate`, `report` or `compare` alone say of each?

    python benchmarks/planted.py --folder WORK --json AFTER.json [--source SRC] [--only WORDS] [--again]
    python benchmarks/planted.py --table BEFORE.json AFTER.json
    python benchmarks/planted.py --folder WORK --sound

The first finishes a sound run in WORK, plants each fault in a copy of it, runs the command line of the source tree SRC
(this one's unless given) and keeps what it said in AFTER.json; faults that stand there already are left out. A fault
that passes in silence, with exit code 0 and figures that are wrong, makes it leave with 1, and so does a sound case
that does not pass. The second sets two source trees beside each other. The third runs the five cards' networks, which
must raise nothing. `diagnose.py` asks which stage is at fault; this asks whether anybody notices that one is.
"""

import argparse
import atexit
import json
import multiprocessing
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from planted_bench import Bench, Fault, Tried, prepare_bench
from planted_engines import list_engine_faults
from planted_inputs import list_input_faults
from planted_stored import list_stored_faults
from planted_trial import Cli, Trial, make_trial

from seatrial.cli.output.progress import print_table

SOURCE = Path(__file__).parents[1] / "src"
WIDTH = 110
WORKERS = 2


_benches: list[Bench] = []
"""That of this process, once it has one."""


@dataclass(frozen=True)
class Row:
    """A fault and what came of it."""

    name: str
    command: str
    sound: bool
    tried: Tried

    @property
    def key(self) -> str:
        """What it is known by."""
        return f"{self.command}: {self.name}"

    @property
    def wrong(self) -> bool:
        """A fault that nobody noticed, or a sound case that somebody objects to."""
        return self.tried.code != 0 if self.sound else self.tried.silent

    @property
    def shown(self) -> str:
        """Exit code and outcome, marked where it is wrong."""
        return f"{self.tried.code} {self.tried.outcome}{' !' if self.wrong else ''}"


def list_faults() -> Iterator[Fault]:
    """Every fault and every sound case."""
    yield from list_input_faults()
    yield from list_stored_faults()
    yield from list_engine_faults()


def load_rows(path: Path) -> dict[str, Row]:
    """What a file holds, by key; nothing if there is none."""
    if not path.exists():
        return {}
    rows = [Row(**{**row, "tried": Tried(**row["tried"])}) for row in json.loads(path.read_text())]
    return {row.key: row for row in rows}


def try_fault(fault: Fault, bench: Bench) -> Tried:
    """Plant it in a fresh folder and see what is said."""
    shutil.rmtree(bench.place, ignore_errors=True)
    bench.place.mkdir(parents=True)
    try:
        tried = fault.plant(bench)
    except RuntimeError as error:  # a command that had to succeed for the fault to be planted
        tried = Tried(-1, "not planted", str(error), True)
    told = tried.reason.replace(bench.place.name, "fault").replace(str(bench.place.parent.parent), "")
    return Tried(tried.code, tried.outcome, " ".join(told.split()), tried.silent)


def try_named(key: str) -> tuple[Row, float]:
    """Try the fault of a name on the bench of this process; what came of it, and the seconds it took."""
    fault = next(fault for fault in list_faults() if f"{fault.command}: {fault.name}" == key)
    began = time.perf_counter()
    tried = try_fault(fault, _benches[0])
    return Row(fault.name, fault.command, fault.sound, tried), time.perf_counter() - began


def take_bench(source: Path, trial: Trial, folder: Path) -> None:
    """Give this process a place of its own to plant faults in; its commands are forked from a server of its own."""
    cli = Cli(source, fork_all=source == SOURCE)
    place = folder / f"fault-{os.getpid()}"
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    atexit.register(cli.close)
    _benches[:] = [Bench(cli, trial, folder / "sound", folder / "floats", place)]


def try_all(asked: argparse.Namespace) -> int:
    """Try the faults that are asked for, two at a time, and keep what came of each."""
    folder, source = asked.folder.resolve(), asked.source.resolve()
    keys = [f"{fault.command}: {fault.name}" for fault in list_faults()]
    rows = load_rows(asked.json)
    wanted = [key for key in keys if re.search(asked.only, key) and (asked.again or key not in rows)]
    with closing(Cli(SOURCE, fork_all=True)) as trainer:
        trial = make_trial(folder / "trial", trainer)
    with closing(Cli(source, fork_all=source == SOURCE)) as cli:
        prepare_bench(cli, trial, folder / asked.json.stem)
    rows = {key: row for key, row in rows.items() if key not in wanted}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, take_bench, (source, trial, folder / asked.json.stem)) as pool:
        for row, seconds in pool.map(try_named, wanted):
            rows[row.key] = row
            asked.json.write_text(json.dumps([asdict(row) for row in rows.values()], indent=1) + "\n")
            print(f"{row.shown:<18}{row.key} ({seconds:.0f} s): {row.tried.reason}", flush=True)
    return 1 if count_wrong(rows.values()) else 0


def count_wrong(rows: Iterable[Row]) -> int:
    """Say how many faults went unnoticed and how many sound cases did not pass."""
    listed = list(rows)
    silent = sum(row.wrong for row in listed if not row.sound)
    refused = sum(row.wrong for row in listed if row.sound)
    sound = sum(row.sound for row in listed)
    print(f"{silent} of {len(listed) - sound} faults pass in silence, {refused} of {sound} sound cases do not pass")
    return silent + refused


def print_both(before: Path, after: Path) -> int:
    """Both source trees in one table; 1 if the second has a fault that passes in silence."""
    old, new = load_rows(before), load_rows(after)
    table = []
    keys = [f"{fault.command}: {fault.name}" for fault in list_faults()]
    for key in (key for key in keys if key in old or key in new):
        row = new.get(key) or old[key]
        columns = [found[key].shown if key in found else "–" for found in (old, new)]
        reason = new[key].tried.reason if key in new else ""
        table.append([row.name, row.command, *columns, reason if len(reason) <= WIDTH else reason[: WIDTH - 1] + "…"])
    print_table(["planted", "command", "before", "after", "what is said after"], table, (0, 1, 2, 3, 4))
    for name, rows in (("before", old), ("after", new)):
        print(f"{name}: ", end="")
        wrong = count_wrong(rows.values())
    return 1 if wrong else 0


def main(words: list[str] | None = None) -> int:
    """Try faults, print the table, or run what is sound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("planted-work"))
    parser.add_argument("--json", type=Path, default=Path("planted-after.json"))
    parser.add_argument("--source", type=Path, default=SOURCE)
    parser.add_argument("--only", default="", help="try those whose `COMMAND: NAME` (of --sound, name) fits this")
    parser.add_argument("--again", action="store_true", help="try also what stands in the file")
    parser.add_argument("--table", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--sound", action="store_true")
    asked = parser.parse_args(words)
    if asked.table:
        return print_both(*asked.table)
    if asked.sound:
        from planted_sound import run_networks

        with closing(Cli(asked.source.resolve())) as cli:
            return run_networks(asked.folder.resolve(), cli, asked.only)
    return try_all(asked)


if __name__ == "__main__":
    raise SystemExit(main())
