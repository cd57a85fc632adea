"""Every card that comes with seatrial says what its source says."""

import pytest

from seatrial.recipes import Recipe, list_cards, load_recipe
from seatrial.recipes.class_names import name_class
from seatrial.recipes.steps import CenterCrop, Normalise, Resize, ToFloat

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CARDS = ["resnet50", "resnext50_32x4d", "seresnext101_32x4d", "sk_resnet50", "spnasnet_100"]


def steps_of(resize: dict[str, object], crop: int, offset: str) -> tuple[object, ...]:
    return (
        Resize.model_validate({"step": "resize", **resize}),
        CenterCrop.model_validate({"step": "center_crop", "size": (crop, crop), "offset": offset}),
        ToFloat(step="to_float"),
        Normalise(step="normalise", **IMAGENET),
    )


def test_cards_are_those_of_the_five_guides() -> None:
    assert sorted(list_cards()) == CARDS
    assert all(load_recipe(name).name == name for name in CARDS)


@pytest.mark.parametrize(
    ("name", "builder", "parameters"),
    [
        ("sk_resnet50", "seatrial", 26_154_496),
        ("spnasnet_100", "timm", 4_421_616),
        ("resnet50", "timm", 25_557_032),
        ("seresnext101_32x4d", "timm", 48_955_416),
        ("resnext50_32x4d", "timm", 25_028_904),
    ],
)
def test_network(name: str, builder: str, parameters: int) -> None:
    network = load_recipe(name).network
    assert (network.builder, network.name, network.classes, network.parameters) == (builder, name, 1000, parameters)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("sk_resnet50", steps_of({"short_side": 256}, 224, "half_even")),
        ("spnasnet_100", steps_of({"size": (256, 256)}, 224, "truncate")),
        ("resnet50", steps_of({"short_side": 256}, 224, "half_even")),
        ("seresnext101_32x4d", steps_of({"short_side": 256}, 224, "half_even")),
        ("resnext50_32x4d", steps_of({"short_side": 256}, 224, "truncate")),
    ],
)
def test_each_network_keeps_its_own_preprocessing(name: str, steps: tuple[object, ...]) -> None:
    recipe = load_recipe(name)
    assert recipe.preprocess == steps
    assert recipe.input_size == (224, 224)
    assert recipe.normalisation == (IMAGENET["mean"], IMAGENET["std"])
    main = recipe.find_mode()
    assert (main.preprocess, main.dtype, main.layout) == (recipe.preprocess, "float32", "CHW")


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("sk_resnet50", ("image", "class")),
        ("spnasnet_100", ("actual_input_1", "output1")),
        ("resnet50", ("actual_input_1", "output1")),
        ("seresnext101_32x4d", ("image", "class")),
        ("resnext50_32x4d", ("actual_input_1", "output1")),
    ],
)
def test_graph_has_the_guides_names(name: str, ends: tuple[str, str]) -> None:
    recipe = load_recipe(name)
    assert (recipe.graph.input, recipe.graph.output, recipe.graph.opset) == (*ends, 11)
    assert recipe.guide is not None and recipe.guide.input is not None and recipe.guide.output is not None
    assert (recipe.guide.input.name, recipe.guide.output.name) == ends


@pytest.mark.parametrize(
    ("name", "mode", "size", "dtype", "layout", "mean"),
    [
        ("resnet50", "aipp", 256, "uint8", "HWC", 0.0),
        ("resnet50", "inceptionv3", 299, "uint8", "HWC", 0.0),
        ("resnet50", "inceptionv4", 299, "uint8", "HWC", 0.0),
        ("seresnext101_32x4d", "inceptionv3", 299, "float32", "CHW", 0.485),
        ("seresnext101_32x4d", "inceptionv4", 299, "float32", "CHW", 0.5),
    ],
)
def test_modes(name: str, mode: str, size: int, dtype: str, layout: str, mean: float) -> None:
    found = load_recipe(name).find_mode(mode)
    assert (found.input_size, found.dtype, found.layout) == ((size, size), dtype, layout)
    assert found.normalisation[0][0] == mean
    resize, crop = found.preprocess[:2]
    assert isinstance(resize, Resize) and isinstance(crop, CenterCrop)
    assert (resize.short_side, crop.offset) == (342 if size == 299 else 256, "half_even")


