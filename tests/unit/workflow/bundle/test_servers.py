"""Model repositories as the servers' documentation describes them; no server reads them here."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from onnx_graphs import write_linear
from seatrial.engines.base import EngineFile, read_engine
from seatrial.errors import EngineError, UsageError
from seatrial.store.files import hash_file
from seatrial.workflow.bundle.servers import SERVERS, check_server, write_ovms, write_triton
from seatrial.workflow.package import find_runtime

CONFIG = """\
name: "tiny"
backend: "onnxruntime"
max_batch_size: {most}
input [ {{ name: "image" data_type: TYPE_UINT8 dims: [ {batch}32, 32, 3 ] }} ]
output [ {{ name: "class" data_type: TYPE_FP32 dims: [ {batch}4 ] }} ]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
"""


def fix_batch(file: EngineFile, size: int) -> EngineFile:
    (model,) = file.manifest.files
    fixed = file.manifest.model_copy(update={"files": (model.model_copy(update={"batch_size": size}),)})
    return replace(file, manifest=fixed)


@pytest.fixture
def engines(tiny_engines: Path) -> dict[str, EngineFile]:
    return {name: read_engine(tiny_engines / "engines" / name) for name in ("onnxruntime", "openvino")}


def test_triton_gets_names_shapes_and_types(engines: dict[str, EngineFile], tmp_path: Path) -> None:
    file = engines["onnxruntime"]
    for folder, each, filled in (
        ("free", file, {"most": 16, "batch": ""}),
        ("fixed", fix_batch(file, 2), {"most": 0, "batch": "2, "}),
    ):
        write_triton(tmp_path / folder, "tiny", each, find_runtime(file).settings, 16)
        model = tmp_path / folder / "models" / "tiny"
        assert (model / "config.pbtxt").read_text() == CONFIG.format(**filled)
        assert hash_file(model / "1" / "model.onnx") == file.manifest.files[0].sha256
    settings = {**find_runtime(file).settings, "threads": 3}
    write_triton(tmp_path / "threads", "tiny", file, settings, 16)
    text = (tmp_path / "threads" / "models" / "tiny" / "config.pbtxt").read_text()
    assert 'key: "intra_op_thread_count" value: { string_value: "3" }' in text
    for other in (
        {"level": "ORT_ENABLE_BASIC"},
        {"left_out": ["Pad_Fusion"]},
        {"provider": "TensorrtExecutionProvider"},
    ):
        with pytest.raises(EngineError, match="cannot say"):
            write_triton(tmp_path / "other", "tiny", file, {**settings, **other}, 16)


def test_weights_beside_a_graph_keep_their_name(engines: dict[str, EngineFile], tmp_path: Path) -> None:
    made = tmp_path / "engine"
    made.mkdir()
    write_linear(made / "model-free.onnx", outside="net.data")
    file = engines["onnxruntime"]
    manifest = file.manifest.model_copy(update={"companions": {"net.data": hash_file(made / "net.data")}})
    outside = replace(file, folder=made, manifest=manifest)
    write_triton(tmp_path / "out", "tiny", outside, find_runtime(file).settings, 16)
    assert {path.name for path in (tmp_path / "out/models/tiny/1").iterdir()} == {"model.onnx", "net.data"}


def test_the_model_server_gets_the_measured_precision(engines: dict[str, EngineFile], tmp_path: Path) -> None:
    file = engines["openvino"]
    write_ovms(tmp_path, "tiny", file, find_runtime(file).settings, 16)
    (entry,) = json.loads((tmp_path / "config.json").read_text())["model_config_list"]
    config = entry["config"]
    assert config["shape"] == {file.manifest.input.name: "(-1,32,32,3)"} and config["target_device"] == "CPU"
    assert config["plugin_config"]["INFERENCE_PRECISION_HINT"] == "f32"
    version = tmp_path / config["base_path"] / "1"
    assert {path.name for path in version.iterdir()} == {"model.xml", "model.bin"}
    assert hash_file(version / "model.xml") == file.manifest.files[0].sha256


def test_what_a_server_runs_otherwise_is_refused() -> None:
    for form, (engine, _) in SERVERS.items():
        check_server(form, engine)
        with pytest.raises(EngineError, match=re.escape(f"--format {form} is for engines of {engine}")):
            check_server(form, "torch")
    with pytest.raises(UsageError, match="did you mean 'triton'"):
        check_server("trito", "onnxruntime")
