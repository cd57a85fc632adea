"""What comes out of the exporters is what was asked, and every step keeps the answers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from fake_engine import make_graph
from sealed import edit_record
from seatrial.data.labels import spread
from seatrial.data.preprocessing.steps import normalise
from seatrial.engines.engine_folder import read_graph
from seatrial.errors import EngineError, RefusedFile, UsageError
from seatrial.export.export_graph import to_onnx
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.export.graph import check_facts, open_graph, run_graph, run_session
from seatrial.export.simplify import pin_input, simplify_file
from seatrial.export.spec import ExportSpec
from seatrial.models.build import build_network
from seatrial.models.onnx_file import GraphFacts, check_classifier, load_graph, read_facts
from seatrial.models.sources import resolve_recipe
from seatrial.recipes import Recipe, load_recipe
from seatrial.store.files import hash_file
from seatrial.store.records import CheckpointManifest
from seatrial.workflow.export import draw_pictures, export_checkpoint
from tiny_trial import TinyTrial


@pytest.fixture(scope="module")
def recipe(tiny_trial: TinyTrial) -> Recipe:
    return load_recipe(str(tiny_trial.card))


def make_mean_graph(batch: int | str = "batch") -> onnx.ModelProto:
    """A graph whose logits are the channel means of its 4×4 float input, by way of two nodes that cancel out."""
    nodes = [
        helper.make_node("Identity", ["image"], ["same"]),
        helper.make_node("GlobalAveragePool", ["same"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["class"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 4, 4])
    logits = helper.make_tensor_value_info("class", TensorProto.FLOAT, [batch, 3])
    graph = helper.make_graph(nodes, "mean", [image], [logits])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_the_file_is_what_was_asked(exporter: str, batch_size: int | None, recipe: Recipe, tmp_path: Path) -> None:
    opset = 11 if exporter == "torchscript" else 20
    spec = ExportSpec(opset=opset, batch_size=batch_size, exporter=exporter)  # type: ignore[arg-type]
    network = build_network(recipe.network).eval()
    facts = read_facts(to_onnx(network, recipe, spec, tmp_path / "model.onnx"))
    assert facts.opset == opset
    assert (facts.input.name, facts.output.name) == ("image", "class")
    assert facts.input.shape == (batch_size, 3, 32, 32) and facts.output.shape == (batch_size, 4)


def test_an_exporter_that_writes_another_opset_is_an_error(recipe: Recipe, tmp_path: Path) -> None:
    network = build_network(recipe.network).eval()
    with pytest.raises(EngineError, match=r"opset 11") as caught:
        to_onnx(network, recipe, ExportSpec(opset=11, exporter="dynamo"), tmp_path / "model.onnx")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("opset", "ends", "batch", "words"),
    [
        (13, ("image", "class"), None, "was to write opset 13 and wrote 11"),
        (11, ("input", "class"), None, "was to write input name input and wrote image"),
        (11, ("image", "output1"), None, "was to write output name output1 and wrote class"),
        (11, ("image", "class"), 8, "was to write batch 8 and wrote free"),
    ],
)
def test_what_differs_is_named(opset: int, ends: tuple[str, str], batch: int | None, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        check_facts(read_facts(make_mean_graph()), opset, ends, batch)


def test_facts_of_a_graph() -> None:
    facts = read_facts(make_mean_graph(5))
    assert isinstance(facts, GraphFacts)
    assert (facts.opset, facts.input.shape, facts.input.layout) == (11, (5, 3, 4, 4), "NCHW")


def test_the_fused_tail_computes_what_the_host_does(recipe: Recipe) -> None:
    model = make_mean_graph()
    fused = fuse_preprocess(model, recipe)
    pixels = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
    expected = normalise(pixels, recipe).mean(axis=(2, 3))
    np.testing.assert_allclose(run_graph(fused, pixels), expected, atol=2e-6)
    facts = read_facts(fused)
    assert (facts.input.dtype, facts.input.layout, facts.input.shape) == ("uint8", "NHWC", (None, 4, 4, 3))
    assert read_facts(model).input.dtype == "float32", "the graph that was given is left alone"


def test_simplify_file_drops_nodes_and_keeps_predictions(tmp_path: Path) -> None:
    onnx.save(make_mean_graph(), tmp_path / "in.onnx")
    facts, parity = simplify_file(tmp_path / "in.onnx", tmp_path / "out.onnx")
    slim = load_graph(tmp_path / "out.onnx")
    assert facts.input.shape == (None, 3, 4, 4) and parity.relative_error == 0
    assert "Identity" not in {node.op_type for node in slim.graph.node}


def test_simplify_file_pins_the_input(tmp_path: Path) -> None:
    onnx.save(make_mean_graph(), tmp_path / "in.onnx")
    facts, _ = simplify_file(tmp_path / "in.onnx", tmp_path / "out.onnx", (16, 3, 4, 4))
    assert facts.input.shape == (16, 3, 4, 4)
    assert read_facts(load_graph(tmp_path / "out.onnx")).output.shape == (16, 3)
    facts, _ = simplify_file(tmp_path / "in.onnx", tmp_path / "out.onnx", (-1, 3, 4, 4))
    assert facts.input.shape == (None, 3, 4, 4)


def test_simplify_file_flattens_what_a_pooling_leaves(tmp_path: Path) -> None:
    model = make_mean_graph()
    del model.graph.node[2]
    model.graph.node[1].output[0] = "class"
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("class", TensorProto.FLOAT, ["batch", 3, 1, 1]))
    onnx.save(model, tmp_path / "in.onnx")
    with pytest.raises(RefusedFile, match=r"'class' is N×3×1×1, not logits .*; `seatrial simplify FILE OUT` flattens"):
        check_classifier(read_facts(model))
    facts, parity = simplify_file(tmp_path / "in.onnx", tmp_path / "out.onnx")
    check_classifier(facts)
    assert facts.output.shape == (None, 3) and parity.relative_error == 0
    pixels = np.random.default_rng(0).random((2, 3, 4, 4), np.float32)
    logits = run_graph(load_graph(tmp_path / "out.onnx"), pixels, None)
    np.testing.assert_allclose(logits, pixels.mean(axis=(2, 3)), rtol=1e-6)


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="--input-shape 1,3,224,224 does not fit input 'image' Nx3x4x4"):
        pin_input(make_mean_graph(), (1, 3, 224, 224))


@pytest.mark.parametrize(
    ("content", "error"), [(None, UsageError), (b"", RefusedFile), (b"<html>", RefusedFile), (b"\x08\x07", RefusedFile)]
)
def test_what_is_no_graph_is_refused(content: bytes | None, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=r"model\.onnx"):
        load_graph(path)


def test_a_graph_knows_its_checkpoint_and_is_not_made_twice(
    recipe: Recipe, tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    output = tmp_path / "model.onnx"
    first = export_checkpoint(recipe, tiny_trial.checkpoint, output, ExportSpec(opset=17), [])
    stamp = output.stat().st_mtime_ns
    assert first.checkpoint == "model.safetensors"
    assert first.checkpoint_sha256 == CheckpointManifest.load(tmp_path / "model.safetensors.json").sha256
    again = export_checkpoint(recipe, tiny_trial.checkpoint, output, ExportSpec(opset=17), [])
    assert again == first and output.stat().st_mtime_ns == stamp
    other = export_checkpoint(recipe, tiny_trial.checkpoint, output, ExportSpec(opset=13), [])
    assert other.opset == 13 and output.stat().st_mtime_ns != stamp


def test_export_does_not_overwrite_its_own_checkpoint(recipe: Recipe, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = tmp_path / "model.safetensors"
    save_file(torch.load(tiny_trial.checkpoint, weights_only=True), weights)
    with pytest.raises(UsageError, match="would overwrite the checkpoint itself"):
        export_checkpoint(recipe, weights, tmp_path / "model.onnx", ExportSpec(opset=17), [])


def test_pictures_and_spread(recipe: Recipe) -> None:
    pictures = draw_pictures(3, recipe.input_size)
    assert pictures.shape == (3, 32, 32, 3) and pictures.std() > 30
    corners = draw_pictures(1000, (1, 1))
    assert corners.mean() == pytest.approx(127, abs=5)  # waves of any phase, so as many bright as dark
    paths = [Path(str(i)) for i in range(100)]
    assert spread(paths, 4) == [paths[i] for i in (0, 25, 50, 75)]
    assert spread(paths[:3], 64) == paths[:3]


def test_export_replaces_no_weights_of_somebody_else(recipe: Recipe, tiny_trial: TinyTrial, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"model\.safetensors is in the way of the weights of model\.onnx; move it"):
        export_checkpoint(recipe, tiny_trial.checkpoint, tmp_path / "model.onnx", ExportSpec(opset=17), [])
    assert (tmp_path / "model.safetensors").read_bytes() == b"precious"
    with pytest.raises(UsageError, match="is a folder"):
        export_checkpoint(recipe, tiny_trial.checkpoint, tmp_path, ExportSpec(opset=17), [])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ExportSpec(opset=99), "torchscript writes opset 7 to 20, not 99; take --opset 7 to 20"),
        (ExportSpec(opset=11, exporter="dynamo"), "dynamo writes opset 18 to 28, not 11; take --exporter torchscript"),
        (ExportSpec(opset=23), "not 23; take --exporter dynamo"),
    ],
)
def test_an_opset_that_is_not_written_is_refused_before_anything_is_stored(
    spec: ExportSpec, words: str, recipe: Recipe, tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        export_checkpoint(recipe, tiny_trial.checkpoint, tmp_path / "model.onnx", spec, [])
    assert list(tmp_path.iterdir()) == []


def test_simplify_leaves_a_described_graph_alone(tmp_path: Path) -> None:
    onnx.save(make_mean_graph(), tmp_path / "model.onnx")
    (tmp_path / "model.onnx.json").write_text("{}")
    with pytest.raises(UsageError, match="is a graph with a manifest, which would no longer describe it"):
        simplify_file(tmp_path / "model.onnx", tmp_path / "model.onnx")


def test_simplify_hands_on_the_manifest_of_a_graph_of_ours(
    recipe: Recipe, tiny_trial: TinyTrial, tmp_path: Path
) -> None:
    made = export_checkpoint(
        recipe, tiny_trial.checkpoint, tmp_path / "in.onnx", ExportSpec(opset=17, batch_size=2, fuse=False), []
    )
    (tmp_path / "other").mkdir()
    output = tmp_path / "other" / "out.onnx"
    for batch in (4, 3):
        simplify_file(tmp_path / "in.onnx", output, (batch, 3, 32, 32))
    graph = read_graph(output).manifest
    assert graph.input.shape == (3, 3, 32, 32) and graph.output.shape == (3, 4)
    assert (graph.recipe, graph.preprocess_hash, graph.origin) == (made.recipe, made.preprocess_hash, made.sha256)
    assert [step.step for step in graph.parity] == ["export", "simplify", "simplify"]
    assert (output.parent / graph.checkpoint).resolve() == tmp_path / "in.safetensors"
    with pytest.raises(UsageError, match="is a graph with a manifest"):
        simplify_file(output, tmp_path / "in.onnx")


def test_a_graph_is_held_to_the_manifest_beside_it(tmp_path: Path) -> None:
    """Every way to read a graph; before, `simplify` took one whose weights had changed."""
    path = make_graph(tmp_path)
    onnx.save(make_mean_graph(), path)
    with pytest.raises(RefusedFile, match=r"model\.onnx is not the file that model\.onnx\.json describes"):
        simplify_file(path, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()
    edit_record(tmp_path / "model.onnx.json", sha256=hash_file(path))
    simplify_file(path, tmp_path / "out.onnx")
    (tmp_path / "model.onnx.json").write_text('{"of another tool": 1}')
    simplify_file(path, tmp_path / "other.onnx")


RANDOM = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 4)
    def forward(self, images):
        return self.last(images.mean(dim=(2, 3)) + torch.randn(3))
"""


