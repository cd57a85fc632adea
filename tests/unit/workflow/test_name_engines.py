import pytest

from seatrial.engines.base import Capabilities
from seatrial.engines.engine_folder import BuildSpec
from seatrial.errors import EngineError, UsageError
from seatrial.workflow import compile
from seatrial.workflow.compile import label_engine, parse_engine


class Driverless:
    """An engine whose SDK is installed on a machine without its device."""

    def probe(self) -> Capabilities:
        return Capabilities("tensorrt", "10.3.0", missing="there is no GPU to use", install_hint="`nvidia-smi` …")


def test_what_is_left_out_is_the_first_that_the_engine_has() -> None:
    assert parse_engine("onnxruntime") == BuildSpec("onnxruntime", "fp32", "cpu", label="onnxruntime")
    assert parse_engine("openvino:fp32@cpu") == BuildSpec("openvino", "fp32", "cpu", label="openvino-fp32-cpu")


def test_an_sdk_without_a_device_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compile, "get_engine", lambda name: Driverless())
    for text in ("tensorrt", "tensorrt:fp16", "tensorrt@cuda:0"):
        with pytest.raises(EngineError, match="'tensorrt' cannot be used: there is no GPU to use"):
            parse_engine(text)


@pytest.mark.parametrize("text", ["openvino:", "openvino@", "openvino:bf16@", "openvin", "openvino:bf61"])
def test_names_that_are_half_written_are_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_engine(text)


def test_the_name_in_a_run_is_answered_with_how_it_is_requested() -> None:
    with pytest.raises(UsageError, match="there is no engine 'openvino-bf16'; did you mean 'openvino:bf16'"):
        parse_engine("openvino-bf16")
    with pytest.raises(UsageError, match="there is no engine 'OpenVINO'; did you mean 'openvino'"):
        parse_engine("OpenVINO")


def test_another_precision_is_offered_as_it_was_requested() -> None:
    has = {"x": Capabilities("x", "1", ("cpu", "npu:0"), ("fp32", "bf16"))}
    with pytest.raises(EngineError, match=r"x on this machine cannot run fp16; take x:fp32 or x:bf16$"):
        parse_engine("x:fp16", has)
    with pytest.raises(EngineError, match=r"x has no device 'npu:7' here; take x@cpu or x@npu:0$"):
        parse_engine("x@npu:7", has)
    with pytest.raises(EngineError, match=r"take --precision fp32 or bf16$"):
        parse_engine("x:fp16", has, options=True)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("openvino", "openvino"),
        (" openvino:bf16 ", "openvino-bf16"),
        ("torch@cuda:1", "torch-cuda1"),
        ("torch:fp16@cuda:1", "torch-fp16-cuda1"),
    ],
)
def test_an_engine_has_a_name_in_a_run(text: str, label: str) -> None:
    assert label_engine(text) == label
