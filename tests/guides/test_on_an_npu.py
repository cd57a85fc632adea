"""A guide's commands on an emulated NPU: the engine is then the NPU, and its own flags reach `atc`."""

import shlex
from pathlib import Path

import pytest

from ascend_machine import emulate_ascend
from seatrial.cli import run_cli
from seatrial.store.records import EngineManifest
from tiny_trial import TinyTrial

COMMANDS = """\
npu-smi info
python3 tiny_preprocess.py {images} ./prep_dataset
python3 get_info.py bin ./prep_dataset ./tiny.info 32 32
python3 tiny_pth2onnx.py {weights} tiny.onnx
atc --framework=5 --model=tiny.onnx --output=tiny_bs4 --input_format=NCHW \
--input_shape="image:4,3,32,32" --log=error --soc_version=Ascend310P3
python3 -m ais_bench --model tiny_bs4.om --input ./prep_dataset --output ./ --output_dirname result \
--outfmt TXT --device 0 --batchsize 4
python3 vision_metric_ImageNet.py ./result {labels} ./ result.json
./benchmark.x86_64 -model_type=vision -device_id=0 -batch_size=4 -om_path=tiny_bs4.om \
-input_text_path=./tiny.info -input_width=32 -input_height=32 -output_binary=False -useDvpp=False
python3 vision_metric_ImageNet.py ./result/dumpOutput_device0 {labels} ./ older.json
python3 -m ais_bench --model tiny_bs4.om --loop 5 --batchsize 4
"""


def test_a_guides_commands_use_the_npu(
    tiny_trial: TinyTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {"images": tiny_trial.images, "weights": tiny_trial.checkpoint, "labels": tiny_trial.labels}
    with emulate_ascend(tmp_path / "cann"):
        for line in COMMANDS.format(**values).splitlines():
            if "benchmark" in line:
                # The older tool's folder lies in one of the same name as ais_bench's.
                Path("result").rename("newer")
            assert run_cli(["compat", "--recipe", str(tiny_trial.card), *shlex.split(line)]) == 0, line
    manifest = EngineManifest.load(Path("tiny_bs4.om/engine.json"))
    assert (manifest.engine, manifest.precision, manifest.device) == ("ascend", "fp16", "npu:0")
    assert "--log=error" in Path("tiny_bs4.om/atc.log").read_text()
    assert Path("result.json").read_bytes() == Path("older.json").read_bytes()
    # The emulator counts half a millisecond for an image.
    assert "throughput 1000*batchsize.mean(4)/NPU_compute_time.mean(2.0): 2000.0" in capsys.readouterr().out
