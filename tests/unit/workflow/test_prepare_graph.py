"""Graphs derived from a graph for engines that want their precision in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from emulators.tensorrt_sdk import install_tensorrt
from onnx_graphs import write_linear
from seatrial.engines.base import Capabilities, GraphFile
from seatrial.engines.engine_folder import BuildSpec, read_graph
from seatrial.errors import UsageError
from seatrial.export.graph import run_graph
from seatrial.models.onnx_file import load_graph
from seatrial.progress import Progress, Update, silent
from seatrial.recipes import Recipe
from seatrial.store.records import GraphManifest
from seatrial.workflow.compile import compile_graph, prepare_graph
from seatrial.workflow.import_onnx import import_graph
from seatrial.workflow.quantize import QuantizeSpec, quantize_graph
from uneven_network import make_network, write_graph, write_images

CARD = {
    "name": "two",
    "title": "A graph with two outputs",
    "network": {"name": "two", "classes": 3},
    "preprocess": [{"step": "resize", "size": [32, 32]}, {"step": "to_float"}],
}
PLAIN = Capabilities("plain", "1", precisions=("fp32", "fp16", "bf16", "int8"))
PICKY = Capabilities("picky", "1", precisions=("fp32", "fp16", "int8"), in_graph=("fp16", "int8"))
SIGNED = Capabilities("signed", "1", precisions=("fp32", "int8"), in_graph=("int8",), signed_int8=True)


def prepare(graph: Path, precision: str, engine: Capabilities, proof: Sequence[Path], progress: Progress) -> Path:
    return prepare_graph(read_graph(graph), precision, engine, proof, progress).path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return write_graph(tmp_path / "model.onnx", make_network(uneven=1))


@pytest.fixture
def int8(graph: Path, tmp_path: Path) -> Path:
    write_images(tmp_path / "train", 8, seed=1)
    quantize_graph(graph, QuantizeSpec(tmp_path / "train"), tmp_path / "model-int8.onnx")
    return tmp_path / "model-int8.onnx"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "int8"])
def test_an_engine_that_asks_for_nothing_gets_the_graph(precision: str, graph: Path) -> None:
    assert prepare(graph, precision, PLAIN, [], silent) == graph
    assert len(list(graph.parent.iterdir())) == 2


def test_fp16_is_made_once_beside_the_graph(graph: Path, tmp_path: Path) -> None:
    told: list[Update] = []
    proof = write_images(tmp_path / "val", 6, seed=2)
    fp16 = prepare(graph, "fp16", PICKY, proof, told.append)
    manifest = GraphManifest.load(tmp_path / "model-fp16.onnx.json")
    assert fp16 == tmp_path / "model-fp16.onnx" and manifest.precision == "fp16"
    assert manifest.parity[-1].images == 6
    stamp = fp16.stat().st_mtime_ns
    assert prepare(graph, "fp16", PICKY, [], told.append) == fp16 and fp16.stat().st_mtime_ns == stamp
    assert [update.note.split(":")[0] for update in told] == ["model-fp16.onnx", "already made"]
    write_graph(graph, make_network(uneven=2))
    prepare(graph, "fp16", PICKY, [], silent)
    assert GraphManifest.load(tmp_path / "model-fp16.onnx.json").key != manifest.key
    assert prepare(fp16, "fp16", PICKY, [], silent) == fp16


def test_a_foreign_file_in_its_place_is_left_alone(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "model-fp16.onnx").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"model-fp16\.onnx is in the way of the fp16 graph derived from model\.onnx"):
        prepare(graph, "fp16", PICKY, [], silent)
    assert (tmp_path / "model-fp16.onnx").read_bytes() == b"mine"


def test_int8_needs_images_so_it_says_how(graph: Path) -> None:
    with pytest.raises(
        UsageError, match=r"make it with `seatrial quantize .*model\.onnx --calibration IMAGES"
    ) as caught:
        prepare(graph, "int8", PICKY, [], silent)
    assert caught.value.exit_code == 2 and "picky takes int8 from the graph" in str(caught.value)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_an_int8_graph_is_compiled_as_int8_only(precision: str, int8: Path) -> None:
    with pytest.raises(UsageError, match=f"computes in int8, and --precision is {precision}; give --precision int8"):
        prepare(int8, precision, PICKY, [], silent)
    assert prepare(int8, "int8", PICKY, [], silent) == int8


def test_an_engine_without_uint8_gets_signed_activations(int8: Path) -> None:
    signed = prepare(int8, "int8", SIGNED, [], silent)
    assert signed.name == "model-int8-signed.onnx"
    manifest = GraphManifest.load(signed.with_name(signed.name + ".json"))
    assert [step.step for step in manifest.parity] == ["quantize", "signed activations"]
    assert (
        manifest.precision == "int8"
        and manifest.calibration == GraphManifest.load(int8.with_name(int8.name + ".json")).calibration
    )
    names = {weight.name: weight for weight in load_graph(signed).graph.initializer}
    assert not [name for name, weight in names.items() if weight.data_type == 2]


def test_the_engine_is_built_from_the_derived_graph(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # From version 11 on TensorRT takes every precision from the graph.
    install_tensorrt(monkeypatch, tmp_path / "sdk", version="11.1.0.1")
    spec = BuildSpec("tensorrt", "fp16", "cuda:0")
    built = compile_graph(graph, spec, tmp_path / "engine")
    assert (built.manifest.precision, built.manifest.graph.precision) == ("fp16", "fp16")
    weights = load_graph(tmp_path / "model-fp16.onnx").graph.initializer
    assert sum(weight.data_type == 10 for weight in weights) == 5
    stamp = (tmp_path / "engine" / "engine.json").stat().st_mtime_ns
    compile_graph(graph, spec, tmp_path / "engine")
    assert (tmp_path / "engine" / "engine.json").stat().st_mtime_ns == stamp


ALONE = Capabilities("alone", "1", precisions=("fp32", "fp16"), in_graph=("fp16",), one_output=True)


def test_an_engine_that_compiles_all_outputs_gets_a_graph_with_the_cards(tmp_path: Path) -> None:
    path = write_linear(tmp_path / "two.onnx", outputs=("scores", "means"), shape=("batch", 3, 32, 32))
    recipe = Recipe.read({**CARD, "graph": {"output": "scores"}}, "card.toml")
    graph = GraphFile(path, import_graph(path, recipe))
    assert graph.manifest.left_out == ("means",)
    assert prepare_graph(graph, "fp32", PLAIN, [], silent) == graph
    cut = prepare_graph(graph, "fp32", ALONE, [], silent)
    assert cut.path == tmp_path / "two-one-output.onnx" and cut.manifest.left_out == ()
    assert [value.name for value in load_graph(cut.path).graph.output] == ["scores"]
    assert cut.manifest.parity[-1].relative_error == 0 and cut.manifest.origin == graph.manifest.sha256
    pixels = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    both = (run_graph(load_graph(each.path), pixels) for each in (graph, cut))
    assert np.array_equal(*both)
