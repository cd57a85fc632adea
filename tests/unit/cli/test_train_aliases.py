"""The guides' and pytorch/examples' flags in our words: every script's own command line, and every row of the table."""

import pytest

from seatrial.cli.train_aliases import FLAGS, NO_VALUE, TrainFlag, translate
from seatrial.errors import UsageError

ONE_CARD = "--data /data --npu 0 -j 64 -b 512 --lr 0.2 --warmup 5 --label-smoothing=0.1"
EIGHT_CARDS = (
    "--data /data --addr=10.0.0.1 --seed=49 --workers=128 --learning-rate=1.6 --warmup=8 --label-smoothing=0.1 "
    "--mom=0.9 --weight-decay=1.0e-04 --static-loss-scale=128 --print-freq=1 --dist-url=tcp://127.0.0.1:50000 "
    "--dist-backend=hccl --multiprocessing-distributed --world-size=1 --rank=0 --benchmark=0 --device=npu"
)


def settle(words: str, launched: bool = False) -> dict[str, str]:
    """Our options with their values, of a line in their words; a flag of ours without a value is ""."""
    ours = list(translate(words.split(), launched).words)
    found: dict[str, str] = {}
    while ours:
        name, sign, value = ours.pop(0).partition("=")
        has_next = not sign and ours and not ours[0].startswith("--")
        found[name] = ours.pop(0) if has_next and name.startswith("--") else value
    return found


ONE_CARD_HERE = {
    "--data": "/data",
    "--device": "npu:0",
    "--workers": "64",
    "--batch-size": "512",
    "--learning-rate": "0.2",
    "--warmup-epochs": "5",
    "--label-smoothing": "0.1",
}
EIGHT_CARDS_HERE = {
    "--data": "/data",
    "--seed": "49",
    "--workers": "128",
    "--learning-rate": "1.6",
    "--warmup-epochs": "8",
    "--label-smoothing": "0.1",
    "--momentum": "0.9",
    "--weight-decay": "1.0e-04",
    "--loss-scale": "128",
    "--print-freq": "1",
    "--dist-backend": "hccl",
    "--device": "npu",
}


@pytest.mark.parametrize("epochs", [90, 1], ids=["full_1p", "performance_1p"])
def test_the_line_of_the_one_card_scripts(epochs: int) -> None:
    assert settle(f"{ONE_CARD} --epochs {epochs} --optimizer-batch-size 512") == {
        **ONE_CARD_HERE,
        "--epochs": str(epochs),
    }


@pytest.mark.parametrize("evaluate", ["--evaluate", "--evaluate=True", "--evaluate True", "-e"])
def test_the_line_of_eval_1p(evaluate: str) -> None:
    line = f"{ONE_CARD} --epochs 90 {evaluate} --resume checkpoint.pth.tar --optimizer-batch-size 512"
    assert settle(line) == {**ONE_CARD_HERE, "--epochs": "90", "--evaluate": "", "--resume": "checkpoint.pth.tar"}


@pytest.mark.parametrize(
    ("epochs", "batch"), [(90, 4096), (3, 4096), (90, 2048)], ids=["full_8p", "performance_8p", "full_4p"]
)
def test_the_line_of_the_scripts_for_several_cards(epochs: int, batch: int) -> None:
    line = f"{EIGHT_CARDS} --epochs={epochs} --batch-size={batch}"
    ours = {**EIGHT_CARDS_HERE, "--epochs": str(epochs), "--batch-size": str(batch)}
    assert settle(f"{line} --nproc 8") == {**ours, "--nproc": "8"}
    with pytest.raises(UsageError, match="does not give the number of processes; give --nproc N"):
        settle(line)


def test_the_line_of_performance_4p_names_its_devices() -> None:
    line = f"{EIGHT_CARDS} --device-list=0,1,2,3 --epochs=3 --batch-size=2048"
    assert settle(line) == {**EIGHT_CARDS_HERE, "--epochs": "3", "--batch-size": "2048", "--nproc": "4"}


def test_the_line_of_performance_multinodes_is_torchruns() -> None:
    line = "--data_path=/data --batch_size=8192 --nnodes=2 --node_rank=1 --local_addr=10.0.0.2 --master_addr=10.0.0.1"
    with pytest.raises(UsageError) as caught:
        settle(line)
    assert str(caught.value) == (
        "several machines (2) need torchrun; run on each: `torchrun --nnodes 2 --node-rank 1 --nproc-per-node N "
        "--master-addr 10.0.0.1 --master-port 29500 -m seatrial train …`"
    )
    assert settle(line, launched=True) == {"--data": "/data", "--batch-size": "8192"}


