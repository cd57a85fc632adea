"""Cards that are drafted from guides, and what the guides contradict themselves in."""

import json
import tomllib
from pathlib import Path

import pytest

from guide_folders import AIPP, EXPORT, PREPROCESS, README, write_guide
from seatrial.cli import run_cli
from seatrial.errors import UsageError
from seatrial.guides import draft_card
from seatrial.recipes.load import load_recipe

PIXELS = (
    PREPROCESS.split("        img = np.array")[0] + "        image.tofile(target)\n\n\npreprocess('resnet', 1, 2)\n"
)
INSERTED = README.replace("--output=small", "--output=small --insert_op_conf=aipp.config")


def find(card: object, words: str) -> list[str]:
    claims = card.contradictions  # type: ignore[attr-defined]
    return [f"{c.what}: {c.stated} / {c.correct}" for c in claims if words in f"{c.what} {c.stated} {c.correct}"]


def test_a_guide_becomes_a_card_that_loads(tmp_path: Path) -> None:
    card = draft_card(write_guide(tmp_path / "Small"))
    assert card.complete and card.reference == "torchvision:resnet18" and card.proposed is None
    (tmp_path / "card.toml").write_text(card.text)
    recipe = load_recipe(str(tmp_path / "card.toml"))
    assert recipe.network.classes == 1000 and recipe.network.builder == "torchvision"
    assert (recipe.graph.input, recipe.graph.output, recipe.graph.opset) == ("image", "class", 11)
    assert recipe.weights is not None and recipe.weights.md5 == "0123456789abcdef0123456789abcdef"
    assert recipe.normalisation == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert {column.device: column.images_per_s["4"] for column in recipe.published} == {"310": 200.0, "310P": 700.0}


def test_each_value_has_the_line_that_it_stands_in(tmp_path: Path) -> None:
    folder = write_guide(tmp_path / "Small")
    lines = draft_card(folder).text.splitlines()
    for name, figure in (
        ("resnet18", "resnet18"),
        ("opset = 11", "opset_version=11"),
        ('file = "', "resnet18-f37072fd.pth"),
    ):
        line = next(line for line in lines if name in line and " # " in line)
        file, _, number = line.partition(" # ")[2].partition(" line ")
        assert figure in (folder / file).read_text().splitlines()[int(number.split(";")[0]) - 1]
    assert sum(line.startswith("[[preprocess]] # small_preprocess.py line ") for line in lines) == 4


def test_wrong_ratios_of_the_table_are_listed(tmp_path: Path) -> None:
    assert find(draft_card(write_guide(tmp_path / "Small")), "310P/310, 4") == ["310P/310, 4: 3.4 / 3.5"]


def test_an_aipp_file_adds_what_the_script_leaves_out(tmp_path: Path) -> None:
    script = PIXELS.replace('"centercrop": 224', '"centercrop": 256')
    card = draft_card(write_guide(tmp_path / "Small", preprocess=script, aipp=AIPP, readme=INSERTED))
    steps = tomllib.loads(card.text)["preprocess"]
    assert [step["step"] for step in steps] == ["resize", "center_crop", "center_crop", "to_float", "normalise"]
    assert steps[2]["size"] == [224, 224]
    assert steps[4]["mean"] == pytest.approx([0.485, 0.456, 0.406], rel=1e-5)
    assert steps[4]["std"] == pytest.approx([0.229, 0.224, 0.225], rel=1e-5)
    assert card.complete
    assert not find(card, "aipp")


def test_contradictions_between_files_are_listed(tmp_path: Path) -> None:
    wide = AIPP.replace("src_image_size_w: 256", "src_image_size_w：256").replace("123.675", "124.16")
    script = PREPROCESS.replace('"centercrop": 224', '"centercrop": 244')
    export = EXPORT.replace('["image"]', '["actual_input_1"]')
    card = draft_card(write_guide(tmp_path / "Small", preprocess=script, aipp=wide, export=export, readme=INSERTED))
    assert len(find(card, "full-width punctuation")) == 1
    assert len(find(card, "has done so already")) == 1
    assert len(find(card, "244 × 244")) == 1
    assert len(find(card, "the input's name")) == 2 - 1
    assert len(find(card, ", the mean")) == 1


def test_a_crop_that_does_not_fit_is_a_contradiction_and_no_whole_preprocessing(tmp_path: Path) -> None:
    card = draft_card(write_guide(tmp_path / "Small", preprocess=PREPROCESS.replace('"resize": 256', '"resize": 192')))
    assert find(card, "at most 192 × 192")
    assert not card.complete


def test_a_network_of_its_own_repository_is_proposed(tmp_path: Path) -> None:
    export = EXPORT.replace("import torchvision.models as models", "from nets.small import small_net")
    card = draft_card(
        write_guide(tmp_path / "Small", export=export.replace("models.resnet18(pretrained=False)", "small_net()"))
    )
    assert (card.reference, card.proposed) == (None, "nets/small.py:small_net")
    assert 'builder = "python"' in card.text


def test_a_name_of_a_star_import_is_of_that_module(tmp_path: Path) -> None:
    export = EXPORT.replace("import torchvision.models as models", "from van import *")
    card = draft_card(
        write_guide(tmp_path / "Small", export=export.replace("models.resnet18(pretrained=False)", "van_b2()"))
    )
    assert card.proposed == "van.py:van_b2"


def test_what_a_function_is_called_with_is_its_networks_name(tmp_path: Path) -> None:
    export = """import timm, torch
def export(version):
    model = timm.create_model("resnet{}".format(version))
    torch.onnx.export(model, torch.randn(1, 3, 224, 224), "x.onnx", opset_version=13)
export(26)
"""
    card = draft_card(write_guide(tmp_path / "Small", export=export))
    assert card.reference == "timm:resnet26" and "opset = 13 # small_pth2onnx.py line 4" in card.text


def test_what_is_not_found_is_a_line_and_no_default(tmp_path: Path) -> None:
    card = draft_card(write_guide(tmp_path / "Small", export="", readme="# A guide of nothing\n"))
    assert not card.complete
    assert "opset" not in tomllib.loads(card.text).get("graph", {})
    for words in ("network:", "weights.file:", "graph.input:", "graph.opset:", "published:", "preprocess:"):
        assert any(line.startswith(f"# not found: {words}") for line in card.text.splitlines()), words


@pytest.mark.parametrize("text", ["def (", "\x00\x01\x02", "print 'python 2'\n", "x = " + "(" * 300, "# 中文\n"])
def test_files_that_are_no_scripts_do_no_harm(tmp_path: Path, text: str) -> None:
    card = draft_card(write_guide(tmp_path / "Small", preprocess=text, export=text, aipp=text, readme=text))
    assert not card.complete
    tomllib.loads(card.text)


def test_a_folder_that_is_no_guide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        draft_card(tmp_path / "missing")
    with pytest.raises(UsageError, match="neither"):
        draft_card(tmp_path)


def test_the_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_guide(tmp_path / "Small")
    assert run_cli(["recipes", "import-guide", str(folder), "--output", str(tmp_path / "card.toml")]) == 0
    assert run_cli(["recipes", "import-guide", str(folder), "--output", str(tmp_path / "card.toml")]) == 2
    capsys.readouterr()
    assert run_cli(["recipes", "import-guide", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["preprocessing_complete"] and told["card"] == (tmp_path / "card.toml").read_text()
    assert run_cli(["recipes", "claims", str(folder)]) == 0
    assert "310P/310, 4" in capsys.readouterr().out
