"""A network from the user's own file: its code is run, its classes are counted, its file is known by its hash."""

from pathlib import Path

import pytest
import torch

from seatrial.errors import RefusedFile, UsageError
from seatrial.models.build import build_network
from seatrial.models.python_file import hash_code
from seatrial.models.sources import resolve_card, resolve_recipe
from seatrial.recipes.load import list_cards, load_recipe

LIKE = "torchvision:resnet18/IMAGENET1K_V1"
NETS = """
import torch
from torch import nn

from part import width


def tiny(classes=7):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


def thousand():
    return tiny(1000)


class Picky(nn.Module):
    def forward(self, images):
        if float(images.sum()) > 1e9:
            raise RuntimeError("too bright")
        return images.mean(dim=(2, 3))


def features():
    return nn.Conv2d(3, 4, 3)


def number():
    return 3


def leaves():
    import sys
    sys.exit(0)


def ends():
    import os
    os._exit(0)


def double():
    return tiny().double()


class Bfloat(nn.Module):
    def forward(self, images):
        return images.bfloat16().mean(dim=(2, 3)).float()


class EndsLater(nn.Module):
    def forward(self, images):
        import os
        os._exit(0)


class Whole(nn.Module):
    def forward(self, images):
        return images.reshape(1, -1)


def parallel():
    print("hello")
    return nn.DataParallel(tiny())


def lazy():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))


def broken():
    raise KeyError("no such file\\nand more")


class Strict(nn.Module):
    def forward(self, images):
        assert images.shape[-1] == 96, "images of 96"
        return images.mean(dim=(2, 3))
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with networks and one that it imports."""
    folder = tmp_path_factory.mktemp("nets")
    (folder / "part.py").write_text("width = 4\n")
    (folder / "nets.py").write_text(NETS)
    return folder / "nets.py"


