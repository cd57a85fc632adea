import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fake_engine import FakeSession, make_graph
from sealed import edit_record
from seatrial.engines import ENGINES, base, engine_folder, get_engine
from seatrial.engines.base import EngineFile, read_engine
from seatrial.engines.compile_process import compile_here
from seatrial.engines.engine_folder import BuildSpec, find_built
from seatrial.errors import RefusedFile, UsageError
from seatrial.progress import Progress, Update, silent
from seatrial.store import files as store_files
from seatrial.store.files import manifest_path
from seatrial.store.records import GraphManifest
from seatrial.store.stage_cache import CachedStage

build_engine = partial(engine_folder.build_engine, compile=compile_here)


def find(folder: Path, key: str, graph: GraphManifest, progress: Progress = silent) -> EngineFile | None:
    return find_built(CachedStage("compile", "compile/2", "compiled"), key, folder, graph, None, progress)


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "fake", "fake_engine:FakeEngine")


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_engine_folder_says_what_was_asked_and_built(tmp_path: Path) -> None:
    graph = make_graph(tmp_path)
    spec = BuildSpec("fake", batch_sizes=(1, 4))
    built = build_engine(graph, spec, tmp_path / "engines" / "fake", key="k")
    assert read_engine(tmp_path / "engines" / "fake") == built
    made = built.manifest
    assert (made.key, made.engine, made.sdk_version, made.device, made.precision) == ("k", "fake", "1.2", "cpu", "fp32")
    assert (made.executed, made.options) == ({"fp32": 3}, {})
    assert [(model.path, model.batch_size) for model in made.files] == [("model-1.bin", 1), ("model-4.bin", 4)]
    assert list(made.companions) == ["weights.bin"]
    assert made.graph.recipe["name"] == "small"
    with get_engine("fake").open(built, "cpu", batch_size=3) as session:
        assert isinstance(session, FakeSession) and session.input.shape == (4, 4, 6, 3)


def test_the_folder_that_was_there_is_replaced(tmp_path: Path) -> None:
    graph = make_graph(tmp_path)
    build_engine(graph, BuildSpec("fake", batch_sizes=(1,)), tmp_path / "fake")
    build_engine(graph, BuildSpec("fake"), tmp_path / "fake")
    assert set(read_all(tmp_path / "fake")) == {"engine.json", "model-None.bin", "weights.bin"}


def test_a_crash_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    graph = make_graph(tmp_path)
    crash = BuildSpec("fake", batch_sizes=(8,), options={"crash": "yes"})
    with pytest.raises(ZeroDivisionError, match="crashed while compiling"):
        build_engine(graph, crash, tmp_path / "fake")
    assert set(read_all(tmp_path)) == {"model.onnx", "model.onnx.json"}
    build_engine(graph, BuildSpec("fake"), tmp_path / "fake")
    before = read_all(tmp_path)
    with pytest.raises(ZeroDivisionError):
        build_engine(graph, crash, tmp_path / "fake")
    assert read_all(tmp_path) == before


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    graph = make_graph(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis").write_text("ten years")
    with pytest.raises(UsageError, match="home has other files than an engine's; choose another --output"):
        build_engine(graph, BuildSpec("fake"), tmp_path / "home")
    with pytest.raises(UsageError, match="thesis is a file, not a folder; choose another --output"):
        build_engine(graph, BuildSpec("fake"), tmp_path / "home" / "thesis")
    assert (tmp_path / "home" / "thesis").read_text() == "ten years"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "fake").mkdir()
    assert build_engine(make_graph(tmp_path), BuildSpec("fake"), tmp_path / "fake") == read_engine(tmp_path / "fake")


