"""The training guide's scripts: what each is here, and one of them run."""

import shlex
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.cli.compat import training
from seatrial.cli.compat.call import Plan
from seatrial.cli.compat.run import plan_words
from seatrial.cli.compat.tools import TOOLS
from seatrial.cli.compat.training import MANY_CARDS, ONE_CARD, SCRIPTS
from seatrial.errors import UsageError
from seatrial.recipes import load_recipe
from seatrial.recipes.training import Train
from seatrial.train.tracking.guide_log import read_case
from tiny_trial import TinyTrial

SHARED = "--label-smoothing 0.1 --weight-decay 0.0001 --momentum 0.9 --no-nesterov --amp fp16 --loss-scale 1024"
ONE = f"--batch-size 512 --learning-rate 0.2 --warmup-epochs 5 {SHARED} --guide-format"
MANY = f"--batch-size {{}} --learning-rate {{}} --warmup-epochs 8 {SHARED} --seed 49 --print-freq 1 --guide-format"
FULL, FAST = f"--epochs 90 {MANY}", f"--performance --epochs 3 {MANY}"
COMMANDS = {
    "train_full_1p.sh": f"--epochs 90 {ONE}",
    "train_performance_1p.sh": f"--performance --epochs 1 {ONE}",
    "train_eval_1p.sh": "--evaluate --batch-size 512 --amp fp16 --guide-format",
    "train_full_4p.sh": FULL.format(2048, 1.6) + " --nproc 4",
    "train_full_8p.sh": FULL.format(4096, 1.6) + " --nproc 8",
    "train_full_16p.sh": FULL.format(4096, 1.6),
    "train_full_32p.sh": FULL.format(16384, 4.9),
    "train_performance_4p.sh": FAST.format(2048, 1.6) + " --nproc 4",
    "train_performance_8p.sh": FAST.format(4096, 1.6) + " --nproc 8",
    "train_performance_16p.sh": FAST.format(4096, 1.6),
    "train_performance_32p.sh": FAST.format(8192, 1.6),
    "train_performance_64p.sh": FAST.format(16384, 1.6),
    "train_performance_multinodes.sh": FAST.format(4096, 1.6) + " --nproc 8",
}
"""After recipe, data, output and device."""
MACHINES = {"16": 2, "32": 4, "64": 8}


