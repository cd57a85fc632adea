"""Every file that may be another's is opened by `foreign.files`: nothing else reads one by a method of its own."""

import re
from pathlib import Path

import seatrial

ROOT = Path(seatrial.__file__).parent
READS = re.compile(
    r"\.read_(?:bytes|text)\(|\.open\(\"r?b?\"?\)|(?<![\w.])(?<!def )open\(|json\.loads?\(|tomllib\.loads?\("
)
OWN = {
    "foreign/": "the guard itself",
    "workflow/bundle/": "runs without seatrial",
    "machine/": "files of the system, and what our own processes write",
    "cluster/": "what our own processes write",
    "engines/": "files whose hashes are checked before, and what SDKs answer",
    "report/": "files of the package",
    "ui/": "files of the package",
    "testing/": "what the contract's checks just made",
    "models/sources/timm.py": "a file of the package",
    "diagnosis/app/write_kit.py": "files of the package",
    "recipes/class_names.py": "a file of the package",
    "recipes/toml_lines.py": "lines of what was parsed as a whole before",
    "models/sources/library.py": "its own cache",
    "models/build.py": "a text that it wrote",
    "store/record.py": "a text that it wrote",
    "data/demo.py": "its own stamp",
    "bench/worker.py": "a file of the system",
    "bench/loadgen/worker.py": "what LoadGen wrote in the same process",
    "workflow/run_many.py": "the log that it just wrote",
    "evaluation/": "entries of a ledger, each with its checksum",
    "train/tracking/": "lines that a training wrote, in files that it opened",
    "bench/follow.py": "what a sweep wrote under its lock",
}
"""Files, or folders of them, that read what is not another's, and why."""


def find_reads(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if READS.search(line) and not line.strip().startswith(("#", '"""'))]


def test_no_reader_goes_round_the_guard() -> None:
    found = {
        str(path.relative_to(ROOT)): reads
        for path in ROOT.rglob("*.py")
        if not str(path.relative_to(ROOT)).startswith(tuple(OWN)) and (reads := find_reads(path))
    }
    assert found == {}
