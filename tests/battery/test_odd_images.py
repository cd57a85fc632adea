"""Promise 5: an image that is odd is decoded as Pillow does or refused by its name; none crashes, hangs or is lost.

Every kind of tests/odd_images.py, as a file too, and mutants of those that are decoded.
"""

import os
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from battery_figures import SEED, record_figures
from battery_server import run_cases
from odd_images import JPEG, KINDS, READ
from seatrial.data.check import check_data
from seatrial.data.classes import Classes
from seatrial.data.preprocessing.decode import decode_image, read_image
from seatrial.errors import DataError

QUICK, ALL, BATCH = 600, 20_000, 100
MOST_S = 2.0
"""Of processor time: this machine may do other things too."""
MEMORY_BYTES = 4 << 30
LARGEST_SEED = 60_000
PLANTED: dict[str, Callable[[Path], object]] = {
    "a pipe that nobody writes to": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a file that may not be read": lambda path: path.touch(0) if os.geteuid() else path.symlink_to("nothing"),
}


def find_failure(name: str, read: Callable[[], object], outcome: str) -> str:
    """What came of an image, if it is not this outcome within the time."""
    began_s = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read()
        said = READ
    except DataError as error:
        said = str(error)
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}"
    fits = said == READ if outcome == READ else outcome in said and "a.jpg" in said and "\n" not in said
    if time.process_time() - began_s > MOST_S:
        return f"{name}: {time.process_time() - began_s:.1f} s"
    return "" if fits else f"{name}: {said[:300]}"


def list_failures(folder: Path) -> Iterator[str]:
    for name, (make, outcome) in KINDS.items():
        data = make()
        yield find_failure(name, lambda data=data: decode_image(data, "a.jpg", []), outcome)  # type: ignore[misc]
    for number, (name, plant) in enumerate(PLANTED.items()):
        path = folder / str(number) / "a.jpg"
        path.parent.mkdir()
        plant(path)
        yield find_failure(name, lambda path=path: read_image(path), "cannot be read")  # type: ignore[misc]


@pytest.mark.whole
def test_every_kind_is_decoded_or_refused_by_its_name(tmp_path: Path) -> None:
    failures = [failure for failure in list_failures(tmp_path) if failure]
    record_figures(5, "kinds of odd images", len(KINDS) + len(PLANTED), failures)


@pytest.mark.whole
def test_every_refused_kind_is_counted_by_data_check(tmp_path: Path) -> None:
    refused = 0
    for number, (make, outcome) in enumerate(KINDS.values()):
        folder = tmp_path / str(number % 2)
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(make())
        refused += outcome != READ
    findings = [finding.text for finding in check_data(tmp_path, None, Classes(2))]
    counted = f"{refused} of {len(KINDS)} files cannot be decoded"
    record_figures(5, "refused kinds in `data check`", refused, [] if counted in findings else [str(findings)])


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four places cut, doubled, or filled with others."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 1, 1, 2, 4, 60, 2000)))
        filling = rng.choice(
            (
                *(bytes([rng.randrange(256)]) for _ in range(2)),
                data[start:end] * rng.randint(2, 9),
                b"",
                b"\xff" * rng.choice((1, 2, 4, 8)),
                bytes(rng.choice((1, 2, 4, 8, 64))),
                rng.randbytes(rng.choice((1, 2, 4, 64))),
            )
        )
        data = data[:start] + filling + data[end:]
    return data


def try_mutants(numbers: range) -> tuple[int, list[str]]:
    """How many of these mutants are refused, and what is wrong with others."""
    seeds = [data for make, outcome in KINDS.values() if outcome == READ and len(data := make()) < LARGEST_SEED]
    refused, failures = 0, []
    for number in numbers:
        rng = random.Random(f"{SEED}/{number}")
        data, name = mutate(rng.choice(seeds), rng), f"mutant {SEED}/{number}"
        notes: list[str] = []
        began_s = time.process_time()
        try:
            with warnings.catch_warnings(record=True) as lost:
                warnings.simplefilter("always")
                decode_image(data, "a.jpg", notes)
            failures += [f"{name}: the warning '{warning.message}' has no name" for warning in lost]
        except DataError as error:
            refused += 1
            failures += [] if "a.jpg" in str(error) else [f"{name}: {error}"]
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
        seconds = time.process_time() - began_s
        failures += [f"{name}: {seconds:.1f} s"] if seconds > MOST_S else []
    return refused, failures


def run_mutants(count: int) -> None:
    batches = [range(start, min(count, start + BATCH)) for start in range(0, count, BATCH)]
    failures, refused = [], 0
    for batch, outcome in zip(batches, run_cases(try_mutants, batches, 60 * MOST_S, MEMORY_BYTES), strict=True):
        if outcome.problem:
            failures.append(f"mutants {SEED}/{batch.start} to {batch.stop - 1}: {outcome.problem}")
            continue
        refused += outcome.value[0]
        failures += outcome.value[1]
    assert refused > count / 4, "the mutants hardly differ from the images"
    record_figures(5, "mutants of images", count, failures, seed=SEED, notes=f"{refused} refused")


def test_some_mutants_are_decoded_or_refused_by_name() -> None:
    run_mutants(QUICK)


@pytest.mark.battery
def test_mutants_are_decoded_or_refused_by_name() -> None:
    run_mutants(ALL)


@pytest.mark.battery
def test_no_flipped_bit_of_a_jpeg_hides_a_warning_of_libjpeg() -> None:
    """Every bit after the tables: simplejpeg raises what libjpeg warns of, and whatever it raises must be refused."""
    import simplejpeg

    start = JPEG.index(b"\xff\xda")
    failures, cases = [], 8 * (len(JPEG) - start)
    for bit in range(cases):
        data = bytearray(JPEG)
        data[start + bit // 8] ^= 1 << bit % 8
        try:
            simplejpeg.decode_jpeg(bytes(data), fastdct=False, fastupsample=False)
            continue
        except ValueError as error:
            warned = str(error)
        notes: list[str] = []
        try:
            pixels = np.asarray(decode_image(bytes(data), "a.jpg", notes))
        except DataError:
            continue
        failures += [] if notes else [f"bit {bit}: {warned}, and {pixels.shape} pixels without a word"]
    record_figures(5, "flipped bits of a JPEG", cases, failures)