@pytest.fixture(autouse=True)
def npus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that are not here."""
    monkeypatch.setattr(training, "_list_devices", lambda: ("cpu", *(f"npu:{number}" for number in range(8))))
    monkeypatch.delenv("ASCEND_DEVICE_ID", raising=False)


def plan(line: str) -> Plan:
    return plan_words(shlex.split(line), TOOLS, recipe="resnet50")[1]


def test_the_settings_are_the_presets_of_the_card() -> None:
    presets = load_recipe("resnet50").presets
    assert (dict(ONE_CARD), dict(MANY_CARDS)) == (presets["guide-1p"], presets["guide-8p"])
    assert all(Train.model_validate(script.settings) for script in SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_script_is_a_command_or_the_line_that_torchrun_takes(script: training.Script) -> None:
    found = plan(f"bash ./test/{script.name} --data_path=/data/imagenet")
    device = "npu:0" if script.cards == 1 else "npu"
    ours = f"train resnet50 --data /data/imagenet --output test/output/0 --device {device} {COMMANDS[script.name]}"
    machines = MACHINES.get(script.name[-6:-4])
    if machines is None:
        assert [shlex.join(words) for words in found.commands] == [ours]
    else:
        launch = f"torchrun --nnodes {machines} --node-rank R --nproc-per-node 8 --master-addr HOST --master-port 29501"
        assert found.commands == () and found.begin == (f"{launch} -m seatrial {ours}",)
    assert len(SCRIPTS) == len(COMMANDS) == 13


def test_what_the_scripts_are_given_is_handed_on() -> None:
    line = "train_full_1p.sh --data_path=d --batch_size=64 --precision_mode=must_keep_origin_dtype --device_id=5"
    (words,), begin = plan(line).commands, plan(line).begin
    assert words[2:8] == ("--data", "d", "--output", "test/output/5", "--device", "npu:5")
    assert begin == ("device id is 5",)
    text = shlex.join(words)
    assert "--batch-size 64" in text and "--amp off" in text and "--loss-scale" not in text
    (words,) = plan("train_eval_1p.sh --data_path=d --checkpoint=c.pth.tar").commands
    assert shlex.join(words[8:]) == "--evaluate --resume c.pth.tar --batch-size 512 --amp fp16 --guide-format"


def test_a_device_that_the_shell_names_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASCEND_DEVICE_ID", "3")
    assert "npu:3" in plan("train_full_1p.sh --data_path=d --device_id=5").commands[0]


def test_in_the_folder_of_the_scripts_the_output_is_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test").mkdir()
    monkeypatch.chdir(tmp_path / "test")
    assert "output/0" in plan("train_full_1p.sh --data_path=d").commands[0]


def test_several_machines_are_torchruns(tmp_path: Path) -> None:
    line = "train_performance_multinodes.sh --data_path=d --batch_size=8192 --nnodes=2 --node_rank=1"
    found = plan(f"{line} --local_addr=10.0.0.2 --master_addr=10.0.0.1")
    (shown,) = found.begin
    assert found.commands == () and "run on each machine what is printed" in found.notes
    assert shown.startswith(
        "HCCL_IF_IP=10.0.0.2 torchrun --nnodes 2 --node-rank 1 --nproc-per-node 8 --master-addr 10.0.0.1 "
        "--master-port 29501 -m seatrial train resnet50 --data d "
    )
    assert "--batch-size 8192" in shown and "--nproc " not in shown
    for rank in range(3):
        (tmp_path / f"server_10.0.0.{7 + rank}_{rank}.info").touch()
    (shown,) = plan(f"train_full_16p.sh --data_path=d --server_index=2 --conf_path={tmp_path}").begin
    assert "--nnodes 3 --node-rank 2 --nproc-per-node 8 --master-addr 10.0.0.7 " in shown


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train_full_1p.sh", r'train_full_1p.sh: \[Error\] para "data_path" must be confing; give --data_path=DIR'),
        ("train_full_8p.sh --data_path=", "must be confing"),
        ("train_full_8p.sh --data_path=d --device_id=1", "there is no flag --device_id"),
        ("train_full_8p.sh --data_path=d --precision_mode=fp16", "possible: allow_mix_precision, must_keep"),
        ("train_performance_multinodes.sh --data_path=d --nnodes=0", "0 is no number of machines"),
        ("train_full_32p.sh --data_path=d --conf_path=nowhere", "nowhere has no server_ADDRESS_0.info"),
    ],
)
def test_what_cannot_be_is_named(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(line)


def test_a_script_alone_does_not_say_its_network() -> None:
    with pytest.raises(UsageError, match=r"does not say of which network .* --recipe REF train_full_1p.sh"):
        plan_words(["train_full_1p.sh", "--data_path=d"], TOOLS)


def test_without_an_npu_another_device_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_list_devices", lambda: ("cpu", "cuda:0", "cuda:1"))
    found = plan("train_full_1p.sh --data_path=d --device_id=1")
    assert "cuda:1" in found.commands[0] and "no NPU here: cuda does it" in found.notes
    monkeypatch.setattr(training, "_list_devices", lambda: ("cpu",))
    found = plan("train_full_8p.sh --data_path=d")
    assert "--nproc" not in found.commands[0] and "--loss-scale" not in found.commands[0]
    assert shlex.join(found.commands[0]).count("--device cpu") == shlex.join(found.commands[0]).count("--amp auto") == 1
    assert any("the CPU trains, in one process" in note for note in found.notes)


def test_a_device_may_be_named_in_front() -> None:
    _, found = plan_words(["train_full_8p.sh", "--data_path=d"], TOOLS, "resnet50", "torch@cpu")
    assert "--device cpu " in shlex.join(found.commands[0]) and "device cpu, by --engine" in found.notes
    with pytest.raises(UsageError, match="training runs in torch, not in onnxruntime"):
        plan_words(["train_full_8p.sh", "--data_path=d"], TOOLS, "resnet50", "onnxruntime")


def test_a_performance_script_runs(
    tiny_trial: TinyTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "_list_devices", lambda: ("cpu",))
    monkeypatch.chdir(tmp_path)
    words = f"bash test/train_performance_1p.sh --data_path={tiny_trial.folder} --batch_size=8"
    words += " --precision_mode=must_keep_origin_dtype"
    assert run_cli(["compat", "--recipe", str(tiny_trial.card), *words.split()]) == 0
    folder = tmp_path / "test" / "output" / "0"
    case = read_case(folder / "tiny_for_PyTorch_bs8_1p_fp32_perf.log")
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0] == "device id is 0"
    assert f"Final Performance images/sec : {case['ActualFPS']}\n" in shown.out and float(case["ActualFPS"]) > 0
    assert "train_performance_1p.sh is here: seatrial train " in shown.err
    assert (folder / "train_0.log").read_text().count("FPS@all") == 1
