"""What an ONNX file computes in, what an exporter was to write, and its logits."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
from numpy.typing import NDArray

from seatrial.engines.base import LEAST_SHARE, pad_batch
from seatrial.engines.node_types import count_precisions
from seatrial.errors import EngineError, shorten
from seatrial.extras import naming_extras
from seatrial.machine.out_of_memory import pass_on
from seatrial.models.onnx_file import GraphFacts
from seatrial.store.records import GraphPrecision

CHUNK = 16
"""Images run at once while checking."""
MOST_BYTES = 2**31 - 2**20
"""Of a model that is handed over as bytes: protobuf takes 2 GiB; the rest is for its frame."""


def has_dynamic_scales(model: onnx.ModelProto) -> bool:
    """Whether a graph takes scales from what it is given (DynamicQuantizeLinear, and what fuses it)."""
    return any("DynamicQuantize" in node.op_type for node in model.graph.node)


def read_precision(model: onnx.ModelProto) -> GraphPrecision:
    """What a graph computes in: the precision of most of its layers, the narrower of two that share the lead.

    "unknown" where no precision is that of half of them.
    """
    counted = count_precisions(model, fuses=True)
    if not counted:
        return "fp32"
    # In the order of their names there the narrower comes first.
    names: tuple[GraphPrecision, ...] = get_args(GraphPrecision)
    found = max(names, key=lambda name: counted.get(name, 0))
    return found if counted.get(found, 0) >= LEAST_SHARE * sum(counted.values()) else "unknown"


def check_facts(facts: GraphFacts, opset: int, ends: tuple[str, str], batch_size: int | None) -> None:
    """Check an exported graph against the request.

    Raises:
        EngineError: opset, a name, or the batch axis is another one.
    """
    wanted = {"opset": opset, "input name": ends[0], "output name": ends[1], "batch": batch_size or "free"}
    found = {
        "opset": facts.opset,
        "input name": facts.input.name,
        "output name": facts.output.name,
        "batch": facts.input.shape[0] or "free",
    }
    for what, want in wanted.items():
        if found[what] != want:
            raise EngineError(
                f"the exporter was to write {what} {want} and wrote {found[what]}", "try another --exporter or --opset"
            )
    if (facts.output.shape[0] or "free") != wanted["batch"]:
        raise EngineError(
            f"the graph's output has batch {facts.output.shape[0]}, its input {found['batch']}",
            "try another --exporter",
        )


def run_graph(
    model: onnx.ModelProto, images: NDArray[np.generic], batch_size: int | None = None
) -> NDArray[np.float32]:
    """The logits of some images, by `open_graph`."""
    return open_graph(model, batch_size)(images)


def open_graph(
    model: onnx.ModelProto, batch_size: int | None = None
) -> Callable[[NDArray[np.generic]], NDArray[np.float32]]:
    """A graph in onnxruntime on the CPU: images to logits, in pieces; a fixed batch is padded with its first image.

    No node is optimised: an optimiser that errs would be taken for a fault of the graph.
    `engines.onnxruntime` compares the optimiser with this when an engine is compiled.

    Raises:
        EngineError: onnxruntime is not installed, or does not take the graph.
    """
    with naming_extras("checks graphs"):
        import onnxruntime
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = _open_session(model, settings)
    except Exception as error:  # onnxruntime's exceptions share no base but this
        pass_on(error)
        raise EngineError(
            f"onnxruntime {onnxruntime.__version__} does not run the graph ({shorten(str(error))})",
            "an older --opset may help",
        ) from None
    name = session.get_inputs()[0].name
    size = batch_size or CHUNK

    def predict(images: NDArray[np.generic]) -> NDArray[np.float32]:
        logits = []
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            logits.append(run_session(session, {name: pad_batch(chunk, batch_size)})[: len(chunk)])
        return np.concatenate(logits)

    return predict


def run_session(session: Any, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[Any]:
    """The first output of a graph in onnxruntime.

    Raises:
        EngineError: it does not run these images.
    """
    try:
        first: NDArray[Any] = session.run(None, dict(inputs))[0]
        return first
    except Exception as error:  # onnxruntime's exceptions share no base but this
        pass_on(error)
        shape = " × ".join(map(str, next(iter(inputs.values())).shape))
        raise EngineError(
            f"the graph does not run on images {shape} ({shorten(str(error))})",
            "a forward that counts or loops over images fits one batch: give --batch-size, or let it take any",
        ) from None


def _open_session(model: onnx.ModelProto, settings: Any) -> Any:
    """A session of a model whose weights are loaded; from files where it is too large for one message."""
    import onnxruntime

    providers = ["CPUExecutionProvider"]
    if model.ByteSize() < MOST_BYTES:
        return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=providers)
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "model.onnx", onnx.ModelProto()
        copy.CopyFrom(model)  # Saving moves the weights out of the model.
        onnx.save(copy, path, save_as_external_data=True)
        return onnxruntime.InferenceSession(str(path), settings, providers=providers)
