"""Six published layouts, wrapped as their authors wrapped them: the logits are the original code's in float64."""

import argparse
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden_weights import make_input, make_state
from seatrial.export.export_graph import to_onnx
from seatrial.export.graph import run_graph
from seatrial.export.spec import ExportSpec
from seatrial.models.build import sketch_network
from seatrial.models.checkpoint import load_checkpoint
from seatrial.recipes.schema import Network, Recipe

GOLDEN = Path(__file__).parents[2] / "golden" / "models"
NAMESPACE = argparse.Namespace(model="spnasnet_100", lr=0.4, best=np.float64(74.2))

CASES = {
    "sk_resnet50": (
        Network(builder="seatrial", name="sk_resnet50", classes=1000, parameters=26154496),
        {"epoch": 100, "arch": "sk_resnet50", "state_dict": ..., "best_acc1": np.float64(77.54), "optimizer": {}},
        "torch zip, state_dict, module.",
    ),
    "spnasnet_100": (
        Network(name="spnasnet_100", classes=1000, parameters=4421616),
        {"epoch": 149, "state_dict": ..., "optimizer": {}, "version": 2, "args": NAMESPACE, "metric": np.float32(74.2)},
        "torch zip, state_dict, module.",
    ),
    "resnet50": (
        Network(name="resnet50", classes=1000, parameters=25557032),
        {"epoch": 90, "state_dict": ..., "best_acc1": torch.tensor(76.96), "optimizer": {}, "scheduler": {}},
        "torch zip, state_dict, module.",
    ),
    "resnext50_32x4d": (
        Network(name="resnext50_32x4d", classes=1000, parameters=25028904),
        None,
        "torch zip, plain",
    ),
    "seresnext101_32x4d_modelzoo": (
        Network(name="seresnext101_32x4d", classes=1000, parameters=48955416),
        None,
        "torch zip, plain, linear squeeze",
    ),
    "seresnext101_32x4d_mmcls": (
        Network(name="seresnext101_32x4d", classes=1000, parameters=48955416),
        {"meta": {"mmcls_version": "0.23.0"}, "state_dict": ...},
        "torch zip, state_dict, mmpretrain's names",
    ),
}


def measure_error(logits: np.ndarray, expected: np.ndarray) -> float:
    """Relative, Frobenius."""
    return float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))


GUIDES = ExportSpec(opset=11)
NEWEST = ExportSpec(opset=26, exporter="dynamo")
"""The newest opset that onnxruntime 1.31 loads; torch's exporter goes to 28."""
SAME = "seresnext101_32x4d_mmcls"
"""Another layout of a network that is exported already."""
SLOW = [pytest.param(name, NEWEST, marks=pytest.mark.slow) for name in CASES if name not in ("spnasnet_100", SAME)]


@pytest.mark.parametrize(("name", "spec"), [*((name, GUIDES) for name in CASES), ("spnasnet_100", NEWEST), *SLOW])
def test_published_layouts_give_the_original_logits_in_torch_and_in_onnxruntime(
    name: str, spec: ExportSpec, tmp_path: Path, recipe_for: Callable[[Network], Recipe]
) -> None:
    network, wrapping, layout = CASES[name]
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    state = OrderedDict(make_state(golden["keys"], golden["salt"]))
    whole: Any = state if wrapping is None else wrapping | {"state_dict": state}
    path = tmp_path / "published.pth.tar"
    torch.save(whole, path)
    del state, whole

    loaded = load_checkpoint(path, recipe_for(network))
    path.unlink()  # up to 200 MB
    built = sketch_network(network).eval()
    built.load_state_dict(dict(loaded.state), strict=True, assign=True)
    images, expected = make_input(golden["input_seed"]), np.array(golden["logits_float64"])
    with torch.inference_mode():
        logits = built(images).double().numpy()
    assert measure_error(logits, expected) < 1e-5
    if name != SAME:
        graph = to_onnx(built, recipe_for(network), spec, tmp_path / "model.onnx")
        assert measure_error(run_graph(graph, images.numpy()), expected) < 1e-5
    assert loaded.manifest.layout == layout
    assert loaded.manifest.parameters == network.parameters
    assert loaded.manifest.filled == ()