def test_a_graph_needs_its_manifest(tmp_path: Path) -> None:
    graph = make_graph(tmp_path)
    with pytest.raises(UsageError, match=r"there is no graph \S+none.onnx; `seatrial export` makes one"):
        build_engine(tmp_path / "none.onnx", BuildSpec("fake"), tmp_path / "fake")
    graph.write_bytes(b"another graph")
    with pytest.raises(
        RefusedFile, match=r"is not the file that model\.onnx\.json describes: checksum mismatch; export"
    ):
        build_engine(graph, BuildSpec("fake"), tmp_path / "fake")
    (tmp_path / "model.onnx.json").unlink()
    with pytest.raises(UsageError, match=r"model\.onnx has no manifest model\.onnx\.json"):
        build_engine(graph, BuildSpec("fake"), tmp_path / "fake")
    assert not (tmp_path / "fake").exists()


def test_a_graph_of_a_fixed_batch_builds_that_batch_only(tmp_path: Path) -> None:
    graph = make_graph(tmp_path, batch_size=4)
    built = build_engine(graph, BuildSpec("fake"), tmp_path / "fake")
    assert [model.batch_size for model in built.manifest.files] == [4]
    with pytest.raises(
        UsageError, match="the graph is fixed to batch 4, and --batch-size is 1, 4; give --batch-size 4, or export it"
    ):
        build_engine(graph, BuildSpec("fake", batch_sizes=(1, 4)), tmp_path / "fake")


def test_an_engine_is_found_under_its_key_as_long_as_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    graph = make_graph(tmp_path)
    manifest = GraphManifest.load(tmp_path / "model.onnx.json")
    assert find(folder, "k", manifest) is None
    built = build_engine(graph, BuildSpec("fake"), folder, key="k")
    assert find(folder, "k", manifest) == built
    assert find(folder, "another", manifest) is None
    (folder / "weights.bin").write_bytes(b"altered")
    updates: list[Update] = []
    assert find(folder, "k", manifest, updates.append) is None
    assert [update.note for update in updates] == [
        f"{folder / 'weights.bin'} is altered or cut off: it is compiled again"
    ]
    build_engine(tmp_path / "model.onnx", BuildSpec("fake"), folder, key="k")
    edit_record(folder / "engine.json", kee="k")
    assert find(folder, "k", manifest) is None


@pytest.mark.parametrize("change", ["graph", "checkpoint", "recipe", "logits"])
def test_an_engine_under_the_key_of_another_graph_is_not_found(change: str, tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    graph = GraphManifest.load(manifest_path(make_graph(tmp_path)))
    built = build_engine(tmp_path / "model.onnx", BuildSpec("fake"), folder, key="k")
    if change == "logits":
        files = tuple(model.model_copy(update={"logits": None}) for model in built.manifest.files)
        built.manifest.model_copy(update={"files": files}).save(folder / "engine.json")
    changes = {
        "graph": {"sha256": "another"},
        "checkpoint": {"checkpoint_sha256": "another"},
        "recipe": {"recipe": {**graph.recipe, "title": "Another"}},
        "logits": {},
    }
    assert find(folder, "k", graph.model_copy(update=changes[change])) is None


def test_a_file_that_is_as_it_was_verified_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "fake"
    file = build_engine(make_graph(tmp_path), BuildSpec("fake"), folder)
    hashed: list[str] = []

    def hash_file(path: Path) -> str:
        hashed.append(path.name)
        return store_files.hash_file(path)

    monkeypatch.setattr(base, "hash_file", hash_file)
    assert file.verify().verified == file.verified and not hashed
    # The same bytes, written again: another time, so they are hashed.
    weights = folder / "weights.bin"
    before = weights.stat().st_ctime_ns
    while weights.stat().st_ctime_ns == before:
        weights.write_bytes(weights.read_bytes())
    file.verify()
    assert hashed == ["weights.bin"]
    hashed.clear()
    forged = {name: replace(known, sha256="another") for name, known in file.verified.items()}
    replace(file, verified=forged).verify()
    assert len(hashed) == 2


def test_an_altered_file_is_refused_whatever_was_verified_before(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    file = build_engine(make_graph(tmp_path), BuildSpec("fake"), folder)
    weights = folder / "weights.bin"
    before = weights.stat()
    while weights.stat().st_ctime_ns == before.st_ctime_ns:
        weights.write_bytes(b"altered")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(RefusedFile, match="altered or cut off"):
        file.verify()
