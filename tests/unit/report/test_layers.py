"""Layers in another precision than requested, with the reason that is known."""

from pathlib import Path

from run_folder import BF16, INT8, TORCH, Trial, build_run
from seatrial.report.layers import make_layers
from seatrial.results.run_folder import read_run
from seatrial.store.records import EngineManifest, Int8Calibration, LayerPrecision


def change(folder: Path, name: str, **changes: object) -> None:
    path = folder / "engines" / name / "engine.json"
    EngineManifest.load(path).model_copy(update=changes).save(path)


def test_records_with_counts_alone_show_counts(tmp_path: Path) -> None:
    table = make_layers(read_run(build_run(tmp_path, Trial(ships=(TORCH, BF16)))))
    assert table.rows == (("openvino-bf16", "bf16", "fp32", "4", "–", "–", "–"),)


def test_layers_of_one_kind_are_a_row_with_their_reason(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH, BF16)))
    layers = [
        LayerPrecision(name=f"conv{n}", operator="Convolution", precision="fp32", reason="its kernel is jit_f32")
        for n in range(4)
    ]
    change(tmp_path, "openvino-bf16", other_layers=tuple(layers))
    assert make_layers(read_run(tmp_path)).rows == (
        (
            "openvino-bf16",
            "bf16",
            "fp32",
            "4",
            "Convolution",
            "conv0, conv1, conv2 and 1 more",
            "its kernel is jit_f32",
        ),
    )


def test_what_quantising_kept_in_float_says_so(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH, INT8)))
    built = EngineManifest.load(tmp_path / "engines" / "openvino-int8" / "engine.json")
    calibration = Int8Calibration(
        images=8, sha256="a" * 64, contents={}, preset="mixed", layers=50, float_layers=7, kept_float=("fc",)
    )
    graph = built.graph.model_copy(update={"calibration": calibration})
    layer = LayerPrecision(name="fc", operator="FullyConnected", precision="fp32", reason="its kernel is gemm_f32")
    change(tmp_path, "openvino-int8", graph=graph, other_layers=(layer,), executed={"int8": 56, "fp32": 1})
    rows = make_layers(read_run(tmp_path)).rows
    assert [row[4:] for row in rows] == [("FullyConnected", "fc", "kept in float to keep the accuracy")]


def test_without_any_that_is_said(tmp_path: Path) -> None:
    table = make_layers(read_run(build_run(tmp_path, Trial(ships=(TORCH,)))))
    assert table.rows == () and table.absent.startswith("Every layer runs in the precision that was requested")
