"""Promise 3: weights of another network, for other classes, transposed or renamed are refused, what is wrong named."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from battery_figures import SEED, record_figures
from battery_server import run_cases
from seatrial.errors import RefusedFile
from seatrial.models import account, checkpoint
from seatrial.models.build import change_classes, sketch_network
from seatrial.models.checkpoint import load_checkpoint
from seatrial.recipes.load import list_cards, load_recipe
from seatrial.recipes.schema import Network, Recipe
from seatrial.recipes.steps import CenterCrop, ToFloat

State = dict[str, Tensor]
LIBRARIES = {
    "timm": "resnet18 resnet34 resnet26d mobilenetv3_small_100 efficientnet_b0 vit_tiny_patch16_224 convnext_atto "
    "densenet121 regnetx_002 ghostnet_100 repvgg_a0 mixer_s32_224 test_resnet test_vit",
    "torchvision": "resnet18 mobilenet_v2 vgg11 alexnet squeezenet1_1 shufflenet_v2_x0_5 mnasnet0_5",
}
OTHER_CLASSES = 37
MEMORY = 8 << 30
QUICK = 2
WRAPS: Mapping[str, Callable[[State], object]] = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 90},
    "DataParallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "averaged": lambda state: {"model": state, "ema": state},
}


@dataclass(frozen=True)
class Case:
    """One network, and whose weights it is offered: every other network's, and its own with faults."""

    recipe: Recipe
    others: tuple[Recipe, ...]
    folder: Path
    seed: str


def list_networks() -> list[Recipe]:
    """The networks of all cards, and some that have none."""
    steps = (CenterCrop(step="center_crop", size=(224, 224)), ToFloat(step="to_float"))
    networks = [
        Network(builder=library, name=name, classes=1000)
        for library, names in LIBRARIES.items()
        for name in names.split()
    ]
    ours = [Recipe(name=f"{n.builder}-{n.name}", title="Any", network=n, preprocess=steps) for n in networks]
    return [*(load_recipe(name) for name in list_cards()), *ours]


def make_zeros(network: Network) -> State:
    """Its weights as zeros that share one number, which keeps the files small."""
    state = sketch_once(network).state_dict()
    return {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in state.items()}


def transpose(state: State, rng: random.Random) -> tuple[str, str]:
    """A matrix or a kernel with its first two axes exchanged, as other frameworks store them."""
    key = rng.choice([key for key, value in state.items() if value.ndim > 1 and value.shape[0] != value.shape[1]])
    state[key] = state[key].transpose(0, 1)
    return key, "of another shape"


def rename(state: State, rng: random.Random) -> tuple[str, str]:
    key = rng.choice([key for key, value in state.items() if value.ndim > 1])
    state[f"{key}_renamed"] = state.pop(key)
    return key, "missing"


def remove(state: State, rng: random.Random) -> tuple[str, str]:
    key = rng.choice([key for key, value in state.items() if value.is_floating_point()])
    del state[key]
    return key, "missing"


def add(state: State, rng: random.Random) -> tuple[str, str]:
    state["tail.weight"] = torch.zeros(3, 3)
    return "tail.weight", "left over"


def widen(state: State, rng: random.Random) -> tuple[str, str]:
    key = rng.choice([key for key, value in state.items() if value.ndim])
    state[key] = torch.zeros((), dtype=state[key].dtype).expand(state[key].shape[0] + 1, *state[key].shape[1:])
    return key, "of another shape"


def round_off(state: State, rng: random.Random) -> tuple[str, str]:
    key = rng.choice([key for key, value in state.items() if value.is_floating_point()])
    state[key] = torch.zeros((), dtype=torch.int8).expand(state[key].shape)
    return key, "int8"


def spoil(state: State, rng: random.Random) -> tuple[str, str]:
    key = rng.choice([key for key, value in state.items() if value.is_floating_point()])
    state[key] = torch.full((), rng.choice([torch.nan, torch.inf])).expand(state[key].shape)
    return key, "NaN or infinite"


