"""How many small faults in the source do the tests notice?

    python benchmarks/mutate.py --choose 60 --seed 3 [--tree TREE]
    python benchmarks/mutate.py --json RESULTS.json [--tree TREE] [--limit 120] [--jobs 1] [--until 17:55]
    python benchmarks/mutate.py --table BEFORE.json [AFTER.json …]

The first chooses places in src/seatrial and stores them in mutations.json. The second makes one change at a time in a
copy of TREE and runs the tests that import the changed module, near ones first, until one fails or the limit of
processor seconds is reached. A test that fails without the change too does not count. Results that RESULTS.json has
already are kept. The third prints scores and what survived. A change that alters nothing that anybody can see is marked
by hand, with a sentence in `equivalent`, and leaves the score.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from mutation_places import Place, Site, choose_places, find_place, list_package, make_change

ROOT = Path(__file__).parents[1]
SERVER = Path(__file__).with_name("mutation_server.py")
PLACES = Path(__file__).with_name("mutations.json")
FRAMEWORKS = (
    "torch",
    "torchvision",
    "timm",
    "onnx",
    "onnxruntime",
    "scipy.stats",
    "pyarrow.parquet",
    "altair",
    "pytest",
)
"""Imported once, before the tests run."""
UNUSABLE, CONFTEST = 4, "tests/conftest.py"
"""pytest's exit code when conftest.py cannot be imported, and what has then failed."""
KILLED, SURVIVED, TIMEOUT, MISSING = "killed", "survived", "timeout", "not found"
QUICK_S = 10
"""A test that takes no longer than this unchanged, and ten times as long changed, hangs."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one change."""

    place: Place
    outcome: str
    test: str = ""
    """The one that failed."""
    seconds: float = 0.0
    """Of the processor."""
    equivalent: str = ""
    """Why no test can fail."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of pytest."""

    passed: bool
    failed: str
    """The test, or the file that cannot be imported."""
    unfinished: str
    """The test that ran when the limit was reached."""
    seconds: float


@dataclass(slots=True)
class Copy:
    """A tree that may be changed."""

    root: Path
    server: subprocess.Popen[str]
    """Runs pytest in it."""
    sites: list[Site]
    """Every place at which it can be changed."""
    sound: dict[str, bool] = field(default_factory=dict)
    """Whether a test passes unchanged."""

    @property
    def package(self) -> Path:
        """The folder of the source."""
        return self.root / "src" / "seatrial"

    @contextmanager
    def changed(self, module: str, source: str) -> Iterator[None]:
        """Another source for one module, inside the block."""
        path = self.package / module
        original = path.read_text()
        self._write(path, source)
        try:
            yield
        finally:
            self._write(path, original)

    def _write(self, path: Path, source: str) -> None:
        """Bytecode is known by size and second, which may be the same for both."""
        path.write_text(source)
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()

    def run_tests(self, tests: list[str], limit_s: float, skipped: list[str] | None = None) -> Run:
        """Run them up to the first failure or the limit."""
        log = self.root / "pytest.log"
        words = ["-x", "-v", "--tb=no", "-p", "no:cacheprovider", f"--basetemp={self.root / 'tmp'}", *tests]
        words += [f"--deselect={test}" for test in skipped or []]
        request = {"words": words, "seconds": max(1, int(limit_s)), "log": str(log)}
        assert self.server.stdin is not None and self.server.stdout is not None
        print(json.dumps(request), file=self.server.stdin, flush=True)
        reply = json.loads(self.server.stdout.readline())
        return read_log(log.read_text(errors="replace"), reply["code"], reply["seconds"])

    def passes(self, test: str) -> bool:
        """Whether a test passes without a change, tried once."""
        if test not in self.sound:
            self.sound[test] = self.run_tests([test], 60).passed
        return self.sound[test]


def read_log(log: str, code: int, seconds: float) -> Run:
    """What pytest's lines say; codes below 0 are those of a process that was killed."""
    failures = re.findall(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", log, re.MULTILINE)
    if code in (0, 5):
        return Run(True, "", "", seconds)
    if failures or code > 0:
        if not failures and code != UNUSABLE:
            raise RuntimeError(f"pytest ended with {code}: {log[-2000:]}")
        return Run(False, failures[0] if failures else CONFTEST, "", seconds)
    running = re.findall(r"^(tests/[^\n]*?::[^\n]*?) ?$", log, re.MULTILINE)
    return Run(False, "", running[-1] if running else "", seconds)


def read_imports(path: Path, name: str, known: set[str]) -> set[str]:
    """The modules of the package, and of the tests' own, that a file imports anywhere in it.

    One that imports by name, from a table, may import any module beside it.
    """
    text = path.read_text()
    names: set[str] = set()
    if "import_module(" in text and name.startswith("seatrial."):
        folder = name if path.stem == "__init__" else name.rpartition(".")[0]
        names = {other for other in known if other.rpartition(".")[0] == folder}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in known else node.module for name in whole}
    return names & known


