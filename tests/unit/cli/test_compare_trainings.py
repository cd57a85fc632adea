"""`seatrial compare` of speeds of training, and the guides' table of them."""

import json
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from training_speeds import make_cards, make_speed


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's two NPU rows as records of ours, 1p.json and 8p.json."""
    monkeypatch.chdir(tmp_path)
    make_cards(1, 512 / 1259.591, top1=None).save(Path("1p.json"))
    make_cards(8, 4096 / 11898.83, top1=0.76702, epochs=90).save(Path("8p.json"))


@pytest.mark.usefixtures("records")
def test_the_table_has_the_guides_columns_and_what_they_lack(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["compare", "1p.json", "8p.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:6] == ["NAME", "Acc@1", "FPS", "Epochs", "AMP_Type", "Torch_Version"]
    assert lines[1].split()[:6] == ["1p-NPU", "-", "1259.591", "1", "fp16", "2.10.0"]
    assert lines[2].split()[:8] == ["8p-NPU", "76.702", "11898.83", "90", "fp16", "2.10.0", "4096", "8"]
    assert lines[4] == (
        "✗ 8p-NPU is 9.447 × 1p-NPU with 8 × the devices: 118.1% of linear (118.1% to 118.1%), which is impossible as "
        "scaling"
    )


@pytest.mark.usefixtures("records")
def test_the_guides_own_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["compare", "1p.json", "8p.json", "--format", "guide"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "| NAME | Acc@1 | FPS | Epochs | AMP_Type | Torch_Version |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| 1p-NPU | - | 1259.591 | 1 | fp16 | 2.10.0 |",
        "| 8p-NPU | 76.702 | 11898.83 | 90 | fp16 | 2.10.0 |",
    ]
    assert "impossible" in lines[5]


@pytest.mark.usefixtures("records")
def test_json_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["compare", "1p.json", "8p.json", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["devices"] for row in found["trainings"]] == [1, 8]
    assert found["trainings"][0]["images_per_s"] == pytest.approx(1259.591)
    assert found["scalings"][0]["impossible"] is True


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["1p.json", "1p.json"], 2, "a record is given twice; give each once"),
        (["1p.json", "other.json"], 7, "these trainings are not comparable: model: resnet50 (1p-NPU), tiny (1p-CPU)"),
        (["1p.json", "8p.json", "--gate", "best(8p) > 1"], 2, "--gate does not apply to training speeds"),
        (["1p.json", "8p.json", "--allow", "chips"], 2, "--allow chips: there is no such difference of trainings"),
    ],
)
def test_what_cannot_be_compared_is_reported(
    words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_speed(recipe="tiny").save(Path("other.json"))
    assert run_cli(["compare", *words]) == code
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("records")
def test_two_of_one_name_are_called_by_their_files(capsys: pytest.CaptureFixture[str]) -> None:
    make_cards(1, 1.0).save(Path("again.json"))
    assert run_cli(["compare", "1p.json", "again.json", "--format", "markdown"]) == 0
    assert [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["| 1p", "| again"]


CASE = """\
Network = {network}
RankSize = {ranks}
BatchSize = {batch}
DeviceType = aarch64
CaseName = {network}_bs{batch}_{ranks}p_{purpose}
ActualFPS = {fps}
TrainingTime = 406.48
TrainAccuracy = {top1}
ActualLoss = 2.7e+00
E2ETrainingTime = 1200
"""
"""As the guide's scripts write it."""


def write_case(name: str, **facts: object) -> None:
    values = {
        "network": "ResNet50_for_PyTorch",
        "ranks": 1,
        "batch": 512,
        "purpose": "perf",
        "fps": 1259.591,
        "top1": "",
    }
    Path(name).write_text(CASE.format_map(values | facts))


@pytest.mark.usefixtures("records")
def test_the_guides_own_logs_stand_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    many = {"network": "ResNet50_ID0095_for_PyTorch", "ranks": 8, "batch": 4096, "purpose": "acc"}
    write_case("one.log")
    write_case("eight.log", fps=11898.83, top1=76.702, **many)
    assert run_cli(["compare", "one.log", "eight.log", "1p.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:6] for line in lines[1:4]] == [
        ["ResNet50_for_PyTorch_bs512_1p_perf", "-", "1259.591", "-", "-", "-"],
        ["ResNet50_ID0095_for_PyTorch_bs4096_8p_acc", "76.702", "11898.83", "-", "-", "-"],
        ["1p-NPU", "-", "1259.591", "1", "fp16", "2.10.0"],
    ]
    scaling = next(line for line in lines if line.startswith("✗"))
    assert "is 9.447 × ResNet50_for_PyTorch_bs512_1p_perf with 8 × the devices: 118.1% of linear, which is" in scaling
    assert sum("its log states no device, precision, versions or image size" in line for line in lines) == 2
    assert run_cli(["compare", "one.log", "1p.json", "--json"]) == 0
    theirs, ours = json.loads(capsys.readouterr().out)["trainings"]
    assert (theirs["recipe"], theirs["images_per_s"], theirs["interval"]) == ("resnet50", 1259.591, [None, None])
    assert (ours["recipe"], theirs["precision"], theirs["data_share"]) == ("resnet50", None, None)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"fps": ""}, "has no ActualFPS, so it is no log of a training's speed"),
        ({"fps": "0.000"}, "has ActualFPS = 0.000, so"),
        ({"ranks": "eight"}, "has RankSize = eight, so"),
    ],
)
def test_a_log_without_a_rate_is_refused(
    facts: dict[str, object], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_case("one.log", **facts)
    assert run_cli(["compare", "one.log"]) == 8
    assert told in capsys.readouterr().err


def test_other_networks_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_case("one.log")
    write_case("other.log", network="tiny_for_PyTorch", purpose="fp32_perf")
    assert run_cli(["compare", "one.log", "other.log"]) == 7
    assert "model: resnet50 (ResNet50_for_PyTorch_bs512_1p_perf), tiny (tiny_for" in capsys.readouterr().err
    assert run_cli(["compare", "one.log", "other.log", "--allow", "model"]) == 0
    assert " fp32 " in capsys.readouterr().out.splitlines()[2]


def test_the_guides_training_results_are_rebuilt_from_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(["recipes", "tables", "resnet50", "--format", "guide"]) == 0
    # As the guide prints them, but that it calls the GPU "competitor A".
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| NAME | Acc@1 | FPS | Epochs | AMP_Type | Torch_Version |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| 1p-GPU (competitor A) | - | 2065 | 1 | O2 | 1.5 |",
        "| 8p-GPU (competitor A) | - | 14268 | 90 | O2 | 1.5 |",
        "| 1p-NPU | - | 1259.591 | 1 | O2 | 1.8 |",
        "| 8p-NPU | 76.702 | 11898.83 | 90 | O2 | 1.8 |",
    ]
    assert run_cli(["recipes", "tables", "resnet50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[-2] == "training on GPU (competitor A): 8 cards over one: 14268 / 2065 is 6.909 times, 86.4 % of linear"
    )
    assert lines[-1].startswith(
        "✗ training on NPU: 8 cards over one: 11898.83 / 1259.591 is 9.447 times, 118.1 % of linear"
    )
    assert run_cli(["recipes", "tables", "resnet50", "--json"]) == 0
    (training,) = json.loads(capsys.readouterr().out)["training"]
    assert [scaling["holds"] for scaling in training["scalings"]] == [True, False]
