import subprocess
import sys

import pytest

from seatrial.engines import ENGINES, get_engine
from seatrial.errors import UsageError


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^there is no engine 'openvin'; did you mean 'openvino'\?$"):
        get_engine("openvin")
    with pytest.raises(
        UsageError, match="there is no engine 'tpu'; known: ascend, onnxruntime, openvino, tensorrt, torch"
    ):
        get_engine("tpu")


def test_no_sdk_is_loaded_before_an_engine_is_asked_what_it_can() -> None:
    code = (
        "import sys\nimport seatrial.engines, seatrial.engines.engine_folder\n"
        f"for name in {list(ENGINES)!r}:\n    seatrial.engines.get_engine(name)\n"
        "sdks = {'torch', 'onnx', 'onnxruntime', 'openvino', 'timm', 'nncf', 'tensorrt', 'cuda'}\n"
        "print(*sorted(sdks & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"
