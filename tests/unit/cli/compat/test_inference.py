"""ais_bench, benchmark and msame with their own flags."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from seatrial.cli import run_cli
from seatrial.cli.compat.call import Plan
from seatrial.cli.compat.run import plan_words
from seatrial.cli.compat.tools import TOOLS
from seatrial.errors import EngineError, UsageError
from seatrial.store.records import EngineManifest
from tiny_trial import TinyTrial


def plan_line(line: str) -> Plan:
    return plan_words(shlex.split(line), TOOLS)[1]


def plan(line: str) -> str:
    """The one command of ours that a line is."""
    (words,) = plan_line(line).commands
    return shlex.join(words)


@pytest.fixture(autouse=True)
def _folder(tiny_engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`net.om` for the CPU, and the manifest of `npu.om` for npu:1."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_engines / "engines" / "onnxruntime", "net.om")
    Path("npu.om").mkdir()
    manifest = EngineManifest.load(Path("net.om/engine.json"))
    manifest.model_copy(update={"engine": "ascend", "device": "npu:1"}).save(Path("npu.om/engine.json"))


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        (
            "python3 -m ais_bench --model net.om --input ./prep --output ./ --output_dirname result --outfmt TXT "
            "--batchsize 8",
            "--input ./prep --output ./ --output-dirname result --outfmt TXT --batch-size 8",
        ),
        ("python3 ./ais_infer.py --om net.om -r 100", "--loop 100"),
        ("python3 -m ais_bench --model=net.om --loop=100 --batchsize=16 --device 0", "--loop 100 --batch-size 16"),
        ("ais_bench -m net.om -i a.bin -o out -l 3 --outfmt npy", "--input a.bin --output out --loop 3 --outfmt NPY"),
        ("ais_bench --model net.om --display_all_summary=1 --warmup_count 0", "--display-all-summary --warmup 0"),
        ("ais_bench --model net.om --pure_data_type random --dymBatch 4", "--pure-data-type random --batch-size 4"),
        ("msit benchmark -om net.om -i prep -o . -od a -pdt zero -das 1 -bs 8", None),
        (
            "msit benchmark -om net.om -i prep -o . -od a -das 1",
            "--input prep --output . --output-dirname a --display-all-summary",
        ),
        (
            "./benchmark.x86_64 -model_type=vision -device_id=0 -batch_size=1 -om_path=net.om "
            "-input_text_path=./val.info -input_width=224 -input_height=224 -output_binary=False -useDvpp=False",
            "--input ./val.info --output . --layout benchmark --batch-size 1 --outfmt TXT",
        ),
        (
            "'./benchmark.${arch}' -om_path=net.om -batch_size=4 -input_imgFiles_path=val -output_binary=True",
            "--input val --output . --layout benchmark --batch-size 4 --outfmt BIN",
        ),
        (
            "./benchmark.x86_64 -om_path=net.om -batch_size=1 -device_id=3 -input_imgFiles_path=val",
            "--input val --output . --layout benchmark --batch-size 1 --outfmt TXT --device-number 3",
        ),
        (
            "./benchmark.aarch64 -round=50 -om_path=net.om -batch_size=4 -device_id=0",
            "--loop 50 --output . --layout benchmark --batch-size 4",
        ),
        (
            "./msame --model net.om --input prep --output out --outfmt TXT --loop 2 --debug true",
            "--layout msame --warmup 0 --input prep --output out --outfmt TXT --loop 2",
        ),
    ],
)
def test_every_form_is_infer(line: str, ours: str | None) -> None:
    if ours is None:
        with pytest.raises(UsageError, match="no flag -bs"):
            plan(line)
    else:
        assert plan(line) == f"infer net.om {ours}"


def test_without_an_npu_the_engines_own_device_is_taken_and_said() -> None:
    assert plan_line("ais_bench --model net.om --device 3").notes == (
        "device 3 is no NPU here: net.om runs on cpu, by onnxruntime fp32",
    )


def test_an_npu_is_the_one_that_it_was_compiled_for() -> None:
    assert plan_line("ais_bench --model npu.om --device 1").notes == ()
    with pytest.raises(EngineError, match=r"npu\.om was compiled for npu:1, and device 0 is asked for; take device 1"):
        plan("benchmark.x86_64 -om_path=npu.om -batch_size=1 -round=3")
    with pytest.raises(UsageError, match="device 0,1 is not one device"):
        plan("ais_bench --model npu.om --device 0,1")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ais_bench --input a", "needs --model"),
        ("ais_bench --model gone.om", r"gone.om is not there; .*--output=NAME. makes NAME.om; here are net.om, npu.om"),
        ("ais_bench --model file.om", "file.om is a file, and here an .om is an engine folder"),
        ("ais_bench --model empty.om", "empty.om is no engine folder"),
        ("ais_bench --model net.om --batchsize 1 --dymBatch 2", "give two batch sizes"),
        ("ais_bench --model net.om --dymHW 1,2", "image size is fixed"),
        ("ais_bench --model net.om --dump true --output a", "`seatrial diagnose`"),
        ("ais_bench --model net.om --outputt a", "did you mean '--output'"),
        ("ais_bench --model net", r"net is not there; did you mean net.om\?"),
        ("benchmark -om_path=net.om -batch_size=1 -input_text_path=a.info -input_width=999", "a.info says 224×224"),
        ("msit profile -om net.om", "msit profile is not possible here"),
        ("benchmark -om_path=net.om -batch_size=1", "not none"),
        ("benchmark -om_path=net.om -batch_size=1 -round=1 -input_text_path=a", "not -input_text_path and -round"),
        ("benchmark -om_path=net.om -round=1", "needs --batch_size"),
        ("benchmark -om_path=net.om -round=1 -batch_size=1 -model_type=nlp", "possible: vision"),
    ],
)
def test_what_cannot_be_done_is_refused(line: str, words: str) -> None:
    Path("file.om").touch()
    Path("a.info").write_text("0 ./prep/a.bin 224 224\n")
    Path("empty.om").mkdir()
    with pytest.raises(UsageError, match=words):
        plan(line)


def run(line: str) -> int:
    return run_cli(["compat", *shlex.split(line)])


def test_ais_bench_leaves_what_the_tool_leaves(tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"python3 -m ais_bench --model net.om --input {tiny_trial.images} --output ./ --output_dirname ./result"
    for more in ("--outfmt TXT", "--outfmt TXT --batchsize 8"):
        assert run(f"{line} {more}") == 0
    shown = capsys.readouterr()
    assert "logits of an earlier run in result make room; the tool would write between them" in shown.err
    assert "[INFO] throughput 1000*batchsize.mean(8)/NPU_compute_time.mean(" in shown.out
    files = sorted(Path("result").iterdir())
    assert [path.name for path in files] == [f"image_{number:03d}_0.txt" for number in range(24)]
    assert len(json.loads(Path("result_summary.json").read_text())["filesinfo"]) == 24


def test_a_loop_is_so_many_executions_after_warm_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("python3 -m ais_bench --model net.om --loop 7 --output . --output_dirname pure --pure_data_type random")
        == 0
    )
    summary = json.loads(Path("pure_summary.json").read_text())
    assert len(summary["npu_compute_time_list"]) == summary["NPU_compute_time"]["count"] == 7
    capsys.readouterr()
    assert run("./benchmark.x86_64 -round=5 -om_path=net.om -batch_size=2 -device_id=0") == 0
    shown = capsys.readouterr().out
    assert shown.count("finished cost") == 5 and "[INFO] ave_throughputRate: " in shown
    assert [path.name for path in Path("result").iterdir()] == ["PureInfer_perf_of_net_in_device_0.txt"]


def test_benchmark_may_be_repeated_too(tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]) -> None:
    line = (
        f"./benchmark.x86_64 -model_type=vision -om_path=net.om -batch_size=4 -input_imgFiles_path={tiny_trial.images}"
    )
    for _ in range(2):
        assert run(line) == 0
    assert "Interface throughputRate: " in capsys.readouterr().out
    assert len(list(Path("result/dumpOutput_device0").glob("image_*_1.txt"))) == 24
    lines = Path("result/perf_vision_batchsize_4_device_0.txt").read_text().splitlines()
    assert [line.partition("]")[0] for line in lines] == ["[e2e", "[data read", "[preprocess", "[infer", "[post"]


def test_another_device_number_has_its_own_files(tiny_trial: TinyTrial) -> None:
    for number in (0, 3):
        line = f"-om_path=net.om -batch_size=4 -device_id={number} -input_imgFiles_path={tiny_trial.images}"
        assert run(f"./benchmark.x86_64 {line}") == 0
    names = [f"dumpOutput_device{n}" for n in (0, 3)] + [f"perf_vision_batchsize_4_device_{n}.txt" for n in (0, 3)]
    assert sorted(path.name for path in Path("result").iterdir()) == names


def test_a_folder_with_other_files_is_left_alone(tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]) -> None:
    Path("val").mkdir()
    Path("val/thesis.txt").write_text("ten years")
    assert run(f"ais_bench --model net.om --input {tiny_trial.images} --output . --output_dirname val") == 2
    assert "make room" not in capsys.readouterr().err
    assert [path.name for path in Path("val").iterdir()] == ["thesis.txt"]


def test_msame_has_its_own_names_and_lines(tiny_trial: TinyTrial, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"./msame --model net.om --input {tiny_trial.images} --output out --outfmt BIN") == 0
    assert "Inference average time without first time: " in capsys.readouterr().out
    (folder,) = Path("out").iterdir()
    assert len(np.fromfile(folder / "image_007_output_0.bin", "<f4")) == 4