@cache
def read_files(root: Path) -> tuple[dict[str, Path], dict[str, set[str]]]:
    """The files of source and tests, and what they import, by dotted name."""
    files = {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
        for folder in (root / "src", root / "tests")
        for path in sorted(folder.rglob("*.py"))
    }
    known = set(files)
    return files, {name: read_imports(path, name, known) for name, path in files.items()}


def rank_tests(root: Path, place: Place) -> list[list[str]]:
    """The test files that import the module, or in its package one that imports it; then those that reach it."""
    files, imports = read_files(root)
    target = ".".join(["seatrial", *Path(place.module).with_suffix("").parts]).removesuffix(".__init__")
    distances, ring = {target: 0}, {target}
    while ring:
        ring = {name for name in set(files) - set(distances) if imports[name] & ring}
        distances |= dict.fromkeys(ring, max(distances.values()) + 1)
    tests = [name for name in distances if name.rpartition(".")[2].startswith("test_")]
    tests.sort(key=lambda name: (min(distances[name], 3), *_measure_distance(files[name], place)))
    paths = {name: str(files[name].relative_to(root)) for name in tests}
    near = {name for name in tests if distances[name] <= 1 + (files[name].parent.name == Path(place.module).parts[0])}
    return [[paths[name] for name in tests if name in near], [paths[name] for name in tests if name not in near]]


def _measure_distance(path: Path, place: Place) -> tuple[bool, bool, bool, bool, int]:
    """Less is nearer: a file named after the module, one that names the function, one of its package, a unit test."""
    text, module = path.read_text(), Path(place.module)
    mirrored = re.search(rf"(^|_){module.stem}(_|$)", path.stem) is not None
    named = place.function.rpartition(".")[2] in text
    related = path.parent.name == module.parts[0]
    return not (mirrored and related), not named, not related, "unit" not in path.parts, len(text)


def try_change(copy: Copy, place: Place, limit_s: float) -> Result:
    """Make the change and run tests until one fails that passes without it."""
    match = find_place(place, copy.sites)
    if match is None:
        return Result(place, MISSING)
    source = make_change((copy.package / match.module).read_text(), match)
    skipped: list[str] = []
    left_s = limit_s
    rings = [ring for ring in rank_tests(copy.root, match) if ring]
    while rings and left_s > 0:
        with copy.changed(match.module, source):
            run = copy.run_tests(rings[0], left_s, skipped)
        left_s -= run.seconds
        if not run.passed and not run.failed:
            outcome = TIMEOUT if run.unfinished and hangs(copy, match.module, source, run.unfinished) else SURVIVED
            return Result(place, outcome, run.unfinished if outcome == TIMEOUT else "", round(limit_s - left_s, 1))
        if not run.passed and copy.passes(run.failed):
            return Result(place, KILLED, run.failed, round(limit_s - left_s, 1))
        if run.passed:
            rings = rings[1:]
        elif "::" in run.failed:
            skipped.append(run.failed)
        else:
            rings[0] = [path for path in rings[0] if path != run.failed]
    return Result(place, SURVIVED, "", round(limit_s - left_s, 1))


def hangs(copy: Copy, module: str, source: str, test: str) -> bool:
    """Whether a test that is quick without the change does not end with it."""
    run = copy.run_tests([test], 6 * QUICK_S)
    if not run.passed or run.seconds > QUICK_S:
        return False
    with copy.changed(module, source):
        return not copy.run_tests([test], 10 * QUICK_S).passed


def load_places(path: Path) -> list[Place]:
    """The places of a list."""
    return [Place(**place) for place in json.loads(path.read_text())]


def load_results(path: Path) -> list[Result]:
    """The results of a file; none if there is no file."""
    if not path.exists():
        return []
    return [Result(**{**result, "place": Place(**result["place"])}) for result in json.loads(path.read_text())]


