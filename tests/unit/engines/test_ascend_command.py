"""The command lines of the guides, to the byte."""

from pathlib import Path

import pytest

from ascend_job import make_job
from seatrial.engines.ascend.atc import plan_calls
from seatrial.engines.base import CompileJob

AIPP = Path(__file__).parents[2] / "golden" / "aipp"

GUIDES = [
    (
        "SK-ResNet50",
        make_job("/models/sk_resnet50.onnx", "image", (8,), {"log": "debug"}),
        "Ascend310P3",
        "atc --framework=5 --model=/models/sk_resnet50.onnx --output=model-8 --input_format=NCHW "
        "--input_shape=image:8,3,224,224 --soc_version=Ascend310P3 --precision_mode=force_fp16 --log=debug",
    ),
    (
        "SPNASNet-100",
        make_job("/models/spnasnet_100.onnx", "actual_input_1", (1,), {"log": "info"}),
        "Ascend310",
        "atc --framework=5 --model=/models/spnasnet_100.onnx --output=model-1 --input_format=NCHW "
        "--input_shape=actual_input_1:1,3,224,224 --soc_version=Ascend310 --precision_mode=force_fp16 --log=info",
    ),
    (
        "ResNet50",
        make_job(
            "/models/resnet50_official.onnx",
            "actual_input_1",
            (64,),
            {
                "enable_small_channel": "1",
                "insert_op_conf": str(AIPP / "aipp_resnet50.aippconfig"),
                "log": "error",
            },
        ),
        "Ascend910A",
        "atc --framework=5 --model=/models/resnet50_official.onnx --output=model-64 --input_format=NCHW "
        "--input_shape=actual_input_1:64,3,224,224 --soc_version=Ascend910A --precision_mode=force_fp16 "
        "--enable_small_channel=1 --insert_op_conf=aipp_resnet50.aippconfig --log=error",
    ),
    (
        "SE-ResNeXt101",
        make_job("/models/se-resnext.onnx", "image", (16,), {"log": "error"}),
        "Ascend310P3",
        "atc --framework=5 --model=/models/se-resnext.onnx --output=model-16 --input_format=NCHW "
        "--input_shape=image:16,3,224,224 --soc_version=Ascend310P3 --precision_mode=force_fp16 --log=error",
    ),
    (
        "ResNeXt-50 with DVPP",
        make_job(
            "/models/resnext50.onnx",
            "actual_input_1",
            (1,),
            {"insert_op_conf": str(AIPP / "aipp_resnext50_pth.config"), "log": "error"},
        ),
        "Ascend310P3",
        "atc --framework=5 --model=/models/resnext50.onnx --output=model-1 --input_format=NCHW "
        "--input_shape=actual_input_1:1,3,224,224 --soc_version=Ascend310P3 --precision_mode=force_fp16 "
        "--insert_op_conf=aipp_resnext50_pth.config --log=error",
    ),
]


@pytest.mark.parametrize(("job", "chip", "line"), [case[1:] for case in GUIDES], ids=[case[0] for case in GUIDES])
def test_the_guides_commands(job: CompileJob, chip: str, line: str) -> None:
    assert [call.line for call in plan_calls(job, chip)] == [line]


def test_a_file_for_each_batch_size() -> None:
    calls = plan_calls(make_job(sizes=(16, 1)), "Ascend310")
    assert [(call.name, call.batch_sizes) for call in calls] == [("model-16", (16,)), ("model-1", (1,))]
    assert [word for call in calls for word in call.words if "shape" in word] == [
        "--input_shape=image:16,3,224,224",
        "--input_shape=image:1,3,224,224",
    ]


def test_one_file_with_gears() -> None:
    (call,) = plan_calls(make_job(sizes=(8, 1, 4), options={"gears": "true"}), "Ascend310P3")
    assert (call.name, call.batch_sizes) == ("model-gears", (8, 1, 4))
    assert call.line == (
        "atc --framework=5 --model=/models/model.onnx --output=model-gears --input_format=NCHW "
        "--input_shape=image:-1,3,224,224 --dynamic_batch_size=1,4,8 --soc_version=Ascend310P3 "
        "--precision_mode=force_fp16"
    )


def test_a_graph_of_images_is_no_nchw() -> None:
    (call,) = plan_calls(make_job(fused=True, precision="fp32"), "Ascend310P3")
    assert "--input_format=ND" in call.words and "--input_shape=image:1,224,224,3" in call.words
    assert "--precision_mode=must_keep_origin_dtype" in call.words


def test_precision_mode_gives_way_to_its_successor() -> None:
    (call,) = plan_calls(make_job(options={"precision_mode_v2": "mixed_float16"}), "Ascend310P3")
    assert [word for word in call.words if "precision" in word] == ["--precision_mode_v2=mixed_float16"]


def test_an_option_stands_once_and_replaces_the_default() -> None:
    options = {"input_format": "ND", "precision_mode": "allow_mix_precision", "soc_version": "Ascend310B4"}
    (call,) = plan_calls(make_job(options=options), "Ascend310B4")
    assert [word.split("=")[0] for word in call.words[1:]] == [
        *("--framework", "--model", "--output", "--input_format", "--input_shape", "--soc_version", "--precision_mode")
    ]
    assert {f"--{name}={value}" for name, value in options.items()} <= set(call.words)


def test_the_line_is_quoted_for_a_shell() -> None:
    (call,) = plan_calls(make_job(input="input;1", options={"optypelist_for_implmode": "Gelu"}), "Ascend310")
    assert "'--input_shape=input;1:1,3,224,224'" in call.line