FAULTS = (transpose, rename, remove, add, widen, round_off, spoil)


SKETCHES: dict[str, nn.Module] = {}


def sketch_once(network: Network) -> nn.Module:
    """As `sketch_network`; the same networks are wanted again and again."""
    key = network.model_dump_json()
    if key not in SKETCHES:
        SKETCHES[key] = sketch_network(network)
    return SKETCHES[key]


def offer(case: Case) -> tuple[int, list[str]]:
    """How many files were offered, and what went wrong with them."""
    account.sketch_network = checkpoint.sketch_network = sketch_once
    case.folder.mkdir()
    found = [judge(case, number, *attempt) for number, attempt in enumerate(list_attempts(case))]
    return len(found), [wrong for wrong in found if wrong]


def list_attempts(case: Case) -> Iterator[tuple[str, object, Sequence[str]]]:
    """What it is, what is in the file, and the words that the refusal must have."""
    rng = random.Random(case.seed)
    own = make_zeros(case.recipe.network)
    shapes = {key: value.shape for key, value in own.items()}
    wraps = itertools.cycle(WRAPS.items())
    for other, classes in itertools.product(case.others, (1000, OTHER_CLASSES)):
        state = make_zeros(change_classes(other.network, classes))
        if {key: value.shape for key, value in state.items()} == shapes:
            continue  # The same network by another name.
        wrap, pack = next(wraps)
        yield f"{other.name}, {classes} classes, {wrap}", pack(state), name_words(case.recipe, other, classes)
    for fault in FAULTS * 2:
        state = dict(own)
        words = fault(state, rng)
        wrap, pack = next(wraps)
        yield f"its own, {fault.__name__} {words[0]}, {wrap}", pack(state), words


def name_words(wanted: Recipe, other: Recipe, classes: int) -> Sequence[str]:
    """A network for other classes is known by them, a card's by the card."""
    if {**vars(wanted.network), "parameters": None} == {**vars(other.network), "parameters": None}:
        return (f"it has {classes} classes, the recipe {wanted.network.classes}",)
    if other.name in list_cards():
        return (f"it fits the network of recipe '{other.name}' with {classes} classes",)
    return (f"does not fit '{wanted.network.name}'",)


def judge(case: Case, number: int, what: str, content: object, words: Sequence[str]) -> str:
    path = case.folder / f"{number}.pth"
    torch.save(content, path)
    try:
        load_checkpoint(path, case.recipe)
    except RefusedFile as error:
        missing = [word for word in words if word not in str(error)]
        wrong = f"lacks {missing}: {error}" if missing or "\n" in str(error) else ""
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    else:
        wrong = "is taken"
    return f"{case.recipe.name} offered {what} {wrong}" if wrong else ""


def attack(name: str, recipes: Sequence[Recipe], others: Sequence[Recipe], folder: Path) -> None:
    cases = [Case(r, tuple(others), folder / str(k), f"{SEED}/{r.name}") for k, r in enumerate(recipes)]
    outcomes = run_cases(offer, cases, 600, MEMORY)
    failures = [f"{case.recipe.name}: {o.problem}" for case, o in zip(cases, outcomes, strict=True) if o.problem]
    results = [outcome.value for outcome in outcomes if outcome.value]
    failures += [wrong for _, found in results for wrong in found]
    record_figures(3, name, sum(count for count, _ in results), failures, seed=SEED)


def test_a_sample_is_refused(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    networks = list_networks()
    small = [recipe for recipe in networks if recipe.network.name in ("resnet50", "resnet18", "test_vit", "alexnet")]
    attack("sample", rng.sample(small, QUICK), rng.sample(networks, 3), tmp_path)


@pytest.mark.battery
def test_all_wrong_weights_are_refused(tmp_path: Path) -> None:
    networks = list_networks()
    attack("networks × checkpoints", networks, networks, tmp_path)
