from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from seatrial.store.files import hash_file
from seatrial.store.records import EngineManifest, EngineModel, GraphManifest, TensorSpec

RECIPE = {
    "name": "tiny",
    "title": "Tiny",
    "network": {"name": "tiny", "classes": 3},
    "preprocess": [{"step": "resize", "size": [4, 6]}, {"step": "to_float"}],
}
INPUT = TensorSpec(name="image", dtype="uint8", shape=(None, 4, 6, 3), layout="NHWC")
OUTPUT = TensorSpec(name="class", dtype="float32", shape=(None, 3), layout="NC")


@pytest.fixture
def write_engine(tmp_path: Path) -> Callable[..., Path]:
    """Writes an engine folder for the named engine, with a file for each batch size."""

    def write(engine: str, sizes: tuple[int | None, ...] = (None,), contents: bytes = b"weights") -> Path:
        folder = tmp_path / f"tiny-{engine}"
        folder.mkdir()
        models = []
        for size in sizes:
            model = folder / f"model-{size}.bin"
            model.write_bytes(contents)
            models.append(EngineModel(path=model.name, sha256=hash_file(model), batch_size=size))
        graph = GraphManifest(
            key="g",
            recipe=RECIPE,
            checkpoint="checkpoint.safetensors",
            checkpoint_sha256="c",
            sha256="graph-hash",
            opset=17,
            exporter="none",
            simplified=True,
            fused=True,
            input=INPUT,
            output=OUTPUT,
            preprocess_hash="preprocess-hash",
            parity=(),
            versions={},
        )
        EngineManifest(
            companions={},
            key="e",
            engine=engine,
            sdk_version=version("onnxruntime") if engine == "onnxruntime" else "1",
            device="cpu",
            precision="fp32",
            executed={"fp32": 2},
            options={},
            files=tuple(models),
            input=INPUT,
            output=OUTPUT,
            graph=graph,
        ).save(folder / "engine.json")
        return folder

    return write