def test_aipp_crop_of_resnet50_is_the_cards_own_crop() -> None:
    # The files hold a 256 crop, of which AIPP takes 224 from 16: the same columns as a 224 crop, at every width.
    assert all(round((width - 256) / 2) + 16 == round((width - 224) / 2) for width in range(256, 4097))


@pytest.mark.parametrize("name", CARDS)
def test_classes_have_the_names_of_imagenet(name: str) -> None:
    assert name_class(load_recipe(name), 281) == "281 tabby"


def test_weights_are_known_by_a_checksum() -> None:
    known = {name: load_recipe(name).weights for name in CARDS}
    assert {name: w.md5 or w.sha256_prefix for name, w in known.items() if w} == {
        "sk_resnet50": "979bbb525ee0898003777a8e663e91c0",
        "spnasnet_100": "28bdc27f4fdbfe066c95f36b72417340",
        "resnet50": "0676ba61",
        "seresnext101_32x4d": "0c94ea7067268cb66d74001d8b01f7f8",
        "resnext50_32x4d": "7cdf4587",
    }
    assert [name for name, w in known.items() if w and w.url is None] == ["sk_resnet50"]
    assert all("YOLOF" not in (w.url or "") and w.layout for w in known.values() if w)


def test_reference_accuracy_belongs_to_the_network() -> None:
    references = {name: load_recipe(name).reference for name in CARDS}
    assert {name: (r.top1, r.top5) for name, r in references.items() if r} == {
        "sk_resnet50": (0.77538, 0.937),
        "spnasnet_100": (0.74084, 0.91818),
        "resnet50": (0.7613, 0.92862),
        "resnext50_32x4d": (0.77618, 0.93698),
        "seresnext101_32x4d": (0.7824, 0.9423),
    }


def test_gates_can_be_judged_in_any_run() -> None:
    gates = {name: load_recipe(name).gates for name in CARDS}
    assert all(g.reference_drop_pp is not None and g.speed == () for g in gates.values())
    assert gates["resnext50_32x4d"].published_relative_drop == 0.01
    # Nonsense that no other gate sees falls short of a published accuracy.
    assert all(g.published_relative_drop is not None or g.at_least_published for g in gates.values())
    assert all(g.plausible for g in gates.values())
    assert gates["spnasnet_100"].at_least_published
    assert gates["seresnext101_32x4d"].same_at_batches == (1, 16)


def test_published_columns_hold_every_batch_and_where_they_stand() -> None:
    columns = [column for name in CARDS for column in load_recipe(name).published]
    tables = [c for c in columns if len(c.images_per_s) > 1]
    assert all(list(c.images_per_s) == ["1", "4", "8", "16", "32", "64"] for c in tables)
    assert all(c.source.startswith("https://") for c in columns)
    four_chips = {c.label for c in columns if c.chips_per_card == 4}
    assert four_chips == {"310", "310, earlier"}
    assert [c.per for c in load_recipe("seresnext101_32x4d").published if c.label == "310"] == ["chip"]


def test_training_rows_of_resnet50() -> None:
    guide = load_recipe("resnet50").guide
    assert guide is not None
    assert [(r.cards, r.images_per_s, r.top1, r.precision) for r in guide.training] == [
        (1, 2065, None, "O2"),
        (8, 14268, None, "O2"),
        (1, 1259.591, None, "O2"),
        (8, 11898.83, 0.76702, "O2"),
    ]
    assert [(a.device, a.batch_size, a.top1, a.top5) for a in guide.accuracy] == [("910A", 64, 0.7696, 0.9324)]


@pytest.mark.parametrize("name", CARDS)
def test_a_card_survives_the_way_into_a_manifest(name: str) -> None:
    recipe = load_recipe(name)
    assert Recipe.read(recipe.model_dump(mode="json", exclude_none=True), "manifest") == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
