"""JPEGs with one flipped bit, cut short or filled with zeros: who notices, beside djpeg's own warnings.

    python benchmarks/jpeg_damage.py [--flips 3000] [--write tests/golden/damage/flips.json]

Needs djpeg (Debian: libjpeg-turbo-progs). It is asked twice: as it reads files, 4096 bytes at a time, and with
`-memsrc`, the whole file at once as we do. libjpeg-turbo's fast loop, which it leaves where a buffer ends, passes
over a code that is in no Huffman table without a word, and bytes in the bit buffer are not counted as left over: so
djpeg warns of a few files only because its buffer happened to end there.
"""

import argparse
import io
import json
import random
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from seatrial.data.preprocessing.decode import decode_array
from seatrial.errors import DataError

GOLDEN = Path("tests/golden/preprocess/images")
BASELINE, CMYK, PNG, PROGRESSIVE = (f"ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 5, 6, 7))
RESTARTS = "with restart markers"
SEED = 14
STORED = 100
"""Flips of each golden file that a test holds us to."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one file."""

    changed: bool
    """Pillow gives other pixels than of the sound file, or none."""
    pillow: bool
    """Raises."""
    djpeg: bool
    """Fails or warns."""
    djpeg_memory: bool
    ours: bool
    """Raises."""


def attempt(decode: Callable[[bytes], NDArray[np.uint8]], data: bytes) -> NDArray[np.uint8] | None:
    try:
        return decode(data)
    except (DataError, OSError, SyntaxError, ValueError):
        return None


def decode_with_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def decode_with_ours(data: bytes) -> NDArray[np.uint8]:
    return decode_array(data, "x")


def ask_djpeg(data: bytes, *options: str) -> bool:
    asked = ["djpeg", *options, "-outfile", "/dev/null"]
    return subprocess.run(asked, input=data, capture_output=True, check=False).returncode != 0


def judge(data: bytes, sound: NDArray[np.uint8]) -> Verdict:
    pixels = attempt(decode_with_pillow, data)
    changed = pixels is None or not np.array_equal(pixels, sound)
    ours = attempt(decode_with_ours, data) is None
    return Verdict(changed, pixels is None, ask_djpeg(data), ask_djpeg(data, "-memsrc"), ours)


def flip(data: bytes, bit: int) -> bytes:
    spoiled = bytearray(data)
    spoiled[bit >> 3] ^= 1 << (bit & 7)
    return bytes(spoiled)


def cut(data: bytes) -> list[bytes]:
    """Cut to a tenth and more, with and without zeros up to the old length, with and without an end marker."""
    found = []
    for part in np.linspace(0.1, 0.99, 45):
        kept = data[: int(part * len(data))]
        for end in (b"", b"\xff\xd9"):
            found += [kept + end, kept + bytes(len(data) - len(kept) - len(end)) + end]
    return found


def show(name: str, verdicts: list[Verdict]) -> None:
    changed = [v for v in verdicts if v.changed]
    warned, warned_memory = [v for v in changed if v.djpeg], [v for v in changed if v.djpeg_memory]
    columns = [
        len(verdicts),
        len(changed),
        sum(v.pillow for v in changed),
        len(warned),
        len(warned_memory),
        sum(v.ours for v in changed),
        sum(not v.ours for v in warned),
        sum(not v.ours for v in warned_memory),
        sum(v.ours and not v.djpeg_memory for v in verdicts),
    ]
    print(f"{name:<34}" + "".join(f"{value:>10,}" for value in columns), flush=True)


def time_in_turn(data: bytes, rounds: int = 100) -> tuple[float, float]:
    """Milliseconds of Pillow and of ours, the lowest of alternate decodes: others use this machine too."""
    times: dict[Callable[[bytes], NDArray[np.uint8]], list[float]] = {decode_with_pillow: [], decode_with_ours: []}
    for _ in range(rounds):
        for decode, found in times.items():
            start = time.perf_counter()
            decode(data)
            found.append(1000 * (time.perf_counter() - start))
    pillow, ours = (min(found) for found in times.values())
    return pillow, ours


def make_files() -> dict[str, bytes]:
    files = {name: (GOLDEN / name).read_bytes() for name in (BASELINE, PROGRESSIVE, CMYK)}
    stream = io.BytesIO()
    with Image.open(GOLDEN / BASELINE) as image:
        image.save(stream, "JPEG", quality=90, restart_marker_rows=2)
    return {**files, RESTARTS: stream.getvalue()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=3000, help="of the baseline file; of the others a third")
    parser.add_argument("--write", type=Path, help="where the first flips and their verdicts are stored for the test")
    asked = parser.parse_args()
    version = subprocess.run(["djpeg", "-version"], capture_output=True, text=True, check=True).stderr.splitlines()[0]
    print(f"djpeg of {version}, Pillow {PIL.__version__}; each row is of one sound file with one fault at a time")
    heads = ["faults", "changed", "Pillow", "djpeg", "-memsrc", "ours", "missed", "missed m", "alone"]
    print(f"{'':<34}" + "".join(f"{head:>10}" for head in heads))
    stored = {}
    for name, data in make_files().items():
        sound = decode_with_pillow(data)
        bits = random.Random(SEED).sample(range(8 * len(data)), asked.flips if name == BASELINE else asked.flips // 3)
        with ThreadPoolExecutor(2) as pool:
            flipped = list(pool.map(lambda bit: judge(flip(data, bit), sound), bits))  # noqa: B023
            shortened = list(pool.map(lambda short: judge(short, sound), cut(data)))  # noqa: B023
        show(f"{name}: a flipped bit", flipped)
        show(f"{name}: cut", shortened)
        if name != RESTARTS:
            found = zip(bits[:STORED], flipped, strict=False)
            stored[name] = [[bit, int(v.changed), int(v.djpeg_memory)] for bit, v in found]
    print("changed: Pillow gives other pixels, or none; of these Pillow, djpeg, djpeg -memsrc and ours refuse or warn")
    print(
        "missed, missed m: djpeg, djpeg -memsrc refuses or warns and we do not; alone: we refuse and -memsrc does not"
    )
    for name in (BASELINE, PROGRESSIVE, CMYK, PNG):
        pillow, ours = time_in_turn((GOLDEN / name).read_bytes())
        print(f"decoding {name}: Pillow {pillow:.2f} ms, ours {ours:.2f} ms ({ours / pillow:.2f})", flush=True)
    if asked.write is not None:
        asked.write.parent.mkdir(parents=True, exist_ok=True)
        asked.write.write_text(json.dumps(stored, separators=(",", ":")).replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main()
