from collections.abc import Iterator
from pathlib import Path

import pytest

from ascend_machine import emulate_ascend
from seatrial.engines.ascend import atc
from seatrial.engines.ascend.atc import LOG, AtcCall, count_precisions, explain_failure, read_back, run_atc
from seatrial.errors import EngineError, UsageError

FAILED = (
    "ATC start working now, please wait for a moment.\nATC run failed, Please check the detail log, Try 'atc --help'\n"
)
TIME = "[PID: 10490] 2025-03-18-09:02:18.501.341 "


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An engine folder, on a machine with the emulated `atc`."""
    (tmp_path / "engine").mkdir()
    with emulate_ascend(tmp_path):
        yield tmp_path / "engine"


def make_call(*words: str) -> AtcCall:
    return AtcCall(("atc", *words), "model-1", (1,))


@pytest.mark.parametrize(
    ("output", "kind", "problem", "fix"),
    [
        (
            f"E10001: {TIME}Value [Ascend9] for parameter [--soc_version] is invalid. Reason: unknown.\n"
            "        Solution: Try again with a valid argument.\n",
            UsageError,
            "atc fails with E10001: Value [Ascend9] for parameter [--soc_version] is invalid. Reason: unknown",
            None,
        ),
        (
            "E10007: [--framework] is required. The value must be [0(Caffe) or 5(Onnx)].\n",
            UsageError,
            "atc fails with E10007: [--framework] is required. The value must be [0(Caffe) or 5(Onnx)]",
            None,
        ),
        (
            f"E10054: {TIME}The required parameter [--model] for ATC is empty.\n",
            UsageError,
            "atc fails with E10054: The required parameter [--model] for ATC is empty",
            None,
        ),
        (
            f"E19010: {TIME}No parser is registered for Op [div, optype [ai.onnx::23::Div]].\n",
            EngineError,
            "atc fails with E19010: No parser is registered for Op [div, optype [ai.onnx::23::Div]]",
            "export with a lower --opset",
        ),
        (
            "EZ3003: No supported Ops kernel and engine are found for [Relu_34], optype [MyOp].\n"
            "        Possible Cause: The operator is not supported by the system.\n"
            "        Solution: 1. Check that the OPP component is installed properly.\n",
            EngineError,
            "atc fails with EZ3003: No supported Ops kernel and engine are found for [Relu_34], optype [MyOp]",
            "this CANN has no such operator for the chip: export with another --opset or --exporter",
        ),
        (
            f"EE1001: {TIME}The argument is invalid.\n        Solution: 1. Check the input parameter range.\n",
            EngineError,
            "atc fails with EE1001: The argument is invalid",
            "Check the input parameter range",
        ),
        (
            "[PID: 71] 2026-01-02-03:04:05.678.901 Invalid_Argument(E10001): Value [7] is invalid.\n",
            UsageError,
            "atc fails with E10001: Value [7] is invalid",
            None,
        ),
        (
            "ERROR: unknown command line flag 'precision_mode_v2'\n",
            UsageError,
            "this CANN's atc has no flag 'precision_mode_v2'",
            "leave the option out, or update CANN",
        ),
        (
            "atc.bin: error while loading shared libraries: libascend_hal.so: cannot open shared object file\n",
            EngineError,
            "atc does not find libascend_hal.so",
            "export LD_LIBRARY_PATH=/usr/local/Ascend/driver/lib64/driver:/usr/local/Ascend/driver/lib64/common:"
            "/usr/local/Ascend/driver/lib64:$LD_LIBRARY_PATH",
        ),
        ("something else\n\n", EngineError, "atc fails with exit code 1: something else", None),
        ("", EngineError, "atc fails with exit code 1", None),
    ],
)
def test_what_atc_says_becomes_one_line(output: str, kind: type[Exception], problem: str, fix: str | None) -> None:
    error = explain_failure(1, FAILED + output)
    assert (type(error), error.problem, error.fix) == (kind, problem, fix)


def test_an_atc_that_was_killed_says_nothing_itself() -> None:
    assert str(explain_failure(-9, FAILED)) == "atc was killed by signal 9; is there enough memory?"
    assert str(explain_failure(0, "done\n")) == "atc wrote no file: done"


def test_the_log_holds_the_command_and_what_it_said(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"fails with E10054: The required parameter \[--soc_version\]") as caught:
        run_atc(make_call("--framework=5", "--input_shape=a b:1"), folder)
    log = (folder / LOG).read_text()
    assert log.startswith("$ atc --framework=5 '--input_shape=a b:1'\nATC start working now, please wait")
    kept = Path(str(caught.value).rpartition(" is in ")[2])
    assert kept.parent.parent != folder and kept.read_text() == log


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--soc_version=Ascend9",), "E10001"),
        (("--log=loud",), "E10010"),
        (("--framework=2",), "E10007"),
        (("--enable_small_channel=2",), "E10006"),
        (("--model=none.onnx",), "E10001"),
        (("--framework=5", "--soc_version=Ascend310", "--output=x"), "E10054"),
    ],
)
def test_the_emulator_refuses_with_the_documented_codes(folder: Path, words: tuple[str, ...], code: str) -> None:
    with pytest.raises(UsageError, match=f"atc fails with {code}: "):
        run_atc(make_call(*words), folder)


def test_the_emulator_knows_no_other_flags(folder: Path) -> None:
    with pytest.raises(UsageError, match="this CANN's atc has no flag 'dynamic_batchsize'"):
        run_atc(make_call("--dynamic-batchsize=1,4"), folder)


def test_precisions_are_counted_by_what_operators_take() -> None:
    def op(kind: str, *dtypes: str) -> dict[str, object]:
        return {"type": kind, "input_desc": [{"dtype": dtype} for dtype in dtypes]}

    ops = [
        op("Conv2D", "DT_FLOAT16", "DT_FLOAT"),
        op("Conv2D", "DT_FLOAT16"),
        op("MatMulV2", "DT_FLOAT"),
        op("Relu", "DT_FLOAT"),
        op("Data"),
        op("DepthwiseConv2D", "DT_INT8"),
        op("Conv2D", "DT_NEW"),
    ]
    counted = count_precisions({"graph": [{"op": ops[:3]}, {"op": ops[3:]}]})
    assert counted == {"fp16": 2, "fp32": 1, "int8": 1, "DT_NEW": 1}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"graph": {"op": 1}}', '{"graph": [{"op": [7]}]}', '{"graph": 1}'])
def test_a_description_that_cannot_be_read_tells_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def describe(*_: object) -> tuple[int, str]:
        (folder / "model-1.json").write_text(text)
        return 0, ""

    monkeypatch.setattr(atc, "_run_logged", describe)
    assert read_back(folder / "model-1.om", folder) == {}
    assert not any(folder.iterdir())


def test_an_om_that_cannot_be_described_tells_nothing(folder: Path) -> None:
    om = folder / "model-1.om"
    om.write_bytes(b"")
    assert read_back(om, folder) == {}
    assert sorted(path.name for path in folder.iterdir()) == [LOG, "model-1.om"]