def test_the_network_is_the_files_and_the_images_are_like_the_references(nets: Path) -> None:
    recipe, like = resolve_recipe(f"{nets}:tiny", like=LIKE), resolve_recipe(LIKE)
    assert (recipe.name, recipe.network.builder, recipe.network.classes) == ("nets.tiny", "python", 7)
    assert recipe.network.name == f"{nets}:tiny" and len(recipe.network.sha256 or "") == 64
    assert recipe.preprocess == like.preprocess and recipe.origin == like.origin
    assert recipe.weights is None and recipe.reference is None and recipe.labels.names is None
    assert build_network(recipe.network)(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_gates_on_the_published_accuracy_of_the_other_network_stay_there(nets: Path) -> None:
    like = next(name for name in list_cards() if load_recipe(name).gates.published_relative_drop is not None)
    gates = resolve_recipe(f"{nets}:thousand", like=like).gates
    assert gates.published_relative_drop is None and gates.reference_drop_pp is not None


def test_names_of_classes_come_along_where_there_are_as_many(nets: Path) -> None:
    assert resolve_recipe(f"{nets}:thousand", like=LIKE).labels.names == "imagenet-1k"


def test_a_network_that_reads_values_is_run_for_its_classes(nets: Path) -> None:
    assert resolve_recipe(f"{nets}:Picky", like=LIKE).network.classes == 3


def test_a_size_of_ones_own(nets: Path) -> None:
    assert resolve_recipe(f"{nets}:Strict", 96, LIKE).input_size == (96, 96)


@pytest.mark.parametrize(
    ("function", "refusal"),
    [
        ("huge", "defines no function 'huge'; it defines tiny, thousand"),
        ("features", "gives a tensor of 4 axes for a batch of images"),
        ("number", "gives a int; it must return a torch.nn.Module"),
        ("broken", r"'broken' builds no network \(KeyError: 'no such file.*, line \d+\); mend the file"),
        ("leaves", r"'leaves' builds no network \(it leaves with sys.exit, line \d+\)"),
        ("lazy", "has lazy layers, whose weights have no shape yet"),
        ("Strict", r"does not run on 2 images of 224 × 224 \(images of 96\)"),
        ("ends", r"'ends' builds no network \(it leaves with os\._exit, line \d+\)"),
        ("EndsLater", r"'nets\.py:EndsLater' does not run \(it leaves with os\._exit\); mend its forward"),
        ("double", r"'nets\.py:double' has weights in float64 \(0\.weight, 0\.bias and 2 more\); call \.float\(\)"),
        ("Bfloat", r"'nets\.py:Bfloat' computes in bfloat16 \(`bfloat16` of its forward gives it first\)"),
        ("Whole", r"gives logits of 1 images for 2; its forward must take a batch"),
    ],
)
def test_what_is_no_classifier_is_refused_in_one_line(nets: Path, function: str, refusal: str) -> None:
    with pytest.raises(UsageError, match=refusal) as raised:
        resolve_recipe(f"{nets}:{function}", like=LIKE)
    assert "\n" not in str(raised.value)


def test_a_wrapped_network_is_taken_out_and_what_is_printed_is_no_result(
    nets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = build_network(resolve_recipe(f"{nets}:parallel", like=LIKE).network)
    assert isinstance(built, torch.nn.Sequential)
    assert capsys.readouterr() == ("", "hello\nhello\n")


def test_a_file_that_leaves_or_is_no_python_is_refused(tmp_path: Path) -> None:
    for text, refusal in (
        ("import sys\nsys.exit(0)\n", r"does not run \(it leaves with sys\.exit, line 2\)"),
        ("x = (\n", r"does not run \(SyntaxError: "),
        ("import no_such_module\n", r"does not run \(ModuleNotFoundError: No module named 'no_such_module', line 1\)"),
    ):
        (tmp_path / "mine.py").write_text(text)
        with pytest.raises(UsageError, match=refusal):
            resolve_recipe(f"{tmp_path / 'mine.py'}:net", like=LIKE)


def test_a_file_that_moves_elsewhere_builds_there_and_leaves_us_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "classes.txt").write_text("5")
    (tmp_path / "code" / "lazy.py").write_text("from torch import nn\n")
    (tmp_path / "code" / "mine.py").write_text(
        "import os\nfrom pathlib import Path\nos.chdir('elsewhere')\ndef net():\n    from lazy import nn\n"
        "    classes = int(Path('classes.txt').read_text())\n"
        "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert resolve_recipe("code/mine.py:net", like=LIKE).network.classes == 5
    assert Path.cwd() == tmp_path


def test_a_file_beside_it_that_changed_is_another_network(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("from .deep import WIDTH\n")
    (tmp_path / "pack" / "deep.py").write_text("WIDTH = 3\n")
    (tmp_path / "mine.py").write_text("import pack.deep\nimport other\n")
    (tmp_path / "other.py").write_text("import mine\n")  # in a circle
    before = hash_code(tmp_path / "mine.py")
    assert hash_code(tmp_path / "mine.py") == before
    (tmp_path / "unrelated.py").write_text("x = 1\n")
    assert hash_code(tmp_path / "mine.py") == before
    (tmp_path / "pack" / "deep.py").write_text("WIDTH = 4\n")
    assert hash_code(tmp_path / "mine.py") != before


def test_how_images_are_prepared_must_be_said_once(nets: Path) -> None:
    with pytest.raises(UsageError, match="does not say how its images are prepared; give --like REF"):
        resolve_card(f"{nets}:tiny")
    with pytest.raises(UsageError, match="--like is for a Python or an ONNX file, and resnet50 says itself"):
        resolve_card("resnet50", like=LIKE)
    with pytest.raises(UsageError, match=r"--like .*nets\.py:tiny is a Python file, which does not say how images are"):
        resolve_card(f"{nets}:tiny", like=f"{nets}:tiny")
    with pytest.raises(UsageError, match=r"there is no Python file .*mine\.py"):
        resolve_card("mine.py:make", like=LIKE)
    with pytest.raises(UsageError, match=r"is not FILE\.py:CALLABLE"):
        resolve_card(f"{nets}:not a name", like=LIKE)


def test_a_file_that_changed_is_another_network(nets: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from torch import nn\ndef net():\n    return nn.Flatten()\n")
    network = resolve_recipe(f"{tmp_path / 'mine.py'}:net", like=LIKE).network
    (tmp_path / "mine.py").write_text("from torch import nn\ndef net():\n    return nn.Identity()\n")
    with pytest.raises(RefusedFile, match="is not what the card was made of"):
        build_network(network)
