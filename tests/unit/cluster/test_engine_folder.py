from collections.abc import Callable
from pathlib import Path

import pytest

from colour_graph import make_colour_graph
from seatrial.cluster.driver import pack_engine
from seatrial.cluster.engine_folder import PackedEngine, find_engine, list_parts
from seatrial.engines.base import MANIFEST, EngineFile
from seatrial.engines.compile_process import compile_here
from seatrial.engines.engine_folder import BuildSpec, build_engine
from seatrial.errors import RefusedFile, StorageError
from seatrial.store.files import hash_bytes


@pytest.fixture
def engine(tmp_path: Path) -> EngineFile:
    return build_engine(make_colour_graph(tmp_path), BuildSpec("onnxruntime"), tmp_path / "e", compile=compile_here)


def identify(packed: PackedEngine) -> str:
    return hash_bytes(packed[MANIFEST])


def refuse() -> PackedEngine:
    raise AssertionError("nothing was to be fetched")


def give(packed: PackedEngine) -> Callable[[], PackedEngine]:
    return lambda: packed


def test_a_folder_that_is_there_is_used_itself(engine: EngineFile, tmp_path: Path) -> None:
    packed = pack_engine(list_parts(engine))
    assert find_engine(engine.folder, identify(packed), refuse, tmp_path / "cache") == engine
    assert not (tmp_path / "cache").exists()


def test_one_that_is_not_is_brought_once(engine: EngineFile, tmp_path: Path) -> None:
    (engine.folder / "timing.cache").write_text("of this machine")
    packed, gone, cache = pack_engine(list_parts(engine)), tmp_path / "gone" / "e", tmp_path / "cache"
    found = find_engine(gone, identify(packed), give(packed), cache)
    assert found.manifest == engine.manifest and found.folder.name == "e"
    assert sorted(path.name for path in found.folder.iterdir()) == [MANIFEST, "model-free.onnx"]
    assert find_engine(gone, identify(packed), refuse, cache) == found


def test_another_engine_of_the_same_name_is_not_taken(engine: EngineFile, tmp_path: Path) -> None:
    packed = pack_engine(list_parts(engine))
    engine.manifest.model_copy(update={"key": "another"}).save(engine.folder / MANIFEST)
    found = find_engine(engine.folder, identify(packed), give(packed), tmp_path / "cache")
    assert found.manifest == engine.manifest and found.folder != engine.folder


def test_what_was_kept_and_damaged_is_brought_again(engine: EngineFile, tmp_path: Path) -> None:
    packed, gone = pack_engine(list_parts(engine)), tmp_path / "gone"
    kept = find_engine(gone, identify(packed), give(packed), tmp_path / "cache").folder
    (kept / "model-free.onnx").write_bytes(b"cut off")
    again = find_engine(gone, identify(packed), give(packed), tmp_path / "cache")
    assert (again.folder / "model-free.onnx").read_bytes() == packed["model-free.onnx"]


def test_what_is_brought_must_be_what_was_asked(engine: EngineFile, tmp_path: Path) -> None:
    packed, gone, cache = pack_engine(list_parts(engine)), tmp_path / "gone", tmp_path / "cache"
    other = packed | {MANIFEST: packed[MANIFEST] + b" "}
    with pytest.raises(RefusedFile, match="has changed since the evaluation began"):
        find_engine(gone, identify(packed), give(other), cache)
    cut = packed | {"model-free.onnx": b"cut"}
    with pytest.raises(RefusedFile, match="altered or cut off"):
        find_engine(gone, identify(packed), give(cut), cache)


def test_a_machine_without_room_says_so(engine: EngineFile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        find_engine(tmp_path / "gone", identify(pack_engine(list_parts(engine))), refuse, tmp_path / "file")


def test_a_folder_that_lost_a_file_is_refused(engine: EngineFile) -> None:
    parts = list_parts(engine)
    (engine.folder / "model-free.onnx").unlink()
    with pytest.raises(RefusedFile, match=r"model-free\.onnx cannot be read \(No such file"):
        pack_engine(parts)
