"""What a card may say, and how a wrong one is refused."""

import re
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import UsageError
from seatrial.models.sources import resolve_recipe
from seatrial.recipes import Recipe, list_cards, load_recipe
from tiny_trial import CARD

OWN_CARD = Path(__file__).parents[3] / "docs" / "own-card.md"


def card(**changes: Any) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"step": "resize", "short_side": 9},
        {"step": "center_crop", "size": [8, 6]},
        {"step": "to_float"},
    ]
    return {
        "name": "tiny",
        "title": "Tiny",
        "network": {"name": "resnet18", "classes": 3},
        "preprocess": steps,
        **changes,
    }


def refuse(data: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        Recipe.read(data, "card.toml")
    return str(caught.value)


def test_the_card_of_the_handbook_works(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", OWN_CARD.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    path = tmp_path / "mine.toml"
    path.write_text(blocks[0], encoding="utf-8")
    recipe = load_recipe(str(path))
    assert (recipe.network.name, recipe.network.parameters, recipe.input_size) == ("resnet18", 11_689_512, (224, 224))
    assert recipe.find_mode("uint8").dtype == "uint8"
    handbook = OWN_CARD.read_text(encoding="utf-8")
    sections = set(re.findall(r"\*\*`\[\[?([a-z]+)", handbook))
    tables = {k for k, f in Recipe.model_fields.items() if k not in ("name", "title", "paper", "source", "origin")}
    assert sections == tables


def test_a_small_card_has_defaults() -> None:
    recipe = Recipe.read(card(), "card.toml")
    assert recipe.input_size == (8, 6)
    assert recipe.normalisation == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert (recipe.graph.input, recipe.graph.output, recipe.weights, recipe.guide) == ("image", "class", None, None)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"weight": {}}, "unknown key 'weight'; did you mean 'weights'?"),
        (
            {"network": {"name": "x", "clas": 3, "classes": 3}},
            "unknown key 'network.clas'; did you mean 'classes'?",
        ),
        ({"modes": {"a": {"preprocessing": []}}}, "unknown key 'modes.a.preprocessing'; did you mean 'preprocess'?"),
        ({"network": {"name": "x"}}, "'network.classes' is missing"),
        ({"weights": {"file": "../a.pth"}}, "'weights.file' is '../a.pth'"),
        ({"weights": {"file": "a.pth", "md5": "XYZ"}}, "'weights.md5' is 'XYZ'"),
        ({"gates": {"at_least_published": True}}, "needs a [reference]"),
        ({"gates": {"metrics": {"macro_recal": 0.7}}}, "no metric 'macro_recal'; did you mean 'macro_recall'?"),
        ({"gates": {"metrics": {"macro_recall": 70}}}, "'gates.metrics.macro_recall' is 70"),
        ({"gates": {"published_relative_drop": 0.01}}, "needs a [reference]"),
        ({"preprocess": [{"step": "to_float"}]}, "the input size is not known"),
        ({"preprocess": [{"step": "to_float"}, {"step": "center_crop", "size": [8, 8]}]}, "pixel steps"),
        ({"preprocess": [{"step": "center_crop", "size": [8, 8]}]}, "preprocess ends with to_float"),
        (
            {
                "preprocess": [
                    {"step": "center_crop", "size": [8, 8]},
                    {"step": "resize", "short_side": 4},
                    {"step": "to_float"},
                ]
            },
            "the input size is not known",
        ),
        ({"preprocess": [{"step": "resize"}]}, "one of short_side, long_side, cover, fit, size"),
    ],
)
def test_a_wrong_card_is_refused_in_one_line(changes: dict[str, Any], answer: str) -> None:
    message = refuse(card(**changes))
    assert message.startswith("card.toml: ") and answer in message
    assert "\n" not in message and len(message) < 200


def column(name: str, **figures: float) -> dict[str, Any]:
    batches = {key.removeprefix("b"): value for key, value in figures.items()}
    return {"device": name, "images_per_s": batches, "source": "https://example.org"}


def guide(**ratio: Any) -> dict[str, Any]:
    return {"title": "g", "source": "https://example.org", "ratios": [ratio]}


@pytest.mark.parametrize(
    ("ratio", "answer"),
    [
        ({"of": "new", "to": "odl"}, "no [[published]] is called 'odl'; did you mean 'old'?"),
        ({"of": "new", "to": "old", "stated": {"8": "1.0"}}, "'new' and 'old' do not both have batch 8"),
        ({"of": "new", "to": "third"}, "'new' and 'third' do not both have batch any"),
        ({"of": "new", "to": "old", "stated": {"1": "about 2"}}, "'guide.ratios.0.stated.1' is 'about 2'"),
    ],
)
def test_ratios_stand_on_columns_of_the_card(ratio: dict[str, Any], answer: str) -> None:
    columns = [column("new", b1=2, b4=3), column("old", b1=1), column("third", b64=1)]
    assert answer in refuse(card(published=columns, guide=guide(**ratio)))


def test_two_columns_need_two_names() -> None:
    assert "the same name" in refuse(card(published=[column("T4", b1=1), column("T4", b1=2)]))
    named = column("T4", b1=2) | {"name": "T4, again"}
    assert [c.label for c in Recipe.read(card(published=[column("T4", b1=1), named]), "x").published] == [
        "T4",
        "T4, again",
    ]


