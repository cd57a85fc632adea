import re
from pathlib import Path

import numpy as np
import pytest

from fake_engine import FakeSession, answer
from seatrial.engines import ENGINES
from seatrial.engines.base import (
    Capabilities,
    CompileJob,
    EngineFile,
    check_batch,
    check_device,
    check_executed,
    check_options,
    check_precision,
    read_engine,
    run_padded,
)
from seatrial.engines.compile_process import compile_here
from seatrial.errors import EngineError, RefusedFile, UsageError
from seatrial.store.files import hash_file
from seatrial.store.records import EngineManifest, EngineModel, GraphManifest, TensorSpec

INPUT = TensorSpec(name="image", dtype="uint8", shape=(None, 4, 6, 3), layout="NHWC")
OUTPUT = TensorSpec(name="class", dtype="float32", shape=(None, 4), layout="NC")
GRAPH = GraphManifest(
    key="g",
    recipe={},
    checkpoint="checkpoint.safetensors",
    checkpoint_sha256="c",
    sha256="s",
    opset=17,
    exporter="none",
    simplified=True,
    fused=True,
    input=INPUT,
    output=OUTPUT,
    preprocess_hash="p",
    parity=(),
    versions={},
)


def write_folder(folder: Path, sizes: tuple[int | None, ...] = (None,), companion: str | None = None) -> EngineFile:
    folder.mkdir()
    models, companions = [], {}
    for size in sizes:
        path = folder / f"model-{size}.bin"
        path.write_bytes(b"model")
        models.append(EngineModel(path=path.name, sha256=hash_file(path), batch_size=size))
    if companion is not None:
        (folder / companion).write_bytes(b"weights")
        companions[companion] = hash_file(folder / companion)
    manifest = EngineManifest(
        key="e",
        engine="fake",
        sdk_version="1",
        device="cpu",
        precision="fp32",
        executed={},
        options={},
        files=tuple(models),
        companions=companions,
        input=INPUT,
        output=OUTPUT,
        graph=GRAPH,
    )
    manifest.save(folder / "engine.json")
    return EngineFile(folder, manifest)


@pytest.mark.parametrize(
    ("sizes", "asked", "picked"),
    [
        ((1, 4, 16), 4, 4),
        ((4, None), 4, 4),
        ((4, None), 3, None),
        ((4, None), None, None),
        ((16, 1, 4), 2, 4),
        ((16, 1, 4), 5, 16),
        ((16, 1, 4), 99, 16),
        ((16, 4), None, 4),
    ],
)
def test_the_file_for_a_batch_size(
    sizes: tuple[int | None, ...], asked: int | None, picked: int | None, tmp_path: Path
) -> None:
    file = write_folder(tmp_path / "engine", sizes)
    assert file.pick(asked) == (tmp_path / "engine" / f"model-{picked}.bin", picked)


def test_a_folder_is_read_back(tmp_path: Path) -> None:
    written = write_folder(tmp_path / "engine", (1, None), "weights.bin")
    assert read_engine(tmp_path / "engine") == written


def test_what_is_no_engine_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no engine folder \(it has no engine.json\); `seatrial compile` makes"):
        read_engine(tmp_path)


@pytest.mark.parametrize("name", ["model-1.bin", "weights.bin"])
def test_a_file_that_is_not_the_built_one_is_refused(name: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "engine", (1,), "weights.bin")
    victim = tmp_path / "engine" / name
    whole = victim.read_bytes()
    for spoiled in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"\0"):
        victim.write_bytes(spoiled)
        with pytest.raises(RefusedFile, match=rf"{name} is altered or cut off; compile it again"):
            read_engine(tmp_path / "engine")
    victim.unlink()
    with pytest.raises(RefusedFile, match=rf"{name} is missing; compile it again"):
        read_engine(tmp_path / "engine")


def draw_batch(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)


def test_padding_is_the_first_image_and_never_comes_out() -> None:
    batch = draw_batch(3)
    session = FakeSession(batch_size=5)
    np.testing.assert_array_equal(run_padded(session, batch), answer(batch))
    np.testing.assert_array_equal(session.given[0], batch[[0, 1, 2, 0, 0]])


@pytest.mark.parametrize(("fixed", "count"), [(None, 3), (3, 3)])
def test_a_batch_that_fits_is_not_padded(fixed: int | None, count: int) -> None:
    session = FakeSession(fixed)
    assert run_padded(session, draw_batch(count)).shape == (count, 4)
    assert session.given[0].shape[0] == count