def test_a_random_network_of_the_users_is_refused_before_it_is_exported(tiny_trial: TinyTrial, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(RANDOM)
    torch.save({"last.weight": torch.ones(4, 3), "last.bias": torch.zeros(4)}, tmp_path / "mine.pth")
    recipe = resolve_recipe(f"{tmp_path / 'mine.py'}:Net", like=str(tiny_trial.card))
    with pytest.raises(UsageError, match=r"'mine\.py:Net' is random: it gives the same images other logits each time"):
        export_checkpoint(recipe, tmp_path / "mine.pth", tmp_path / "out.onnx", ExportSpec(opset=17), ())
    assert not (tmp_path / "out.onnx").exists()


def test_a_graph_that_fits_one_batch_alone_is_one_line(tmp_path: Path) -> None:
    model = make_mean_graph()
    shape = onnx.numpy_helper.from_array(np.array([2, 3], np.int64), "two")
    model.graph.initializer.append(shape)
    model.graph.node[-1].CopyFrom(helper.make_node("Reshape", ["pooled", "two"], ["class"]))
    assert run_graph(model, np.zeros((2, 3, 4, 4), np.float32)).shape == (2, 3)
    with pytest.raises(EngineError, match=r"does not run on images 5 × 3 × 4 × 4 \(.*\); a forward that counts"):
        run_graph(model, np.zeros((5, 3, 4, 4), np.float32))


class Constant(torch.nn.Module):
    """Leaves torch, so that what is traced is a constant."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(images.mean(dim=(2, 3)).numpy())


def test_a_graph_without_images_says_what_its_network_does(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="a graph that does not depend on its images; compute with torch alone"):
        to_onnx(Constant(), recipe, ExportSpec(opset=17), tmp_path / "model.onnx")


def test_memory_that_runs_out_is_no_fault_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    model = make_mean_graph()

    class Session:
        run = fail

    with pytest.raises(MemoryError):
        run_session(Session(), {"image": np.zeros((1, 3, 4, 4), np.float32)})
    monkeypatch.setattr("seatrial.export.graph._open_session", fail)
    with pytest.raises(MemoryError):
        open_graph(model)
