"""onnx's reference evaluator as an engine: every operator as the standard defines it, in numpy; slow and exact."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.closing import Closing
from seatrial.engines.base import (
    Built,
    Capabilities,
    CompileJob,
    EngineFile,
    check_batch,
    check_executed,
    check_options,
    check_place,
    fix_ends,
)
from seatrial.engines.node_types import count_precisions
from seatrial.machine.cpu import count_threads
from seatrial.store.records import TensorSpec

NAME = "onnx-reference"
OPTIONS = {"threads": "images that are computed at a time; default: all cores"}


class ReferenceEngine:
    """Runs ONNX graphs as they are."""

    def probe(self) -> Capabilities:
        """Say what there is: float32 on the CPU, any batch. An SDK that is missing would be said in `missing`."""
        return Capabilities(NAME, version("onnx"), devices=("cpu",), precisions=("fp32",), free_batch=True)

    def compile(self, job: CompileJob) -> Built:
        """Put what `open` needs into the folder `job.output`, and say what was built; here the graph is copied."""
        import onnx

        check_options(NAME, job.options, OPTIONS)
        count_threads(job.options)
        executed = count_precisions(onnx.load(job.graph))
        check_executed(NAME, job.precision, executed)
        path = Path(shutil.copyfile(job.graph, job.output / "model.onnx"))
        return Built(tuple((size, path) for size in job.batch_sizes or (None,)), executed)

    def open(
        self, file: EngineFile, device: str, batch_size: int | None = None, streams: int = 1
    ) -> "ReferenceSession":
        """Load what `compile` left; `check_place` refuses files of another version or device."""
        check_place(file, device, file.capabilities or self.probe())
        path, size = file.pick(batch_size)
        return ReferenceSession(path, fix_ends(file.manifest, size), count_threads(file.manifest.options))


class ReferenceSession(Closing):
    """A loaded graph, whose images are computed one by one, on threads."""

    def __init__(self, path: Path, ends: tuple[TensorSpec, TensorSpec], threads: int) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        self.input, self.output = ends
        self._evaluator = ReferenceEvaluator(onnx.load(path))
        self._pool = ThreadPoolExecutor(threads)

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (n, classes) of a batch that has the shape and type of `input`."""
        check_batch(batch, self.input)
        return np.concatenate(list(self._pool.map(self._run_image, batch)))

    def _run_image(self, image: NDArray[Any]) -> NDArray[np.float32]:
        outputs: Any = self._evaluator.run(None, {self.input.name: image[None]})
        logits: NDArray[np.float32] = outputs[0]
        return logits

    def close(self) -> None:
        """Stop the threads; harmless the second time."""
        self._pool.shutdown()
