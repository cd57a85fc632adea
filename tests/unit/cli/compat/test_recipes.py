"""Of which network a command is: said by whoever calls it, the script, the folder, or what lies there already."""

from pathlib import Path

import pytest

from seatrial.cli.compat.call import Call, Plan, Tool
from seatrial.cli.compat.recipes import FOLDERS, find_recipe
from seatrial.data.bins.write import BinForm, describe_bins
from seatrial.errors import UsageError
from seatrial.recipes import list_cards, load_recipe


def make_call(folder: str = ".", own: str | None = None, recipe: str | None = None) -> Call:
    tool = Tool(("pth2onnx.py",), "PTH", "export", lambda call: Plan(()), recipe=own)
    return Call(tool, "pth2onnx.py", Path(folder), (), (), {}, (), (), recipe)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def note_bins(folder: str, recipe: str) -> None:
    form = BinForm(load_recipe(recipe).find_mode(), recipe=recipe)
    Path(folder).mkdir()
    describe_bins(form).save(Path(folder) / "bins.json")


def test_the_nearest_word_counts() -> None:
    note_bins("prep", "sk_resnet50")
    assert find_recipe(make_call()) == ("sk_resnet50", "prep/bins.json")
    assert find_recipe(make_call("Se-Resnext101")) == ("seresnext101_32x4d", "the name of the folder Se-Resnext101")
    assert find_recipe(make_call("x/resnet50_for_pytorch/test"))[0] == "resnet50"
    assert find_recipe(make_call("Se-Resnext101", "spnasnet_100")) == ("spnasnet_100", "the name pth2onnx.py")
    assert find_recipe(make_call("Se-Resnext101", "spnasnet_100", "timm:resnet18")) == ("timm:resnet18", "--recipe")


def test_notes_do_not_count_where_another_networks_would_do() -> None:
    note_bins("prep", "sk_resnet50")
    with pytest.raises(UsageError):
        find_recipe(make_call(), notes=False)


def test_without_a_word_the_choices_are_listed() -> None:
    with pytest.raises(
        UsageError, match=r"pth2onnx.py does not say of which network it is; .*resnet50, resnext50_32x4d"
    ):
        find_recipe(make_call())
    note_bins("a", "sk_resnet50")
    note_bins("b", "resnet50")
    with pytest.raises(UsageError, match=r"\(sk_resnet50, resnet50 are noted in this folder\)"):
        find_recipe(make_call())


def test_bins_of_before_and_broken_notes_say_nothing() -> None:
    Path("old").mkdir()
    describe_bins(BinForm(load_recipe("resnet50").find_mode())).save(Path("old/bins.json"))
    Path("broken").mkdir()
    Path("broken/bins.json").write_text("{")
    Path("x.onnx.json").write_text("{")
    with pytest.raises(UsageError, match="of which network"):
        find_recipe(make_call())


def test_every_folder_leads_to_a_card() -> None:
    assert set(FOLDERS.values()) == set(list_cards())
