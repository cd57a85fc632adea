"""Promise 4: a hostile ONNX file reads nothing outside its folder, and ends no process but the one it is tried in.

Tricks with the paths of external data, the graphs of tests/hostile_graphs.py, and mutants of small sound files.
"""

import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from battery_figures import SEED, record_figures
from battery_server import run_cases
from hostile_graphs import CLASSES, KINDS, SIZE, write_hostile
from onnx_graphs import write_linear
from seatrial.errors import SeatrialError
from seatrial.models.onnx_file import check_classifier, check_inference, hash_onnx, load_graph, read_facts
from seatrial.store.records import TensorSpec
from seatrial.workflow import try_graph as trial
from seatrial.workflow.try_graph import GraphTrial, try_graph

QUICK, ALL, BATCH = 60, 2000, 20
MEMORY_BYTES = 6 << 30
SECRET = np.full((3, CLASSES), 12345.0, dtype=np.float32)
PIXELS = TensorSpec(name="pixels", dtype="float32", shape=(None, 3, SIZE, SIZE), layout="NCHW")
SCORES = TensorSpec(name="scores", dtype="float32", shape=(None, CLASSES), layout="NC")
Plant = Callable[[Path, Path], str]
"""Takes the graph's folder and the secret file, and gives the location that the graph names."""


def link(name: str, target: Callable[[Path, Path], Path | str]) -> Plant:
    """A link of this name in the folder."""

    def plant(folder: Path, secret: Path) -> str:
        (folder / name).symlink_to(target(folder, secret))
        return name

    return plant


def link_folder(name: str, inner: str) -> Plant:
    """A link of this name to the secret's folder, and what is below it."""

    def plant(folder: Path, secret: Path) -> str:
        (folder / name).symlink_to(secret.parent)
        return inner.replace("SECRET", secret.name)

    return plant


def make(name: str, create: Callable[[Path], object]) -> Plant:
    """Something that is no file, under this name."""

    def plant(folder: Path, secret: Path) -> str:
        create(folder / name)
        return name

    return plant


def name(text: str) -> Plant:
    """A location alone; OUT is the secret's folder, SECRET its name, ABSOLUTE its path."""
    return lambda folder, secret: (
        text.replace("ABSOLUTE", str(secret)).replace("OUT", secret.parent.name).replace("SECRET", secret.name)
    )


NAMES = (
    *("ABSOLUTE", "/ABSOLUTE", "file://ABSOLUTE", "file:ABSOLUTE", "../OUT/SECRET", "./../OUT/SECRET"),
    *("..//OUT//SECRET", "../OUT/./SECRET", "a/b/../../../OUT/SECRET", ".//..//OUT/SECRET", "../OUT/SECRET/"),
    *("..\\OUT\\SECRET", "a\\..\\..\\OUT\\SECRET", "C:\\SECRET", "\\\\host\\share\\SECRET", "..\\/OUT/SECRET"),
    *("%2e%2e/OUT/SECRET", "..%2fOUT%2fSECRET", "..%c0%afOUT/SECRET", "~/SECRET", "$HOME/SECRET", "C:SECRET"),
    *("../OUT/SECRET\0.bin", "data\0/../../OUT/SECRET", "\0", "..", ".", "/", "//", "../", "...", ".../SECRET"),
    *("/dev/zero", "/dev/stdin", "/dev/fd/0", "/proc/self/environ", "/proc/self/mem", "/etc/passwd", "a/.."),
    *("/proc/self/root/etc/passwd", "/proc/self/cwd/../OUT/SECRET", "http://127.0.0.1:9/SECRET", "ftp://x/y"),
    *("\\\\?\\C:\\SECRET", "nul", "con", "aux:", "data:;base64,AAAA", "a" * 300, "a/" * 3000 + "x", " ../OUT/SECRET"),
    *("\u2025/OUT/SECRET", "\uff0e\uff0e/OUT/SECRET", "../OUT/SECRET?x", "../OUT/SECRET#x", "../OUT/*"),
    *("`cat ABSOLUTE`", "|cat ABSOLUTE", "*", "a/../../OUT/SECRET", "${PWD}/../OUT/SECRET", "https://127.0.0.1:9/x"),
)  # fmt: skip
PLANTED: dict[str, Plant] = {
    **{f"name {text[:30]!r}": name(text) for text in NAMES},
    "a link to the file": link("data.bin", lambda folder, secret: secret),
    "a relative link to the file": link("data.bin", lambda folder, secret: f"../{secret.parent.name}/{secret.name}"),
    "a link to a link": lambda folder, secret: (
        (folder / "one").symlink_to(secret),
        link("data.bin", lambda *_: "one")(folder, secret),
    )[1],
    "a link to a device": link("data.bin", lambda *_: "/dev/zero"),
    "a link to itself": link("data.bin", lambda *_: "data.bin"),
    "a link to nothing": link("data.bin", lambda *_: "nothing"),
    "a link to a process's memory": link("data.bin", lambda *_: "/proc/self/mem"),
    "a folder that is a link": link_folder("inner", "inner/SECRET"),
    "a folder that is a link, and back": link_folder("inner", "inner/./SECRET"),
    "a pipe": make("data.bin", lambda path: os.mkfifo(path)),
    "a folder": make("data.bin", lambda path: path.mkdir()),
    "no such file": name("data.bin"),
}


