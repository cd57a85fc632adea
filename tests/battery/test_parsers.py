"""Promise 13: mutants of sound files through every parser: an error in one line that names the file, or none.

A quick part runs with every test run; `make battery` runs all, SEATRIAL_BATTERY_SEED chooses others.
"""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from battery_figures import SEED, record_figures
from golden_logs import LOGS
from seatrial.bench.vendor_logs import read_log
from seatrial.bench.vendor_logs.reading import LogHints
from seatrial.data.bins.info_file import read_info
from seatrial.data.classes import Classes
from seatrial.data.label_files import read_label_file
from seatrial.data.preprocessing.aipp import load_aipp
from seatrial.errors import SeatrialError
from seatrial.metrics.inequality import parse_inequality
from seatrial.recipes.load import load_recipe
from seatrial.store.record import CHECKSUM
from seatrial.store.records import Verdict
from tiny_trial import CARD

QUICK, ALL = 300, 5000
AIPP = LOGS.parent / "aipp"
IMAGES = [f"image_{number}.jpg" for number in range(6)]
VERDICT = Verdict(recipe="tiny", outcome="PASS", exit_code=0, gates=(), run="a" * 64)
TOKENS = (
    *("9" * 5000, "-" + "9" * 400, "1e999", "nan", "inf", "0", "-1", "[" * 2000, "{" * 2000, "(" * 400, ")", "]", "}"),
    *('"', "'", "\\", "#", "=", ":", ",", ";", "\t", "\n", "\r", "\0", "\x1b[2J", "\u202e", "\x85", "\ufeff", "٣", "²"),
    *(" " * 3000, "a" * 70_000, "true", "null", "\udce9", "漢", '"""', "[[x]]", "0x" + "f" * 5000, "best(", "**", "//"),
)


@dataclass(frozen=True)
class Parser:
    """One parser, the sound texts that it is given mutants of, and what it may raise."""

    read: Callable[[Path], object]
    seeds: Callable[[], Sequence[str]]
    raised: type[Exception] = SeatrialError
    names_file: bool = True


@cache
def list_records() -> Sequence[str]:
    data = VERDICT.model_dump(mode="json", by_alias=True)
    assert CHECKSUM not in data
    return [json.dumps(data, indent=1), json.dumps(data)]


@cache
def list_logs() -> Sequence[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(LOGS.iterdir()) if path.stat().st_size < 40_000]


@cache
def list_aipp() -> Sequence[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(AIPP.iterdir())]


@cache
def list_labels() -> Sequence[str]:
    numbers = [f"{name} {place % 4}" for place, name in enumerate(IMAGES)]
    table = [f"{name},{place % 4}" for place, name in enumerate(IMAGES)]
    return ["\n".join(numbers), "\n".join(["filename,label", *table]), "0\n1\n2\n3\n0\n1\n"]


@cache
def list_gates() -> Sequence[str]:
    return [
        "best(openvino-bf16) >= 1.2 * best(torch)",
        "top1(*) >= 0.76",
        "rate(torch, 8) / rate(onnxruntime, 8) < (1 + 2) * 3",
    ]


PARSERS = {
    "cards": Parser(lambda path: load_recipe(str(path)), lambda: [CARD]),
    "aipp": Parser(load_aipp, list_aipp),
    "labels": Parser(lambda path: read_label_file(path, IMAGES, Classes(4)), list_labels),
    "infos": Parser(read_info, lambda: ["\n".join(f"{place} {name} 36 36" for place, name in enumerate(IMAGES))]),
    "logs": Parser(lambda path: read_log(path, "auto", LogHints(batch_size=8, model="resnet50")), list_logs),
    "records": Parser(Verdict.load, list_records),
    "gates": Parser(
        lambda path: parse_inequality(path.read_text(encoding="utf-8", errors="surrogateescape")),
        list_gates,
        ValueError,
        names_file=False,
    ),
}


def mutate(text: str, rng: random.Random) -> str:
    """The text with one to four places cut, doubled, exchanged or filled with what parsers do not expect."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 1, 1, 2, 8, 60)))
        filling = rng.choice(
            (
                rng.choice(TOKENS),
                rng.choice(TOKENS),
                text[start:end] * rng.randint(2, 40),
                "",
                chr(rng.randrange(0x250)),
            )
        )
        text = text[:start] + filling + text[end:]
    return text


def find_failure(name: str, number: int, path: Path) -> str:
    """What is wrong with what comes of a mutant; nothing if it is read, or refused as it should be."""
    parser, rng = PARSERS[name], random.Random(f"{SEED}/{name}/{number}")
    path.write_text(mutate(rng.choice(parser.seeds()), rng), encoding="utf-8", errors="surrogateescape", newline="")
    try:
        parser.read(path)
    except parser.raised as error:
        said = str(error)
        if said and (not parser.names_file or path.name in said):
            return ""
        return f"mutant {SEED}/{name}/{number}: {said[:300] or 'no reason'}"
    except Exception as error:
        return f"mutant {SEED}/{name}/{number} ends in {type(error).__name__}: {error}"
    return ""


def run_mutants(name: str, count: int, folder: Path) -> None:
    path = folder / "mutant.toml"
    failures = [failure for number in range(count) if (failure := find_failure(name, number, path))]
    record_figures(13, f"mutants of {name}", count, failures, seed=SEED)


@pytest.mark.parametrize("name", PARSERS)
def test_some_mutants_end_in_an_error_of_ours_or_none(name: str, tmp_path: Path) -> None:
    run_mutants(name, QUICK, tmp_path)


@pytest.mark.battery
@pytest.mark.parametrize("name", PARSERS)
def test_mutants_end_in_an_error_of_ours_or_none(name: str, tmp_path: Path) -> None:
    run_mutants(name, ALL, tmp_path)