@contextmanager
def copy_tree(tree: Path) -> Iterator[Copy]:
    """A copy of a tree with a process that runs its tests."""
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        root = Path(folder).resolve()
        ignored = shutil.ignore_patterns(".*", "__pycache__")
        shutil.copytree(tree, root, ignore=ignored, dirs_exist_ok=True, symlinks=True)
        environment = {**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "500", "OMP_NUM_THREADS": "1"}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they may be imported already, of which pytest warns
        pipe = subprocess.PIPE
        command = [sys.executable, str(SERVER), *FRAMEWORKS]
        with subprocess.Popen(command, cwd=root, env=environment, stdin=pipe, stdout=pipe, text=True) as server:
            yield Copy(root, server, list_package(root / "src" / "seatrial"))


def try_places(tree: Path, places: list[Place], limit_s: float, until: str) -> Iterator[Result]:
    """Try each in a copy of the tree, as long as there is time."""
    with copy_tree(tree) as copy:
        for place in places:
            if until and f"{datetime.now():%H:%M}" >= until:
                return
            yield try_change(copy, place, limit_s)


def _try_share(tree: Path, limit_s: float, until: str, places: list[Place]) -> list[Result]:
    return list(try_places(tree, places, limit_s, until))


def run_places(arguments: argparse.Namespace) -> int:
    """Try the places that have no result yet; 1 if a change survived."""
    results = load_results(arguments.json)
    if arguments.again:
        results = [result for result in results if result.outcome != SURVIVED or result.equivalent]
    done = {result.place for result in results}
    left = [place for place in load_places(arguments.places) if place not in done]
    tree = arguments.tree.resolve()
    shares = [left[k :: arguments.jobs] for k in range(arguments.jobs)]
    if arguments.jobs == 1:
        new = try_places(tree, left, arguments.limit, arguments.until)
    else:
        pool = ProcessPoolExecutor(arguments.jobs)
        work = partial(_try_share, tree, arguments.limit, arguments.until)
        new = (result for share in pool.map(work, shares) for result in share)
    began = time.perf_counter()
    for result in new:
        results.append(result)
        arguments.json.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
        print(f"{time.perf_counter() - began:5.0f} s  {describe(result)}", flush=True)
    print_score(arguments.json.stem, results)
    return 1 if any(result.outcome == SURVIVED and not result.equivalent for result in results) else 0


def describe(result: Result) -> str:
    """One line."""
    place = result.place
    reason = result.test or result.equivalent
    return f"{result.outcome:<10}{place.module} {place.function}: {place.change} in `{place.text}` {reason}".rstrip()


def print_score(name: str, results: list[Result]) -> None:
    """How many of those that could be found, and change something, were noticed."""
    counted = [result for result in results if result.outcome != MISSING and not result.equivalent]
    noticed = sum(result.outcome in (KILLED, TIMEOUT) for result in counted)
    equivalent = sum(bool(result.equivalent) for result in results)
    missing = sum(result.outcome == MISSING for result in results)
    print(f"{name}: {noticed} of {len(counted)} changes noticed, {equivalent} equivalent, {missing} not found")


def print_results(paths: list[Path]) -> int:
    """What survived in each file, and the scores."""
    for path in paths:
        results = load_results(path)
        for result in results:
            if result.outcome not in (KILLED, TIMEOUT):
                print(describe(result))
        print_score(path.stem, results)
    return 0


def main(words: list[str] | None = None) -> int:
    """Choose places, try them or print results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", type=int, metavar="COUNT", help="places to choose")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--places", type=Path, default=PLACES, help="the list of places")
    parser.add_argument("--tree", type=Path, default=ROOT, help="folder with src and tests; it is copied")
    parser.add_argument("--json", type=Path, default=Path("mutations-after.json"), help="results")
    parser.add_argument("--limit", type=float, default=120, help="processor seconds for each place")
    parser.add_argument("--again", action="store_true", help="also try those that have survived")
    parser.add_argument("--jobs", type=int, default=1, help="copies of the tree in use at a time")
    parser.add_argument("--until", default="", help="HH:MM at which no further place is tried")
    parser.add_argument("--table", type=Path, nargs="+", metavar="RESULTS")
    arguments = parser.parse_args(words)
    if arguments.table:
        return print_results(arguments.table)
    if arguments.choose is None:
        return run_places(arguments)
    places = choose_places(arguments.tree / "src" / "seatrial", arguments.choose, arguments.seed)
    arguments.places.write_text(json.dumps([asdict(place) for place in places], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