def write_outside(folder: Path, location: str, length: int = SECRET.nbytes, offset: int = 0) -> Path:
    """A linear classifier whose weights are said to be at a location."""
    path = write_linear(folder / "model.onnx", shape=("batch", 3, SIZE, SIZE))
    model = onnx.load(path)
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return path


def try_path(case: tuple[str, Path]) -> str:
    """What is wrong with what comes of a path; nothing if it is refused, and the secret was not opened."""
    key, folder = case
    secret = folder / "outside" / "secret.bin"
    (folder / "graph").mkdir(parents=True)
    secret.parent.mkdir()
    secret.write_bytes(SECRET.tobytes() * 2)
    path = write_outside(folder / "graph", PLANTED[key](folder / "graph", secret))
    opened: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.fsdecode(arguments[0])
            opened.extend(["opens the secret"] if os.path.realpath(path) == str(secret.resolve()) else [])

    sys.addaudithook(note)
    said = []
    for read in (load_graph, hash_onnx):
        try:
            found = read(path)
        except SeatrialError as error:
            said += [] if path.name in str(error) and "\n" not in str(error) else [f"says {str(error)[:200]!r}"]
            continue
        given = (
            isinstance(found, onnx.ModelProto) and (numpy_helper.to_array(found.graph.initializer[0]) == SECRET).all()
        )
        said.append(f"{read.__name__} reads {'the secret' if given else 'it'}")
    return "; ".join([*said, *opened[:1]])


def check_paths(keys: list[str], folder: Path) -> None:
    cases = [(key, folder / str(number)) for number, key in enumerate(keys)]
    outcomes = run_cases(try_path, cases, 20, MEMORY_BYTES)
    pairs = [(key, outcome.problem or outcome.value) for key, outcome in zip(keys, outcomes, strict=True)]
    record_figures(4, "paths of external data", len(keys), [f"{key}: {what}" for key, what in pairs if what], seed=SEED)


def test_some_paths_lead_nowhere(tmp_path: Path) -> None:
    check_paths(random.Random(SEED).sample(sorted(PLANTED), 8), tmp_path)


@pytest.mark.battery
def test_no_path_of_external_data_leads_out_of_the_folder(tmp_path: Path) -> None:
    check_paths(list(PLANTED), tmp_path)


def try_kind(case: tuple[str, Path]) -> str:
    """Whether a hostile graph is refused, or tried without harm, in a process that goes on."""
    kind, path = case
    trial.LIMITS = replace(trial.LIMITS, processor_s=5, memory_bytes=1 << 30)
    os.environ["XDG_CACHE_HOME"] = str(path.parent / "cache")
    write_hostile(path, kind)
    try:
        model = load_graph(path)
        facts = read_facts(model)
        check_classifier(facts)
        check_inference(model, path.name)
        try_graph(GraphTrial(graph=path, input=PIXELS, output=SCORES), kind)
    except SeatrialError as error:
        return "" if "\n" not in str(error) else f"says {error}"
    return "" if kind in HARMLESS else "is taken"


HARMLESS = ("chain", "not a number")
"""They are slow, or wrong, and a run's gates and time limits judge them."""