def test_an_unknown_mode_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"resnet50 has no mode 'inception_v3'; did you mean 'inceptionv3'\?"):
        load_recipe("resnet50").find_mode("inception_v3")
    with pytest.raises(UsageError, match="it has only its main preprocessing"):
        load_recipe("spnasnet_100").find_mode("aipp")


def test_finding_a_card(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no recipe 'resnet_50'; did you mean 'resnet50'"):
        load_recipe("resnet_50")
    with pytest.raises(UsageError, match="there is no recipe file"):
        load_recipe(str(tmp_path / "absent.toml"))
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(UsageError, match=r"broken.toml is not TOML"):
        load_recipe(str(tmp_path / "broken.toml"))
    (tmp_path / "own").write_text(list_cards()["resnet50"].read_text(encoding="utf-8"), encoding="utf-8")
    assert load_recipe(str(tmp_path / "own")).name == "resnet50"


def test_every_card_of_ours_is_a_full_page() -> None:
    for name, path in list_cards().items():
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        assert {"paper", "source", "weights", "gates", "published", "guide"} <= data.keys(), name


@pytest.mark.parametrize(
    ("resize", "crop", "refused"),
    [
        ({"short_side": 40}, [48, 48], True),
        ({"short_side": 40}, [40, 48], False),
        ({"short_side": 40}, [40, 40], False),
        ({"size": [48, 40]}, [48, 44], True),
        ({"size": [48, 40]}, [48, 40], False),
    ],
)
def test_a_crop_that_no_image_fills_is_refused(resize: dict[str, object], crop: list[int], refused: bool) -> None:
    steps = [{"step": "resize", **resize}, {"step": "center_crop", "size": crop}, {"step": "to_float"}]
    if not refused:
        assert Recipe.read(card(preprocess=steps), "card.toml").input_size == tuple(crop)
        return
    assert "is larger than what the resize " in refuse(card(preprocess=steps))


@pytest.mark.parametrize(
    "gates", [{"published_relative_drop": 1.0}, {"changed_share": 1.0}, {"reference_drop_pp": 100.0}]
)
def test_a_gate_that_nothing_misses_is_refused(gates: dict[str, float]) -> None:
    data = card(gates=gates, reference={"top1": 0.7, "source": "here"})
    assert f"'gates.{next(iter(gates))}' is" in refuse(data)


def test_a_gate_on_a_figure_for_another_size_is_refused() -> None:
    reference = {"top1": 0.7, "source": "here", "size": 288}
    refusal = refuse(card(reference=reference, gates={"published_relative_drop": 0.01}))
    assert "[reference] is of images of 288, so no gate on it can judge those of 8" in refusal
    assert Recipe.read(card(reference=reference), "card.toml").reference is not None


def test_a_wrong_value_is_named_with_its_line(tmp_path: Path) -> None:
    steps = '[[preprocess]]\nstep = "resize"\nsize = [8, "6"]\n[[preprocess]]\nstep = "to_float"\n'
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\ntitle = "Mine"\n[network]\nname = "resnet18"\nclasses = 3\n{steps}')
    with pytest.raises(UsageError, match=r"mine\.toml:8: 'preprocess\.0\.resize\.size\.1' is '6': .* integer, without"):
        load_recipe(str(path))
    path.write_text('base = "resnet50"\n[train]\nepochs = "3"\n')
    with pytest.raises(UsageError, match=r"mine\.toml:3: 'train\.epochs' is '3': Input should be a valid integer"):
        resolve_recipe(str(path))


HUGE = {
    "classes = 4": ("classes = " + "9" * 5000, "is not TOML: line 5: a number of 5000 digits; mend that line"),
    "size = [32, 32]": ("size = [9999999999, 32]", "'preprocess.1.center_crop.size.0' is 9999999999: "),
    "epochs = 2": ("epochs = [" + "[" * 3000 + "]" * 3000 + "]", "is not TOML: line 22: nested deeper than 100 levels"),
    "batch_size = 8": ("batch_size = " + "9" * 30, "the number at 'train.batch_size' does not fit into 64 bits"),
    "plausible = false": ("plausible = 0x" + "f" * 4000, "the number at 'gates.plausible' does not fit"),
    "[train]": ("[labels]\noffset = -99999999999\n[train]", "'labels.offset' is -99999999999: "),
    "[gates]": ("[" + "k" * 5000 + "]\n[gates]", f"unknown key '{'k' * 80}…'"),
}


@pytest.mark.parametrize("line", HUGE)
def test_numbers_and_nesting_that_nothing_bears_are_named_with_their_place(line: str, tmp_path: Path) -> None:
    text, said = HUGE[line]
    (tmp_path / "card.toml").write_text(CARD.replace(line, text, 1))
    with pytest.raises(UsageError) as raised:
        load_recipe(str(tmp_path / "card.toml"))
    assert said in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_wrong_card_with_many_classes_is_refused_at_once(tmp_path: Path) -> None:
    names = "".join(f'  "class {number}",\n' for number in range(5000))
    (tmp_path / "card.toml").write_text(f"{CARD}[labels]\nnames = [\n{names}]\noffset = 'x'\n")
    begun = time.process_time()
    with pytest.raises(UsageError, match=r"card.toml:\d+: 'labels.offset'"):
        load_recipe(str(tmp_path / "card.toml"))
    assert time.process_time() - begun < 5
