"""Model repositories of Triton and of OpenVINO Model Server, by their documentation; none of these has met a server."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seatrial.engines.base import EngineFile, list_files
from seatrial.errors import EngineError
from seatrial.store.files import make_folder, write_text
from seatrial.store.records import TensorSpec
from seatrial.strict import check_name

FOLDER = "folder"
"""The format of a package without a model repository."""
REPOSITORY = "models"
TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32", "float16": "TYPE_FP16"}
"""Triton's names of types."""


def write_triton(folder: Path, name: str, file: EngineFile, runtime: Mapping[str, Any], most: int) -> None:
    """`models/NAME/config.pbtxt` and the graph, for Triton's onnxruntime backend.

    Args:
        most: images at a time that were measured, which limits what the server puts together.

    Raises:
        EngineError: the engine was measured with settings that the backend is not known to have.
    """
    plain = runtime["level"] == "ORT_ENABLE_ALL" and not runtime["left_out"]
    if not plain or not runtime["provider"].startswith(("CPU", "CUDA")):
        raise EngineError(
            f"the engine runs with {runtime['provider']}, {runtime['level']} without {runtime['left_out']}, which "
            "config.pbtxt cannot say",
            "write the package without --format",
        )
    size = file.find(most).batch_size
    kind = "KIND_CPU" if runtime["provider"].startswith("CPU") else "KIND_GPU"
    lines = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {0 if size else most}",
        f"input [ {_describe_tensor(file.manifest.input, size)} ]",
        f"output [ {_describe_tensor(file.manifest.output, size)} ]",
        f"instance_group [ {{ count: 1 kind: {kind} }} ]",
    ]
    if runtime["threads"]:
        value = f'value: {{ string_value: "{runtime["threads"]}" }}'
        lines.append(f'parameters {{ key: "intra_op_thread_count" {value} }}')
    model = folder / REPOSITORY / name
    _copy_version(model / "1", file, most, "model.onnx")
    write_text(model / "config.pbtxt", "\n".join(lines) + "\n")


def write_ovms(folder: Path, name: str, file: EngineFile, runtime: Mapping[str, Any], most: int) -> None:
    """`config.json` and `models/NAME`, for OpenVINO Model Server: device and precision are those measured."""
    size = file.find(most).batch_size
    shape = (size or -1, *(axis or -1 for axis in file.manifest.input.shape[1:]))
    plugin = dict(runtime["settings"])
    if runtime["threads"] and runtime["target"] == "CPU":
        plugin["INFERENCE_NUM_THREADS"] = str(runtime["threads"])
    config = {
        "name": name,
        "base_path": f"{REPOSITORY}/{name}",
        "target_device": runtime["target"],
        "shape": {file.manifest.input.name: f"({','.join(map(str, shape))})"},
        "plugin_config": plugin,
    }
    _copy_version(folder / REPOSITORY / name / "1", file, most, "model.xml")
    write_text(folder / "config.json", json.dumps({"model_config_list": [{"config": config}]}, indent=1) + "\n")


SERVERS: dict[str, tuple[str, Callable[[Path, str, EngineFile, Mapping[str, Any], int], None]]] = {
    "triton": ("onnxruntime", write_triton),
    "ovms": ("openvino", write_ovms),
}
"""By the name of a format: the engine that the server runs as it was measured, and what writes its repository."""


def _describe_tensor(spec: TensorSpec, size: int | None) -> str:
    """One input or output; without its batch where that is free."""
    axes = (*((size,) if size else ()), *spec.shape[1:])
    dims = ", ".join(str(-1 if axis is None else axis) for axis in axes)
    return f'{{ name: "{spec.name}" data_type: {TYPES[spec.dtype]} dims: [ {dims} ] }}'


def _copy_version(target: Path, file: EngineFile, most: int, name: str) -> None:
    """The engine file under the server's own name, and what belongs to it."""
    make_folder(target)
    model = Path(file.find(most).path)
    shutil.copyfile(file.folder / model, target / name)
    for other in map(Path, list_files(file.manifest).keys() - {each.path for each in file.manifest.files}):
        same = other.stem == model.stem and other.suffix == ".bin" and name.endswith(".xml")
        if same or name.endswith(".onnx"):
            place = target / (f"model{other.suffix}" if same else other)
            make_folder(place.parent)
            shutil.copyfile(file.folder / other, place)


def check_server(form: str, engine: str) -> None:
    """Refuse a format that there is not, or whose server does not run the engine as it was measured.

    Raises:
        UsageError: lists the formats.
        EngineError: names the engine that the server runs.
    """
    check_name(form, (FOLDER, *SERVERS), f"--format {form}: there is no such format")
    if form != FOLDER and SERVERS[form][0] != engine:
        raise EngineError(
            f"--format {form} is for engines of {SERVERS[form][0]}, and this one is of {engine}",
            "package another engine of the run, or leave --format out",
        )
