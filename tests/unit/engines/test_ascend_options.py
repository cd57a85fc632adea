from pathlib import Path

import pytest

from ascend_job import make_job
from seatrial.engines.ascend.options import DECIDED, OPTIONS, check_atc_options
from seatrial.engines.base import CompileJob
from seatrial.errors import UsageError

AIPP = str(Path(__file__).parents[2] / "golden" / "aipp" / "aipp_resnet50.aippconfig")
FILE_OPTIONS = [name for name, option in OPTIONS.items() if option.is_file]


@pytest.mark.parametrize(
    "job",
    [
        make_job(),
        make_job(precision="fp32"),
        make_job(precision="fp32", options={"precision_mode_v2": "origin"}),
        make_job(options={"precision_mode": "cube_fp16in_fp32out"}),
        make_job(sizes=(1, 2048), options={"gears": "true"}),
        make_job(sizes=tuple(range(1, 101)), options={"gears": "true"}),
        make_job(sizes=(4096,), options={"gears": "false"}),
        make_job(options={"insert_op_conf": AIPP, "enable_small_channel": "1", "input_format": "NCHW"}),
        make_job(options={"enable_small_channel": "0", "output_type": "FP16", "buffer_optimize": "off_optimize"}),
        make_job(options={"op_select_implmode": "high_precision", "optypelist_for_implmode": "Gelu,Softmax"}),
        make_job(options={"auto_tune_mode": "RL,GA", "disable_reuse_memory": "1", "input_fp16_nodes": "image"}),
        make_job(fused=True, options={"soc_version": "Ascend910_9392", "log": "null", "input_format": "ND"}),
    ],
)
def test_what_atc_takes_is_taken(job: CompileJob) -> None:
    check_atc_options(job)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (make_job(options={"socversion": "x"}), "ascend has no option 'socversion'; its options: gears (true puts"),
        (make_job(options={"soc_version": "310P3"}), r"option soc_version=310P3 cannot be read; chip to compile for"),
        (make_job(options={"log": "verbose"}), "log cannot be verbose; give one of debug, info, warning, error, null"),
        (make_job(options={"input_format": "NHWC"}), "input_format cannot be NHWC; give one of NCHW, ND"),
        (make_job(options={"output_type": "UINT8"}), "output_type cannot be UINT8; give one of FP32, FP16"),
        (make_job(options={"buffer_optimize": "l3"}), "give one of l2_optimize, l1_optimize, off_optimize"),
        (make_job(options={"gears": "1,4"}), "gears cannot be 1,4; give one of true, false"),
        (make_job(options={"auto_tune_mode": ""}), "; give one of RL, GA"),
        (make_job(options={"op_select_implmode": "fast"}), "give one of high_precision, high_performance, "),
        (make_job(options={"optypelist_for_implmode": "Gelu"}), "optypelist_for_implmode needs op_select_implmode"),
        (make_job(options={"optypelist_for_implmode": "Gelu;Relu"}), "optypelist_for_implmode=Gelu;Relu cannot be"),
        (
            make_job(options={"precision_mode": "force_fp16", "precision_mode_v2": "fp16"}),
            "precision_mode and precision_mode_v2 exclude each other",
        ),
        (
            make_job(precision="fp32", options={"precision_mode": "force_fp32"}),
            "precision_mode=force_fp32 does not give fp32; fp32 is must_keep_origin_dtype",
        ),
        (
            make_job(options={"precision_mode_v2": "origin"}),
            "precision_mode_v2=origin does not give fp16; fp16 is fp16 or mixed_float16 or",
        ),
        (make_job(options={"modify_mixlist": AIPP}), "modify_mixlist needs a mixed precision_mode"),
        (make_job(precision="fp32", options={"keep_dtype": AIPP}), "keep_dtype has no effect in fp32"),
        (make_job(options={"enable_small_channel": "1"}), "enable_small_channel=1 needs a static AIPP; give insert_op"),
        (make_job(options={"enable_small_channel": "yes"}), "enable_small_channel cannot be yes; give one of 0, 1"),
        (
            make_job(fused=True, options={"insert_op_conf": AIPP}),
            "the preprocessing is in this graph already; leave it out, or export with --no-fuse-preprocess",
        ),
        (make_job(options={"insert_op_conf": AIPP, "input_format": "ND"}), "insert_op_conf needs input_format NCHW"),
        (make_job(fused=True, options={"input_format": "NCHW"}), "the graph takes NHWC images"),
        (make_job(options={"input_fp16_nodes": "data"}), "input_fp16_nodes=data: the graph's input is 'image'"),
        (make_job(fused=True, options={"input_fp16_nodes": "image"}), "the input is uint8 images"),
        (make_job(options={"input_fp16_nodes": "image", "insert_op_conf": AIPP}), "the input is uint8 images"),
        (make_job(sizes=()), "ascend has no free batch; give the sizes, such as --batch-size 1,4,8"),
        (make_job(sizes=(4,), options={"gears": "true"}), "gears are 2 to 100 batch sizes, not 1"),
        (make_job(sizes=tuple(range(1, 102)), options={"gears": "true"}), "2 to 100 batch sizes, not 101"),
        (make_job(sizes=(1, 2049), options={"gears": "true"}), "from 1 to 2048, not 1, 2049"),
        (make_job("/my models/model.onnx"), r"atc takes no path like /my models/model\.onnx; use letters, digits"),
    ],
)
def test_what_atc_would_refuse_is_refused_before_it_starts(job: CompileJob, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")) as caught:
        check_atc_options(job)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", DECIDED)
def test_what_something_else_decides_is_no_option(name: str) -> None:
    with pytest.raises(UsageError, match=f"^ascend takes no option '{name}'; ") as caught:
        check_atc_options(make_job(options={name: "1,4,8"}))
    assert caught.value.fix == DECIDED[name]


@pytest.mark.parametrize("name", FILE_OPTIONS)
def test_a_file_must_be_there(name: str, tmp_path: Path) -> None:
    for missing in (str(tmp_path / "none.cfg"), str(tmp_path), ""):
        with pytest.raises(UsageError, match=f"option {name}: there is no file"):
            check_atc_options(make_job(options={name: missing}))


@pytest.mark.parametrize("file", ["atc.log", "model-1.om", "engine.json", "my config.cfg", "fusion_result.json"])
def test_a_file_is_kept_beside_those_that_atc_writes(file: str, tmp_path: Path) -> None:
    (tmp_path / file).touch()
    with pytest.raises(UsageError, match="cannot be kept in the engine folder under its name; rename it"):
        check_atc_options(make_job(options={"fusion_switch_file": str(tmp_path / file)}))


def test_two_files_need_two_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "same.cfg", tmp_path / "a" / "same.cfg"):
        path.touch()
    options = {"fusion_switch_file": str(tmp_path / "same.cfg"), "op_precision_mode": str(tmp_path / "a" / "same.cfg")}
    with pytest.raises(UsageError, match=r"fusion_switch_file and op_precision_mode name two files same\.cfg; rename"):
        check_atc_options(make_job(options=options))


def test_an_aipp_file_is_read_before_atc_is(tmp_path: Path) -> None:
    config = tmp_path / "wrong.config"
    config.write_text("aipp_op {\n aipp_mode: static\n input_fromat: RGB888_U8\n}\n")
    with pytest.raises(UsageError, match=r"wrong\.config line 3: unknown field 'input_fromat'; did you mean"):
        check_atc_options(make_job(options={"insert_op_conf": str(config)}))