def test_a_batch_that_is_too_large_is_refused() -> None:
    with pytest.raises(UsageError, match=r"takes uint8 2×4×6×3, not uint8 3×4×6×3"):
        run_padded(FakeSession(2), draw_batch(3))


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((2, 6, 4, 3), np.uint8),
        np.zeros((2, 3, 4, 6), np.uint8),
        np.zeros((4, 6, 3), np.uint8),
        np.zeros((2, 4, 6, 3), np.float32),
        np.zeros((2, 4, 6, 3), np.int8),
    ],
)
def test_a_batch_of_another_kind_is_refused(batch: np.ndarray) -> None:
    given = f"{batch.dtype} {'×'.join(map(str, batch.shape))}"
    with pytest.raises(UsageError, match=rf"^input 'image' takes uint8 N×4×6×3, not {given}; compile the engine"):
        check_batch(batch, INPUT)


def test_a_batch_of_any_size_fits_a_free_one() -> None:
    for count in (0, 1, 7):
        check_batch(np.zeros((count, 4, 6, 3), np.uint8), INPUT)


def test_an_option_that_is_not_there_lists_those_that_are() -> None:
    known = {"threads": "number of threads", "cache": "folder"}
    check_options("fake", {"cache": "/tmp"}, known)
    with pytest.raises(UsageError, match=r"fake has no option 'thread'; its options: threads \(number of threads\), c"):
        check_options("fake", {"cache": "/tmp", "thread": "3"}, known)
    with pytest.raises(UsageError, match="its options: none"):
        check_options("fake", {"thread": "3"}, {})


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "fake", "fake_engine:FakeEngine")


HERE = Capabilities("fake", "1.2", devices=("cpu", "npu:0"), precisions=("fp32", "bf16"))
ABSENT = Capabilities("fake", None, missing="fake is not installed", install_hint="pip install fake")


@pytest.mark.parametrize(
    ("has", "device", "precision", "told"),
    [
        (ABSENT, "cpu", "fp32", "engine 'fake' cannot be used: fake is not installed; pip install fake"),
        (HERE, "npu:1", "fp32", "fake has no device 'npu:1' here; take --device cpu or npu:0"),
        (HERE, "npu:0", "int8", "fake on this machine cannot run int8; take --precision fp32 or bf16"),
    ],
)
def test_what_an_engine_does_not_have_lists_what_it_has(
    has: Capabilities, device: str, precision: str, told: str, tmp_path: Path
) -> None:
    job = CompileJob(tmp_path / "model.onnx", GRAPH, tmp_path, precision=precision, device=device, capabilities=has)
    with pytest.raises(EngineError, match=f"^{re.escape(told)}$"):
        compile_here("fake", job)


def test_what_an_engine_has_is_available() -> None:
    check_device("npu:0", HERE)
    check_precision("bf16", HERE)


@pytest.mark.parametrize(
    ("precision", "executed"),
    [
        ("fp32", {"fp32": 53}),
        ("fp16", {"fp16": 52, "fp32": 1}),
        ("int8", {"int8": 20, "fp32": 20}),
        ("int8", {"int8": 103, "fp32": 68}),
        ("tf32", {"tf32": 20, "fp32": 1}),
        ("fp32", {"fp32": 53, "int4": 1, "unknown": 2}),
        ("fp32", {}),
    ],
)
def test_half_of_the_layers_in_what_was_asked_are_enough(precision: str, executed: dict[str, int]) -> None:
    check_executed("fake", precision, executed)


@pytest.mark.parametrize(
    ("precision", "executed", "words"),
    [
        ("fp16", {"fp32": 53}, "fake was requested in fp16 and computes 53 layers in fp32; this device may lack it"),
        ("fp16", {"fp16": 1, "fp32": 52}, "requested in fp16 and computes 1 layers in fp16, 52 layers in fp32"),
        ("int8", {"fp16": 53}, "requested in int8 and computes 53 layers in fp16; this device may lack it"),
        ("int8", {"int8": 12, "fp32": 38}, "computes 38 layers in fp32, 12 layers in int8; take another engine"),
        ("tf32", {"fp32": 53}, "requested in tf32 and computes 53 layers in fp32"),
        ("fp32", {"unknown": 2, "fp32": 1}, "requested in fp32 and computes 1 layers in fp32, 2 layers in unknown"),
    ],
)
def test_less_than_half_is_refused_in_every_precision(precision: str, executed: dict[str, int], words: str) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        check_executed("fake", precision, executed)
    assert caught.value.exit_code == 5


def test_a_share_of_all_layers_may_be_asked_for() -> None:
    check_executed("fake", "fp32", {"fp32": 53}, least=1)
    with pytest.raises(EngineError, match="requested in fp32 and computes 52 layers in fp32, 1 layers in tf32"):
        check_executed("fake", "fp32", {"fp32": 52, "tf32": 1}, least=1)
