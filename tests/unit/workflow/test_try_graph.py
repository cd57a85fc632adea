from dataclasses import replace
from pathlib import Path

import pytest

from hostile_graphs import CLASSES, SIZE, write_hostile
from onnx_graphs import write_linear
from seatrial.errors import RefusedFile
from seatrial.models.onnx_file import check_inference, load_graph
from seatrial.store.records import TensorSpec
from seatrial.workflow import try_graph as module
from seatrial.workflow.try_graph import GraphTrial, try_graph

PIXELS = TensorSpec(name="pixels", dtype="float32", shape=(None, 3, SIZE, SIZE), layout="NCHW")
SCORES = TensorSpec(name="scores", dtype="float32", shape=(None, CLASSES), layout="NC")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def attempt(path: Path, sha256: str = "a") -> None:
    try_graph(GraphTrial(graph=path, input=PIXELS, output=SCORES), sha256)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("expand", "cannot be run: .*Expand"),
        ("fewer rows", "gives 1 rows of logits for 2 images; export it so that each image has its row"),
    ],
)
def test_what_cannot_be_a_classifier_is_refused(tmp_path: Path, kind: str, what: str) -> None:
    with pytest.raises(RefusedFile, match=what):
        attempt(write_hostile(tmp_path / "model.onnx", kind))


def test_a_graph_that_never_ends_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMITS", replace(module.LIMITS, processor_s=4))
    path = write_hostile(tmp_path / "model.onnx", "loop")
    with pytest.raises(RefusedFile, match=r"a run of .*model.onnx was stopped after 4 s of processor time; export the"):
        attempt(path)


def test_a_graph_that_asks_for_more_memory_than_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 12 GB, which this machine may have."""
    monkeypatch.setattr(module, "LIMITS", replace(module.LIMITS, memory_bytes=1 << 30))
    with pytest.raises(RefusedFile, match=r"model\.onnx"):
        attempt(write_hostile(tmp_path / "model.onnx", "range"))


def test_what_passed_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_linear(tmp_path / "model.onnx")
    attempt(path, "one")
    monkeypatch.setattr(module, "call_child", lambda *_, **__: pytest.fail("tried again"))
    attempt(path, "one")
    with pytest.raises(pytest.fail.Exception, match="tried again"):
        attempt(path, "another")


def test_a_graph_that_draws_random_numbers_is_refused(tmp_path: Path) -> None:
    model = load_graph(write_hostile(tmp_path / "model.onnx", "random"))
    with pytest.raises(RefusedFile, match=r"x.onnx draws random numbers \(its RandomNormal 'noise'\)"):
        check_inference(model, "x.onnx")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("unknown type", r"'weights' is of type 99, which onnx .* does not know"),
        ("negative shape", "Negative dimension value"),
        ("circle", "does not keep to the ONNX standard"),
        ("unknown operator", "No Op registered for Classify"),
    ],
)
def test_a_file_that_keeps_to_no_rule_is_refused(tmp_path: Path, kind: str, what: str) -> None:
    with pytest.raises(RefusedFile, match=what):
        load_graph(write_hostile(tmp_path / "model.onnx", kind))
