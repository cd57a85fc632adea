"""A fake engine with closed-form answers, and a graph for it; nothing in it computes a network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from seatrial.engines.base import Built, Capabilities, CompileJob, EngineFile, check_batch, check_options
from seatrial.recipes.schema import Recipe
from seatrial.store.files import hash_file
from seatrial.store.records import GraphManifest, TensorSpec

CLASSES = 4
WEIGHTS = np.array([[3, 0, 0, 1], [0, 3, 0, 1], [0, 0, 3, 1]])
"""Class 0 likes red, 1 green, 2 blue, 3 grey."""
STEPS: list[dict[str, Any]] = [
    {"step": "center_crop", "size": [4, 6]},
    {"step": "to_float"},
    {"step": "normalise", "mean": [0.5, 0.25, 0.125], "std": [0.5, 0.25, 0.125]},
]


def make_recipe(**changes: Any) -> Recipe:
    """A card for images of 4×6 pixels and four classes."""
    card = {
        "name": "small",
        "title": "Small",
        "network": {"name": "fake", "classes": CLASSES},
        "preprocess": STEPS,
        **changes,
    }
    return Recipe.read(card, "small")


def answer(batch: np.ndarray) -> np.ndarray:
    """Logits of uint8 images (n, height, width, 3): whole numbers, so exact in any order of summing."""
    return (batch.astype(np.int64).sum(axis=(1, 2)) @ WEIGHTS).astype(np.float32)


class FakeSession:
    """Answers in closed form and remembers what it was given."""

    def __init__(
        self,
        batch_size: int | None = None,
        answer: Callable[[np.ndarray], np.ndarray] = answer,
        dtype: str = "uint8",
    ) -> None:
        shape = (batch_size, 4, 6, 3) if dtype == "uint8" else (batch_size, 3, 4, 6)
        layout = "NHWC" if dtype == "uint8" else "NCHW"
        self.input = TensorSpec.model_validate({"name": "image", "dtype": dtype, "shape": shape, "layout": layout})
        self.output = TensorSpec(name="class", dtype="float32", shape=(batch_size, CLASSES), layout="NC")
        self.answer = answer
        self.given: list[np.ndarray] = []

    def run(self, batch: np.ndarray) -> np.ndarray:
        check_batch(batch, self.input)
        self.given.append(batch.copy())
        return self.answer(batch)

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeEngine:
    """Copies the graph; the option `crash` makes it raise when its file is half written."""

    def probe(self) -> Capabilities:
        return Capabilities("fake", "1.2", devices=("cpu",), precisions=("fp32",), free_batch=True)

    def compile(self, job: CompileJob) -> Built:
        check_options("fake", job.options, {"crash": "raise while compiling"})
        files = []
        for size in job.batch_sizes or (None,):
            path = job.output / f"model-{size}.bin"
            path.write_bytes(job.graph.read_bytes())
            files.append((size, path))
        if "crash" in job.options:
            raise ZeroDivisionError("crashed while compiling")
        weights = job.output / "weights.bin"
        weights.write_bytes(b"weights")
        return Built(tuple(files), {"fp32": 3}, (weights,))

    def open(self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1) -> FakeSession:
        return FakeSession(file.pick(batch_size)[1])


def make_graph(folder: Path, contents: bytes = b"graph", batch_size: int | None = None) -> Path:
    """A file that passes for a graph, with its manifest."""
    graph = folder / "model.onnx"
    graph.write_bytes(contents)
    session = FakeSession(batch_size)
    GraphManifest(
        key="g",
        recipe=make_recipe().model_dump(mode="json", exclude_none=True),
        checkpoint="checkpoint.safetensors",
        checkpoint_sha256="c",
        sha256=hash_file(graph),
        opset=17,
        exporter="none",
        simplified=True,
        fused=True,
        input=session.input,
        output=session.output,
        preprocess_hash="p",
        parity=(),
        versions={},
    ).save(folder / "model.onnx.json")
    return graph
