"""A graph cut at its fused preprocessing: the two halves, run one after the other, are the whole."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from seatrial.data.preprocessing.aipp import parse_aipp
from seatrial.data.preprocessing.steps import normalise
from seatrial.diagnosis.compare_weights import compare_weights
from seatrial.export.fuse_aipp import fuse_aipp
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.export.graph import run_graph
from seatrial.export.split_preprocessing import cut_body, cut_tail
from seatrial.models.onnx_file import read_facts
from uneven_network import RECIPE, draw_pixels, make_network

AIPP = """aipp_op { aipp_mode: static input_format: RGB888_U8
mean_chn_0: 124 mean_chn_1: 116 mean_chn_2: 104 var_reci_chn_0: 0.017 var_reci_chn_1: 0.0175 var_reci_chn_2: 0.0174 }"""
PIXELS = draw_pixels(8)


@pytest.mark.parametrize("opset", [11, 17])
def test_the_halves_make_the_whole(opset: int) -> None:
    plain = make_network(uneven=1, opset=opset)
    whole = fuse_preprocess(plain, RECIPE)
    tail, body = cut_tail(whole), cut_body(whole)
    assert tail is not None
    floats = run_graph(tail, PIXELS)
    assert np.abs(floats - normalise(PIXELS, RECIPE)).max() < 1e-6
    assert np.array_equal(run_graph(body, floats), run_graph(whole, PIXELS))
    assert np.array_equal(run_graph(body, floats), run_graph(plain, floats))
    assert read_facts(body).input.shape == read_facts(plain).input.shape == (None, 3, 12, 12)
    assert read_facts(tail).input == read_facts(whole).input
    for part in (tail, body):
        onnx.checker.check_model(part, full_check=True)
    assert len(tail.graph.node) == 4 and len(tail.graph.initializer) == 2


def test_an_aipp_configuration_is_cut_off_too() -> None:
    whole = fuse_aipp(make_network(uneven=1), parse_aipp(AIPP, "test"))
    tail = cut_tail(whole)
    assert tail is not None
    assert np.array_equal(run_graph(cut_body(whole), run_graph(tail, PIXELS)), run_graph(whole, PIXELS))


def test_what_stands_inside_the_preprocessing_belongs_to_it() -> None:
    whole = fuse_preprocess(make_network(uneven=1), RECIPE)
    swap = helper.make_node("Gather", ["image", "order"], ["swapped"], "swap", axis=3)
    whole.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "order"))
    whole.graph.node[0].input[0] = "swapped"
    whole.graph.node.insert(0, swap)
    tail = cut_tail(whole)
    assert tail is not None
    assert np.abs(run_graph(tail, PIXELS) - normalise(PIXELS[..., ::-1], RECIPE)).max() < 1e-6
    assert compare_weights(make_network(uneven=1), cut_body(whole)) == "its weights are the same, its nodes are not"


def test_a_graph_without_preprocessing_is_all_body() -> None:
    plain = make_network(uneven=1)
    floats = normalise(PIXELS, RECIPE)
    assert cut_tail(plain) is None
    assert np.array_equal(run_graph(cut_body(plain), floats), run_graph(plain, floats))


def test_changed_weights_are_named() -> None:
    made, stored = make_network(uneven=1), make_network(uneven=1)
    kernel = next(weight for weight in stored.graph.initializer if weight.name == "kernel2")
    kernel.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernel) + np.float32(0.25), "kernel2"))
    assert compare_weights(made, stored) == "1 of 5 weights differs, 'kernel2' by up to 0.25"
    stored.graph.initializer.pop()
    assert compare_weights(made, stored).startswith("1 weights are in one graph only")
