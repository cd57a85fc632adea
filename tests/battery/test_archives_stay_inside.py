"""Promise 12: no archive writes outside its folder, and unpacking stops at the quota; hostile ones leave nothing."""

import gzip
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from battery_archives import COMPRESSED, END, MEMBERS, make_bomb, make_member
from battery_figures import SEED, record_figures
from battery_server import Outcome, run_cases
from seatrial.cli import run_cli
from seatrial.data.archives import imagenet
from seatrial.data.sources import read_images
from seatrial.errors import ExitCode, SeatrialError

QUICK = 16
MEMORY = 8 << 30
VAL, WNID = "ILSVRC2012_val_00000001.JPEG", "n01440764"
READERS = ("val", "train", "train, outer", "devkit", "shard")
QUOTA = 200_000
"""Bytes and, by hundreds, images that may come out where a quota is tried."""
PASSED_OVER = {("devkit", name) for name in ("twice", "line in a name", "terminal code in a name")}


@dataclass(frozen=True)
class Case:
    """An archive and its reader."""

    folder: Path
    reader: str
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} for {self.reader}"


def make_archive(case: Case) -> bytes:
    """The archive's bytes as its reader wants them, but for the fault."""
    name = {"val": VAL, "shard": "000001.jpg", "devkit": "data/meta.mat"}.get(case.reader, f"{WNID}_1.JPEG")
    if case.reader == "train, outer":
        name = f"{WNID}.tar"
    sound = {"shard": make_member("000000.jpg"), "val": make_member(VAL.replace("1.", "2."))}.get(case.reader, b"")
    if case.kind in COMPRESSED:
        data = COMPRESSED[case.kind](sound + make_member(name) + END)
    elif case.kind == "quota of images":
        data = b"".join(make_member(name.replace("1.", f"{number}."), b"x") for number in range(5000)) + END
    elif case.kind == "quota of bytes":
        data = b"".join(make_member(name.replace("1.", f"{number}."), bytes(50_000)) for number in range(50)) + END
    elif case.kind == "bomb":
        data = make_bomb(300 << 20)
    else:
        data = sound + MEMBERS[case.kind](name) + END
    if case.reader == "train":
        data = make_member(f"{WNID}.tar", data) + END
    return gzip.compress(data) if case.reader == "devkit" and case.kind not in ("bomb", "gzip") else data


def read_case(case: Case) -> tuple[int, list[str]]:
    """The exit code, and what is there afterwards that was not before."""
    case.folder.mkdir()
    archive = case.folder / "hostile.tar"
    archive.write_bytes(make_archive(case))
    before = set(list_files(case.folder.parent.parent)) | set(os.listdir("/tmp"))
    if case.kind.startswith("quota"):
        imagenet.MOST_BYTES = dict.fromkeys(imagenet.MOST_BYTES, QUOTA)
        imagenet.MOST_IMAGES = dict.fromkeys(imagenet.MOST_IMAGES, QUOTA // 100)
    if case.reader == "shard":
        code = read_shard(archive)
    else:
        part = case.reader.partition(",")[0]
        words = ["data", "prepare", f"--{part}", str(archive), "--no-verify", "--output", f"{case.folder}/out", "-q"]
        code = run_cli(words)
    after = set(list_files(case.folder.parent.parent)) | {n for n in os.listdir("/tmp") if "battery" in n}
    # Other cases run beside this one, in folders of their own.
    return code, [path for path in sorted(after - before) if is_ours(path, case)]


def is_ours(path: str, case: Case) -> bool:
    """Whether a path is not the lock, and in no folder of another case."""
    own = str(case.folder)
    inside = path.startswith(f"{case.folder.parent}{os.sep}")
    return path != f"{own}/out/.lock" and (not inside or path.startswith(f"{own}{os.sep}"))


def list_files(folder: Path) -> list[str]:
    return [os.path.join(root, name) for root, _, names in os.walk(folder) for name in names]


def read_shard(archive: Path) -> int:
    try:
        read_images(archive, None, 10)
    except SeatrialError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def list_cases(folder: Path) -> list[Case]:
    pairs = [(reader, kind) for reader in READERS for kind in MEMBERS if (reader, kind) not in PASSED_OVER]
    pairs += [(reader, kind) for reader in READERS for kind in COMPRESSED if reader != "devkit"]
    pairs += [(reader, f"quota of {what}") for reader in ("val", "train") for what in ("images", "bytes")]
    pairs += [("devkit", "bomb")]
    return [Case(folder / f"cases/{number}", reader, kind) for number, (reader, kind) in enumerate(pairs)]


def judge(case: Case, outcome: Outcome) -> str:
    if outcome.problem:
        return f"{case}: {outcome.problem}"
    code, left = outcome.value
    if left:
        return f"{case}: leaves {left[:3]}"
    # Of two images of one name either may be sound.
    expected = ExitCode.DATA if (case.reader, case.kind) == ("shard", "twice") else ExitCode.FILE
    if code != expected or len(outcome.said.splitlines()) != 1:
        return f"{case}: exit code {code}: {outcome.said[-300:]}"
    return ""


def attack(name: str, cases: Sequence[Case], seed: int | None) -> None:
    cases[0].folder.parent.mkdir()
    outcomes = run_cases(read_case, cases, 30, MEMORY)
    failures = [wrong for case, outcome in zip(cases, outcomes, strict=True) if (wrong := judge(case, outcome))]
    record_figures(12, name, len(cases), failures, seed=seed)


def test_a_sample_is_refused(tmp_path: Path) -> None:
    attack("sample", random.Random(SEED).sample(list_cases(tmp_path), QUICK), SEED)


@pytest.mark.battery
def test_all_hostile_archives_are_refused(tmp_path: Path) -> None:
    attack("tar archives", list_cases(tmp_path), None)
