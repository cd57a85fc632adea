"""Whether an engine really compiles and runs something here: a graph of four layers, made for it."""

import tempfile
import time
from pathlib import Path

import numpy as np

from seatrial.engines import get_engine
from seatrial.engines.base import Capabilities, run_padded
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import EngineError
from seatrial.recipes import Recipe
from seatrial.workflow.compile import compile_graph
from seatrial.workflow.import_onnx import import_graph

SIZE, CLASSES = 32, 4


def try_engine(name: str, precision: str, device: str, has: Capabilities) -> float:
    """Compile a small graph and run an image through it; returns the seconds that it took.

    Raises:
        SeatrialError: why it does not run.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="seatrial-doctor-") as folder:
        graph = Path(folder) / "small.onnx"
        write_small(graph)
        import_graph(graph, Recipe.read(_describe_card(graph), "the small graph"))
        build = BuildSpec(name, precision, device, capabilities=has, label=name)
        if not has.free_batch:
            build = BuildSpec(name, precision, device, batch_sizes=(1,), capabilities=has, label=name)
        file = compile_graph(graph, build, Path(folder) / "engine")
        with get_engine(name).open(file, device, 1) as session:
            logits = run_padded(session, np.zeros((1, 3, SIZE, SIZE), np.float32))
    if logits.shape != (1, CLASSES) or not np.isfinite(logits).all():
        raise EngineError(f"{name} gives {logits.shape} for one image of {CLASSES} classes", "install it anew")
    return time.perf_counter() - began


def write_small(path: Path) -> None:
    """Two convolutions, a mean and a linear layer, of weights that are drawn."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"first": (8, 3, 3, 3), "second": (8, 8, 3, 3), "head": (8, CLASSES)}
    weights = [numpy_helper.from_array(rng.normal(0, 0.3, s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("MatMul", ["e", "head"], ["class"]),
    ]
    ends = [
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIZE, SIZE]),
        helper.make_tensor_value_info("class", TensorProto.FLOAT, ["n", CLASSES]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "small", ends[:1], ends[1:], weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, path)


def _describe_card(graph: Path) -> dict[str, object]:
    steps: list[dict[str, object]] = [
        {"step": "resize", "size": [SIZE, SIZE]},
        {"step": "to_float"},
    ]
    network = {"builder": "onnx", "name": str(graph), "classes": CLASSES}
    return {"name": "small", "title": "a graph of four layers", "network": network, "preprocess": steps}