@pytest.mark.battery
def test_hostile_graphs_end_only_the_process_that_tries_them(tmp_path: Path) -> None:
    cases = [(kind, tmp_path / f"{number}" / "model.onnx") for number, kind in enumerate(KINDS)]
    for _, path in cases:
        path.parent.mkdir()
    outcomes = run_cases(try_kind, cases, 120, MEMORY_BYTES)
    pairs = [(kind, outcome.problem or outcome.value) for kind, outcome in zip(KINDS, outcomes, strict=True)]
    record_figures(4, "hostile graphs", len(KINDS), [f"{kind}: {what}" for kind, what in pairs if what])


def make_seeds() -> list[bytes]:
    """Small sound graphs: of a few operators, with an inner graph, with weights as text and as bytes."""
    weights = numpy_helper.from_array(np.arange(9, dtype=np.float32).reshape(3, CLASSES) - 4, "weights")
    image = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])
    mean = helper.make_node("ReduceMean", ["pixels"], ["means"], axes=[2, 3], keepdims=0)
    plain = [mean, helper.make_node("MatMul", ["means", "weights"], ["scores"])]
    branch = helper.make_graph(
        [helper.make_node("MatMul", ["means", "weights"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    inner = [mean, helper.make_node("If", ["true"], ["scores"], then_branch=branch, else_branch=branch)]
    true = numpy_helper.from_array(np.array(True), "true")
    kernel = numpy_helper.from_array(np.ones((3, 3, 3, 3), dtype=np.float32), "kernel")
    deep = [
        helper.make_node("Conv", ["pixels", "kernel"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["a", "one", "one", "one", "one"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["means"]),
        helper.make_node("Gemm", ["means", "weights"], ["scores"]),
    ]
    one = numpy_helper.from_array(np.ones(3, dtype=np.float32), "one")
    graphs = [
        helper.make_graph(plain, "plain", [image], [scores], [weights]),
        helper.make_graph(inner, "inner", [image], [scores], [weights, true]),
        helper.make_graph(deep, "deep", [image], [scores], [weights, kernel, one]),
    ]
    models = [helper.make_model(g, opset_imports=[helper.make_opsetid("", 17)], ir_version=8) for g in graphs]
    return [model.SerializeToString() for model in models]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to three places cut, doubled or filled with others."""
    for _ in range(rng.randint(1, 3)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 1, 1, 2, 4, 30)))
        filling = rng.choice(
            (bytes([rng.randrange(256)]), data[start:end] * 2, b"", b"\xff" * 5, b"\0", rng.randbytes(3))
        )
        data = data[:start] + filling + data[end:]
    return data


def try_mutants(case: tuple[range, Path]) -> tuple[int, list[str]]:
    """How many mutants are refused, and what is wrong with others: every step before and while a graph is tried."""
    numbers, folder = case
    folder.mkdir(parents=True)
    seeds, path = make_seeds(), folder / "model.onnx"
    refused, failures = 0, []
    for number in numbers:
        rng = random.Random(f"{SEED}/{number}")
        path.write_bytes(mutate(rng.choice(seeds), rng))
        try:
            model = load_graph(path)
            facts = read_facts(model)
            check_classifier(facts)
            check_inference(model, path.name)
            hash_onnx(path)
        except SeatrialError as error:
            refused += 1
            failures += [] if str(error).count("\n") == 0 else [f"mutant {SEED}/{number}: {error}"]
        except Exception as error:
            failures.append(f"mutant {SEED}/{number}: {type(error).__name__}: {str(error)[:200]}")
    return refused, failures


def run_mutants(count: int, folder: Path) -> None:
    batches = [range(start, min(count, start + BATCH)) for start in range(0, count, BATCH)]
    cases = [(batch, folder / str(batch.start)) for batch in batches]
    failures, refused = [], 0
    for batch, outcome in zip(batches, run_cases(try_mutants, cases, 60, MEMORY_BYTES), strict=True):
        if outcome.problem:
            failures.append(f"mutants {SEED}/{batch.start} to {batch.stop - 1}: {outcome.problem}")
            continue
        refused += outcome.value[0]
        failures += outcome.value[1]
    assert refused > count / 4, "the mutants hardly differ from the graphs"
    record_figures(4, "mutants of graphs", count, failures, seed=SEED, notes=f"{refused} refused")


def test_some_mutants_are_read_or_refused(tmp_path: Path) -> None:
    run_mutants(QUICK, tmp_path)


@pytest.mark.battery
def test_mutants_are_read_or_refused(tmp_path: Path) -> None:
    run_mutants(ALL, tmp_path)
