"""A model reference leads to a complete card, a wrong one to the nearest right one."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import UsageError
from seatrial.models.sources import resolve_card, resolve_recipe
from seatrial.models.sources.resolve import list_references
from seatrial.recipes import Recipe
from seatrial.recipes.load import list_cards


@pytest.mark.parametrize("name", list_cards())
def test_a_card_by_name_is_itself(name: str) -> None:
    card = resolve_card(name)
    assert card.recipe.name == name and card.recipe.origin is None
    assert card.text == list_cards()[name].read_text()


@pytest.mark.parametrize(
    "reference", ["timm:resnet50.a1_in1k", "timm:volo_d5_512", "torchvision:vit_b_16/IMAGENET1K_SWAG_E2E_V1"]
)
def test_the_text_of_a_resolved_card_is_the_card(reference: str) -> None:
    card = resolve_card(reference)
    assert Recipe.read(tomllib.loads(card.text), "card.toml") == card.recipe


@pytest.mark.parametrize(
    ("reference", "refusal"),
    [
        ("tim:resnet50", "'tim:resnet50' begins with 'tim:', which is no origin of models; did you mean 'timm'"),
        ("TIMM:resnet50", "begins with 'TIMM:', which is no origin of models; did you mean 'timm'"),
        ("https://huggingface.co/google/vit", "begins with 'https:', .*; write hf:google/vit$"),
        ("hf:https://huggingface.co/google/vit/", "names a page of the hub; write hf:google/vit$"),
        (
            "timm/resnet50.a1_in1k",
            "no file timm/resnet50.a1_in1k; write timm:resnet50.a1_in1k, or of .* hf:timm/",
        ),
        ("timm:resnot50", "has no pretrained model 'resnot50'; did you mean resnet50"),
        ("timm:resnet50.a9_in1k", "timm has no weights 'resnet50.a9_in1k'; it has resnet50."),
        ("timm:vit_base_patch14_dinov2", "gives features and no classes .*; train a head on it"),
        (
            "timm:convnext_tiny.dinov3_lvd1689m",
            "gives features and no classes .*those of this architecture with classes are .*fb_in1k",
        ),
        ("torchvision:resnot50", "has no classifier 'resnot50'; did you mean resnet50"),
        ("torchvision:resnet50/V3", "no weights 'resnet50/V3'; it has resnet50/IMAGENET1K_V1, resnet50/IMAGENET1K_V2"),
        ("timm:vit_base_patch16_clip_224.openai", "gives 512 numbers to compare with texts, and no classes"),
        ("timm:resnet50_clip.openai", "gives 1024 numbers to compare with texts"),
        ("resnot50", "there is no recipe 'resnot50'"),
    ],
)
def test_what_leads_nowhere_names_the_nearest(reference: str, refusal: str) -> None:
    with pytest.raises(UsageError, match=refusal) as raised:
        resolve_card(reference)
    assert raised.value.fix


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_card_with_a_base_is_the_base_but_for_what_it_says(tmp_path: Path) -> None:
    card = write(
        tmp_path / "mine.toml",
        'base = "timm:resnet18.a1_in1k"\nname = "mine"\n[network]\nclasses = 3\n[labels]\nnames = "names.txt"\n',
    )
    write(tmp_path / "names.txt", "\ufeffgroße Katze\n狗\n\nbird\n")
    own, base = resolve_card(card), resolve_recipe("timm:resnet18.a1_in1k")
    assert (own.recipe.name, own.recipe.network.classes, own.recipe.labels.names) == (
        "mine",
        3,
        ("große Katze", "狗", "bird"),
    )
    assert own.recipe.network.name == base.network.name == "resnet18.a1_in1k"
    assert own.recipe.preprocess == base.preprocess and own.recipe.origin == base.origin
    assert "classes = 3 # from mine.toml" in own.text and "base" not in tomllib.loads(own.text)


def test_other_steps_than_those_of_the_base_are_no_longer_the_librarys(tmp_path: Path) -> None:
    steps = '[[preprocess]]\nstep = "resize"\nsize = [64, 64]\n[[preprocess]]\nstep = "to_float"\n'
    own = resolve_recipe(write(tmp_path / "mine.toml", f'base = "timm:resnet18.a1_in1k"\n{steps}'))
    assert own.input_size == (64, 64) and len(own.preprocess) == 2 and own.origin is None


def test_a_base_may_be_a_card_beside_it_but_not_one_that_has_a_base(tmp_path: Path) -> None:
    write(tmp_path / "first.toml", 'base = "resnet50"\nname = "first"\n')
    assert resolve_recipe(str(tmp_path / "first.toml")).network.parameters == 25557032
    second = write(tmp_path / "second.toml", 'base = "first.toml"\n')
    with pytest.raises(UsageError, match=r"its base first\.toml has a base itself; name resnet50 there"):
        resolve_recipe(second)
    with pytest.raises(UsageError, match="base is 3, not a model reference"):
        resolve_recipe(write(tmp_path / "third.toml", "base = 3\n"))


def test_a_size_of_ones_own_is_for_references() -> None:
    recipe = resolve_recipe("timm:resnet18.a1_in1k", 160)
    assert recipe.input_size == (160, 160) and "arguments" not in recipe.network.model_fields_set
    vit = resolve_recipe("timm:vit_tiny_patch16_224", 96)
    assert vit.input_size == (96, 96) and vit.network.arguments == {"img_size": 96}
    assert resolve_recipe("torchvision:vit_b_16", 96).network.arguments == {"image_size": 96}
    with pytest.raises(UsageError, match="--image-size is for model references, and resnet50 is a card"):
        resolve_recipe("resnet50", 160)


def test_references_are_listed_by_pattern() -> None:
    found = {listed.reference: listed for listed in list_references("timm:resnet18*")}
    listed = found["timm:resnet18.a1_in1k"]
    assert (listed.size, listed.classes, listed.parameters, listed.licence) == (
        (288, 288),
        1000,
        11_690_000,
        "apache-2.0",
    )
    assert listed.top1 == pytest.approx(0.73164)
    assert [listed.reference for listed in list_references("timm:resnet18")] == [
        name for name in found if name.startswith("timm:resnet18.")
    ]
    assert not [name for name in found if "clip" in name]
    with pytest.raises(UsageError, match=r"no folder .* fits 'hf:nix\*', and what the Hugging Face hub has is"):
        list_references("hf:nix*")
    with pytest.raises(UsageError, match=r"fits 'timm:convnxt\*'; did you mean 'timm:.*convnext"):
        list_references("timm:convnxt*")
    with pytest.raises(UsageError, match=r"fits 'resnte18'; did you mean .*:resnet18\*'"):
        list_references("resnte18")
    everywhere: list[Any] = [listed.reference for listed in list_references("resnet18*")]
    assert "torchvision:resnet18/IMAGENET1K_V1" in everywhere and "timm:resnet18.a1_in1k" in everywhere


def test_another_number_of_classes_takes_over_neither_names_nor_weights(tmp_path: Path) -> None:
    own = resolve_recipe(write(tmp_path / "mine.toml", 'base = "timm:resnet18.a1_in1k"\n[network]\nclasses = 3\n'))
    assert (own.weights, own.reference, own.labels.names) == (None, None, None)
    card = write(tmp_path / "other.toml", 'base = "torchvision:resnet18"\n[network]\nclasses = 3\n')
    assert resolve_recipe(card).network.parameters is None
    gated = resolve_recipe(write(tmp_path / "gated.toml", 'base = "resnet50"\n[network]\nclasses = 3\n'))
    assert (gated.reference, gated.gates.published_relative_drop, gated.gates.reference_drop_pp) == (None, None, 0.5)


@pytest.mark.parametrize("reference", ["timm:resnet18.a1_in1k", "torchvision:resnet18", "resnet50"])
def test_a_published_network_takes_other_classes(reference: str) -> None:
    published, own = resolve_recipe(reference), resolve_recipe(reference, classes=3)
    assert own.network == published.network.model_copy(update={"classes": 3, "parameters": None})
    assert (own.weights, own.reference, own.labels.names, own.published) == (None, None, None, ())
    assert own.preprocess == published.preprocess and own.origin == published.origin
    assert resolve_recipe(reference, classes=published.network.classes) == published


def test_what_is_no_card_says_how_to_give_it(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    for name, fix in (
        ("nets.py", "write it like .*nets.py:make"),
        ("mine.pth", "and --checkpoint .*mine.pth"),
        ("hub", "write hf:.*hub where"),
    ):
        if name != "hub":
            (tmp_path / name).write_bytes(b"import torch\n")
        with pytest.raises(UsageError, match=fix):
            resolve_recipe(str(tmp_path / name))


def test_what_states_its_classes_takes_no_others(tmp_path: Path) -> None:
    card = write(tmp_path / "mine.toml", 'base = "resnet50"\n')
    with pytest.raises(
        UsageError, match=r"mine\.toml is a card, which states its classes; change its network\.classes"
    ):
        resolve_recipe(card, classes=3)
    for reference in ("nets.py:net", "net.onnx"):
        with pytest.raises(UsageError, match=f"those of {reference} are counted; leave it out"):
            resolve_recipe(reference, like="resnet50", classes=3)


def test_another_network_or_other_steps_take_over_no_figure(tmp_path: Path) -> None:
    other = resolve_recipe(write(tmp_path / "a.toml", 'base = "timm:resnet18.a1_in1k"\n[network]\nname = "resnet34"\n'))
    assert (other.weights, other.reference) == (None, None) and other.labels.names == "imagenet-1k"
    steps = '[[preprocess]]\nstep = "resize"\nsize = [64, 64]\n[[preprocess]]\nstep = "to_float"\n'
    own = resolve_recipe(write(tmp_path / "b.toml", f'base = "timm:resnet18.a1_in1k"\n{steps}'))
    assert own.reference is None and own.weights is not None


def test_a_base_is_seen_from_the_cards_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cards").mkdir()
    card = write(tmp_path / "cards" / "mine.toml", '\ufeffbase = "hf:./model"\n')
    with pytest.raises(UsageError, match=r"hf:.*cards/model: there is no folder"):
        resolve_recipe(card)
    with pytest.raises(UsageError, match="a base cannot be a Python file"):
        resolve_recipe(write(tmp_path / "c.toml", 'base = "nets.py:net"\n'))


def test_names_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    base = 'base = "timm:resnet18.a1_in1k"\n[network]\nclasses = 3\n[labels]\n'
    for names, refusal in (
        ('["a", "b"]', "labels.names has 2 names, and the network has 3 classes"),
        ('"imagenet-1k"', "labels.names is imagenet-1k, and the network has 3 classes, not 1000"),
        ('"no.txt"', r"labels.names: .*no.txt cannot be read \(No such file or directory\)"),
    ):
        with pytest.raises(UsageError, match=refusal):
            resolve_card(write(tmp_path / "mine.toml", f"{base}names = {names}\n"))
