"""When `compile` says that int8 is slower, with times that are given."""

from dataclasses import replace
from pathlib import Path

import pytest

from seatrial.bench.pair import PairJob, PairTimes, run_pair
from seatrial.engines.base import Capabilities, EngineFile, GraphFile
from seatrial.engines.engine_folder import BuildSpec, read_graph
from seatrial.errors import StorageError
from seatrial.metrics.rate import BLOCKS
from seatrial.progress import Update
from seatrial.store.files import manifest_path
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.int8_speed import check_int8_speed, find_float, find_float_graph
from uneven_network import make_network, write_graph

SPEC = BuildSpec("onnxruntime", batch_sizes=(4,))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> GraphFile:
    path = write_graph(tmp_path_factory.mktemp("graphs") / "model.onnx", make_network(uneven=1))
    return read_graph(path)


@pytest.fixture(scope="module")
def int8(plain: GraphFile) -> GraphFile:
    """The same graph again, whose manifest says that it is the int8 one derived from it."""
    path = plain.path.with_name("model-int8.onnx")
    path.write_bytes(plain.path.read_bytes())
    changes = {"precision": "int8", "origin": plain.manifest.sha256}
    plain.manifest.model_copy(update=changes).save(manifest_path(path))
    return read_graph(path)


@pytest.fixture(scope="module")
def built(plain: GraphFile, int8: GraphFile, tmp_path_factory: pytest.TempPathFactory) -> EngineFile:
    file = compile_graph(plain, SPEC, tmp_path_factory.mktemp("built") / "engine")
    manifest = file.manifest.model_copy(update={"precision": "int8", "graph": int8.manifest})
    return EngineFile(file.folder, manifest, file.verified, file.capabilities)


def list_notes(graph: GraphFile, built: EngineFile, int8_ms: float, float_ms: float, spread: float = 0.0) -> list[str]:
    updates: list[Update] = []

    def time_both(job: PairJob) -> PairTimes:
        assert (job.batch_size, job.device) == (4, "cpu")
        assert [file.manifest.precision for file in (job.first, job.second)] == ["int8", "fp32"]
        turns = [(int8_ms * (1 + spread * (-1) ** number),) for number in range(BLOCKS)]
        return PairTimes(first_ms=tuple(turns), second_ms=((float_ms,),) * BLOCKS)

    check_int8_speed(graph, SPEC, built, updates.append, time_both)
    assert "--no-speed-check" in next(update.doing for update in updates if update.doing)
    return [update.note for update in updates if update.note]


def test_it_warns_with_both_rates(int8: GraphFile, built: EngineFile) -> None:
    (note,) = list_notes(int8, built, 20.0, 10.0)
    assert note == (
        "warning: onnxruntime is slower in int8 than in fp32 here: 200.0 images/s at batch 4, fp32 400.0 "
        "(a batch takes 2.00 to 2.00 times as long): int8 gains nothing there"
    )


@pytest.mark.parametrize(("int8_ms", "spread"), [(5.0, 0.0), (10.0, 0.0), (10.4, 0.0), (12.0, 0.3)])
def test_it_says_nothing_of_what_is_faster_or_not_certain(
    int8_ms: float, spread: float, int8: GraphFile, built: EngineFile
) -> None:
    assert not list_notes(int8, built, int8_ms, 10.0, spread)


def test_what_could_not_be_timed_is_said(int8: GraphFile, built: EngineFile) -> None:
    notes: list[str] = []

    def time_both(job: PairJob) -> PairTimes:
        raise StorageError("it does not fit into memory")

    check_int8_speed(int8, SPEC, built, lambda update: notes.append(update.note), time_both)
    assert notes[-1] == "whether int8 is faster than float was not measured: it does not fit into memory"


def test_both_are_timed_in_a_process_of_their_own(built: EngineFile) -> None:
    times = run_pair(PairJob(first=built, second=built, device="cpu", batch_size=4))
    assert len(times.first_ms) == len(times.second_ms) == BLOCKS
    assert all(ms > 0 for turn in (*times.first_ms, *times.second_ms) for ms in turn)


def test_the_float_graph_is_the_one_that_the_record_names(
    plain: GraphFile, int8: GraphFile, built: EngineFile, tmp_path: Path
) -> None:
    found = find_float_graph(int8)
    assert found is not None and found.path == plain.path
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(int8.path.read_bytes())
    int8.manifest.save(manifest_path(alone))
    other = tmp_path / "other.onnx"
    other.write_bytes(b"another")
    plain.manifest.model_copy(update={"sha256": "0" * 64}).save(manifest_path(other))
    (tmp_path / "no-manifest.onnx").write_bytes(b"")
    assert find_float_graph(read_graph(alone)) is None
    updates: list[Update] = []
    check_int8_speed(read_graph(alone), SPEC, built, updates.append)
    assert not updates


@pytest.mark.parametrize(
    ("precisions", "in_graph", "expected"),
    [
        (("fp32", "bf16", "int8"), ("int8",), "bf16"),
        (("fp32", "tf32", "fp16", "int8"), ("int8",), "fp16"),
        (("fp32", "tf32", "fp16", "int8"), ("fp16", "int8"), "tf32"),
        (("fp32", "int8"), ("int8",), "fp32"),
    ],
)
def test_int8_has_to_beat_the_fastest_float(
    precisions: tuple[str, ...], in_graph: tuple[str, ...], expected: str, built: EngineFile
) -> None:
    has = Capabilities("onnxruntime", "1", precisions=precisions, in_graph=in_graph)
    assert find_float(replace(built, capabilities=has)) == expected
