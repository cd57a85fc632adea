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