def test_the_line_of_performance_16p_is_torchruns() -> None:
    with pytest.raises(UsageError, match="torchrun --nnodes 2 --node-rank 0"):
        settle(EIGHT_CARDS.replace("--world-size=1", "--world-size=2") + " --epochs=3 --nproc 8")


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        ("--data_path=/data --device_id=3", {"--data": "/data", "--device": "npu:3"}),
        ("--data_path /data --batch_size 64", {"--data": "/data", "--batch-size": "64"}),
        ("--checkpoint=/c.pth.tar --evaluate", {"--resume": "/c.pth.tar", "--evaluate": ""}),
        ("--precision_mode=must_keep_origin_dtype", {"--amp": "off"}),
        ("--precision_mode=allow_mix_precision", {"--amp": "fp16"}),
        ("--save_ckpt_path=out", {"--output": "out"}),
        ("--num_classes=9", {"--classes": "9"}),
    ],
)  # fmt: skip
def test_the_options_of_the_scripts_themselves(words: str, ours: dict[str, str]) -> None:
    assert settle(words) == ours


def test_the_line_of_pytorchs_example() -> None:
    line = "-a resnet18 -j 8 -b64 --lr=0.05 --wd 5e-5 -p50 --gpu 1 --epochs 2 /data/imagenet"
    translation = translate(line.split())
    assert " ".join(translation.words) == (
        "resnet18 --epochs 2 /data/imagenet --workers 8 --batch-size 64 --learning-rate 0.05 --weight-decay 5e-5 "
        "--print-freq 50 --device cuda:1"
    )
    assert translation.notes[0] == "-a resnet18 is the recipe here"
    assert (
        "-b64 is --batch-size 64 here" in translation.notes
        and "--lr=0.05 is --learning-rate 0.05 here" in translation.notes
    )


def test_workers_of_a_machine_are_shared_by_its_processes() -> None:
    assert settle("-j 30 --device-list 0,1,2,3")["--workers"] == "8"
    assert settle("-j 30 --nproc=2")["--workers"] == "15"


@pytest.mark.parametrize(
    ("words", "amp"),
    [("--amp", "fp16"), ("--amp --epochs 3", "fp16"), ("--amp bf16", "bf16"), ("--amp=off", "off"), ("--fp16", "fp16"),
     ("--opt-level O2", "fp16"), ("--opt-level=O0", "off")],
)  # fmt: skip
def test_amp_is_theirs_without_a_value_and_ours_with_one(words: str, amp: str) -> None:
    assert settle(words)["--amp"] == amp


def test_what_is_in_our_words_stays_as_it_is_and_is_not_noted() -> None:
    words = [
        "resnet50",
        "--data",
        "d",
        "--batch-size=8",
        "--device",
        "npu",
        "--evaluate",
        "--flip",
        "--loss-scale",
        "1",
    ]
    translation = translate(words)
    assert sorted(translation.words) == sorted(words)
    assert translation.notes == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--lr 1 --learning-rate 2", "--lr 1 is --learning-rate here, which is given too; give one of them"),
        ("--npu 0 --device cuda", "--device cuda is --device here, which is given too; give one of them"),
        ("--lr", "--lr needs a value; give --lr VALUE"),
        ("--fp16=yes", "--fp16 takes no value; give --fp16 alone"),
        ("--precision_mode force_fp16", "'force_fp16' has no equivalent of --amp; give one of allow_mix_precision, "
         "must_keep_origin_dtype"),
        ("--device-list 2,3", "--device-list 2,3 skips devices; set ASCEND_RT_VISIBLE_DEVICES or "
         "CUDA_VISIBLE_DEVICES to 2,3, and give --nproc 2"),
        ("-b 128 --optimizer-batch-size 512", "--optimizer-batch-size 512 with a batch size of 128 is not supported; "
         "give --batch-size 512 --accumulate 4"),
        ("--benchmark 1", "--benchmark 1 accumulates gradients up to a batch of 2048; give --accumulate N"),
        ("--world-size two", "--nnodes two is not a whole number; give --nnodes N"),
        ("--raport-file x", "--raport-file x is not supported; --dllogger writes dllogger.json into --output"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_with_what_does_it(words: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        translate(words.split())
    assert str(caught.value) == message


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.names[0])
def test_no_row_leaves_a_flag_of_theirs_in_the_line(flag: TrainFlag) -> None:
    for name in flag.names:
        value = {"--device-list": "0", "--opt-level": "O2", "--precision_mode": "allow_mix_precision"}.get(name, "1")
        words = [name] if flag.takes == NO_VALUE or name == "--amp" else [name, value]
        try:
            ours = translate(words).words
        except UsageError as error:
            assert error.fix
        else:
            assert name not in ours or name in ("--evaluate", "--device", "--amp")


def test_every_note_says_both_words() -> None:
    translation = translate(["--rank", "0", "--checkpoint-freq", "10", "--warmup", "8"])
    assert translation.notes == (
        "--rank 0 is ignored: torchrun connects several machines; one needs nothing",
        "--checkpoint-freq 10 is ignored: every epoch ends with a snapshot, --checkpoint-every N writes more",
        "--warmup 8 is --warmup-epochs 8 here",
    )
