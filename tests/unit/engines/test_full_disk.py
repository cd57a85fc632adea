"""Compiling to a disk that takes no more: whatever an SDK makes of it, it is an error of storage."""

from pathlib import Path

import pytest

from full_disk import limited_files
from seatrial.engines.base import CompileJob
from seatrial.engines.compile_process import compile_here
from seatrial.errors import StorageError
from seatrial.store.files import manifest_path
from seatrial.store.records import GraphManifest


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_full_disk_is_named_with_the_bytes_that_are_wanted(engine: str, tiny_engines: Path, tmp_path: Path) -> None:
    graph = tiny_engines / "model.onnx"
    job = CompileJob(graph, GraphManifest.load(manifest_path(graph)), tmp_path)
    wanted = 2 * graph.stat().st_size
    with limited_files(20_000), pytest.raises(StorageError, match=f"^{wanted:,} bytes cannot be written to {tmp_path}"):
        compile_here(engine, job)
