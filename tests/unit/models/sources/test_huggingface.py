"""Repositories of the Hugging Face hub, as folders that transformers itself wrote, with small random networks."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from seatrial.cli import run_cli
from seatrial.errors import EngineError, RefusedFile, UsageError
from seatrial.evaluation.preprocessing_parity import draw_files, prove_preprocessing
from seatrial.models.build import build_network
from seatrial.models.checkpoint import load_checkpoint
from seatrial.models.find_weights import find_weights
from seatrial.models.hub import DESCRIPTION, WEIGHTS
from seatrial.models.sources import resolve_recipe
from seatrial.models.sources.huggingface import fetch_description
from seatrial.models.sources.resolve import list_references

transformers = pytest.importorskip("transformers")

SMALL = {
    "vit": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    "convnext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "mobilevit": {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 32]},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320},
    "poolformer": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "levit": {
        "hidden_sizes": [16, 32, 48],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
        "num_attention_heads": [1, 2, 2],
    },
    "mobilenet_v2": {"depth_multiplier": 0.25},
    "deit": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
}
CLASSES = {0: "große Katze", 1: "狗", 2: "bird"}


@pytest.fixture(scope="module", autouse=True)
def _offline() -> Any:
    """No network, and no advice of transformers on the terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        logging.getLogger("transformers").setLevel(logging.ERROR)
        yield


def make_folder(
    folder: Path, kind: str, backend: str = "pil", processor: dict[str, Any] | None = None, size: int | None = None
) -> Path:
    """A repository of a small random network of this kind, as `save_pretrained` writes it."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, id2label=CLASSES, label2id={v: k for k, v in CLASSES.items()})
    for name, value in {**SMALL[kind], **({"image_size": size} if size else {})}.items():
        setattr(config, name, value)
    architecture = transformers.models.auto.modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES[kind]
    network = getattr(transformers, architecture if isinstance(architecture, str) else architecture[0])(config)
    network.save_pretrained(folder)
    names = transformers.models.auto.image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES[kind]
    getattr(transformers, names[backend])(**processor or {}).save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    written = json.loads(path.read_text())
    plain = written["image_processor_type"].removesuffix("Pil").removesuffix("Fast")
    path.write_text(
        json.dumps({**written, "image_processor_type": plain + ("Fast" if backend == "torchvision" else "")})
    )
    return folder


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in {**content, **changes}.items() if value is not None}))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight drawn images as files."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, data in draw_files(8):
        (folder / name).write_bytes(data)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("backend", ["pil", "torchvision"])
@pytest.mark.parametrize("kind", SMALL)
def test_images_are_prepared_as_by_the_processor(kind: str, backend: str, tmp_path: Path, pictures: list[Path]) -> None:
    recipe = resolve_recipe(f"hf:{make_folder(tmp_path, kind, backend)}")
    proof = prove_preprocessing(recipe, pictures)
    assert proof is not None and proof.difference.share == 0, proof


@pytest.mark.parametrize("kind", SMALL)
def test_the_network_gives_transformers_logits(kind: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path, kind)
    recipe = resolve_recipe(f"hf:{folder}")
    assert recipe.labels.names == tuple(CLASSES.values()) and recipe.network.classes == 3
    loaded = load_checkpoint(find_weights(recipe, None), recipe)
    network = build_network(recipe.network).eval()
    network.load_state_dict(loaded.state)
    images = torch.randn(2, 3, *recipe.input_size, generator=torch.Generator().manual_seed(1))
    theirs = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        assert torch.allclose(network(images), theirs(images).logits, atol=1e-6)


def test_a_resize_to_less_than_384_crops_and_from_there_on_squashes(tmp_path: Path, pictures: list[Path]) -> None:
    small = resolve_recipe(f"hf:{make_folder(tmp_path, 'convnext', processor={'size': {'shortest_edge': 224}})}")
    assert [step.describe() for step in small.preprocess[:2]] == [
        "resize the short side to 256 (bicubic)",
        "crop the middle 224 × 224",
    ]
    proof = prove_preprocessing(small, pictures)
    assert proof is not None and proof.holds


def test_a_second_division_and_an_offset_are_folded_in(tmp_path: Path, pictures: list[Path]) -> None:
    folder = make_folder(tmp_path, "efficientnet", processor={"rescale_factor": 1 / 127.5, "rescale_offset": True})
    proof = prove_preprocessing(resolve_recipe(f"hf:{folder}"), pictures)
    assert proof is not None and proof.holds


@pytest.mark.parametrize(("kind", "size"), [("vit", 96), ("vit", 250), ("deit", 64)])
def test_at_another_size_position_embeddings_are_resampled_as_by_transformers(
    kind: str, size: int, tmp_path: Path, pictures: list[Path]
) -> None:
    folder = make_folder(tmp_path, kind)
    recipe = resolve_recipe(f"hf:{folder}", size)
    assert recipe.input_size == (size, size)
    network = build_network(recipe.network).eval()
    network.load_state_dict(load_checkpoint(find_weights(recipe, None), recipe).state)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    theirs = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        wanted = theirs(images, interpolate_pos_encoding=True).logits
        assert torch.allclose(network(images), wanted, atol=1e-6)
    proof = prove_preprocessing(recipe, pictures)
    assert proof is not None and proof.holds


def test_weights_for_another_size_are_said_to_be_so(tmp_path: Path) -> None:
    small = make_folder(tmp_path / "small", "vit", size=64)
    recipe = resolve_recipe(f"hf:{make_folder(tmp_path / 'large', 'vit')}")
    told = r"1 of another shape \(\S*position_embeddings 1×17×32 for 1×197×32\); they are for another image size: give"
    with pytest.raises(RefusedFile, match=told):
        load_checkpoint(small / "model.safetensors", recipe)


def test_a_network_that_resamples_nothing_is_fixed_to_its_size(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "levit")
    told = r"hf:\S+ does not run on images of 160 × 160 \(.*\); leave --image-size out: it is fixed to 224"
    with pytest.raises(UsageError, match=told):
        resolve_recipe(f"hf:{folder}", 160)
    assert resolve_recipe(f"hf:{folder}", 224).input_size == (224, 224)


def test_sizes_that_a_network_takes_are_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.HieraConfig(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], id2label=CLASSES)
    transformers.HieraForImageClassification(config).save_pretrained(tmp_path)
    transformers.BitImageProcessorPil().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"not run on images of 250 × 250 .*; give --image-size 224 or 256$"):
        resolve_recipe(f"hf:{tmp_path}", 250)


def test_a_repository_that_timm_made_is_timms(tmp_path: Path, pictures: list[Path]) -> None:
    from timm.models import get_pretrained_cfg

    described = get_pretrained_cfg("test_vit.r160_in1k").to_dict()
    config = {"architecture": "test_vit", "num_classes": 4, "pretrained_cfg": described, "label_names": list("abcd")}
    (tmp_path / "config.json").write_text(json.dumps({**config, "label_descriptions": {"a": "ape"}}))
    recipe = resolve_recipe(f"hf:{tmp_path}")
    assert (recipe.network.builder, recipe.network.name, recipe.network.classes) == ("timm", "test_vit", 4)
    assert recipe.labels.names == ("ape", "b", "c", "d")
    proof = prove_preprocessing(recipe, pictures)
    assert proof is not None and proof.holds and recipe.input_size == (160, 160)


def test_folders_are_listed_also_relative_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "mine", "vit")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    for pattern in ("hf:./mine", "hf:*", f"hf:{tmp_path}/m*"):
        (listed,) = list_references(pattern)
        assert (listed.reference.endswith("mine"), listed.size, listed.classes) == (True, (224, 224), 3)


@pytest.mark.parametrize("backend", ["pil", "torchvision"])
def test_a_network_of_one_channel_is_given_grey_images(backend: str, tmp_path: Path, pictures: list[Path]) -> None:
    folder = make_folder(tmp_path, "vit", backend, {"image_mean": [0.4], "image_std": [0.3]})
    edit(folder / "config.json", num_channels=1)
    recipe = resolve_recipe(f"hf:{folder}")
    assert recipe.channels == 1 and recipe.normalisation == ((0.4,), (0.3,))
    assert build_network(recipe.network)(torch.zeros(1, 1, *recipe.input_size)).shape == (1, 3)
    proof = prove_preprocessing(recipe, pictures)
    assert proof is not None and proof.difference.share == 0


def test_timms_network_of_one_channel_is_given_grey_images(tmp_path: Path, pictures: list[Path]) -> None:
    from timm.models import get_pretrained_cfg

    described = {**get_pretrained_cfg("test_vit.r160_in1k").to_dict(), "mean": [0.13], "std": [0.31]}
    config = {
        "architecture": "test_vit",
        "num_classes": 4,
        "pretrained_cfg": {**described, "input_size": [1, 160, 160]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    recipe = resolve_recipe(f"hf:{tmp_path}")
    assert recipe.channels == 1 and recipe.network.arguments == {"in_chans": 1}
    proof = prove_preprocessing(recipe, pictures)
    assert proof is not None and proof.holds
    config["pretrained_cfg"] = {**described, "input_size": [12, 160, 160]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UsageError, match=r"takes images of 12 channels; a card describes images of 3 channels .* or of"
    ):
        resolve_recipe(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("file", "changes", "refusal"),
    [
        ("config.json", {"num_channels": 1}, "says images of 1 channel, and its preprocessor_config.json prepares 3"),
        ("config.json", {"num_channels": 4}, "takes images of 4 channels"),
        ("config.json", {"architectures": ["ViTModel"]}, "is a ViTModel, not one of transformers'"),
        ("config.json", {"problem_type": "multi_label_classification"}, "gives several labels an image"),
        ("config.json", {"auto_map": {"AutoModel": "mine.py"}}, "brings code of its own"),
        ("config.json", {"id2label": {"1": "a", "2": "b"}}, "id2label has no class '0'"),
        ("preprocessor_config.json", {"image_processor_type": "TextNetImageProcessor"}, "another size for each image"),
        ("preprocessor_config.json", {"image_processor_type": "NoSuchProcessor"}, "transformers does not read its"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 10, "longest_edge": 20}}, "which no card can say"),
    ],
)
def test_what_no_card_can_say_is_refused(tmp_path: Path, file: str, changes: dict[str, Any], refusal: str) -> None:
    folder = make_folder(tmp_path, "vit")
    edit(folder / file, **changes)
    with pytest.raises(UsageError, match=refusal) as raised:
        resolve_recipe(f"hf:{folder}")
    assert raised.value.fix


@pytest.mark.parametrize(
    ("config", "refusal"),
    [
        ({"architecture": "test_vit", "num_classes": 3}, "its config.json is not read .KeyError"),
        (
            {"architecture": "resnet5O", "num_classes": 3, "pretrained_cfg": {}},
            r"its config.json is of timm, and timm \S+ has no network 'resnet5O'; did you mean 'resnet50'",
        ),
        ({"architecture": "test_vit", "num_classes": 3, "pretrained_cfg": {"input_size": [3, 9]}}, "is not read .Val"),
        ({"id2label": ["a", "b"]}, "its config.json is not read .AttributeError"),
        ({"hidden_size": "big"}, "its config.json is not read"),
        ({"architectures": "ViTModel"}, "is a ViTModel, not one of"),
        ({"architectures": []}, "is a vit, not one of"),
    ],
)
def test_what_anybody_may_have_written_is_one_line(tmp_path: Path, config: dict[str, Any], refusal: str) -> None:
    folder = make_folder(tmp_path, "vit")
    edit(folder / "config.json", **config)
    with pytest.raises(UsageError, match=refusal) as raised:
        resolve_recipe(f"hf:{folder}")
    assert raised.value.fix


def test_files_that_are_missing_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*config\.json; give a folder as save_pretrained writes it"):
        resolve_recipe(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RefusedFile, match=r"is damaged .*; fetch it again"):
        resolve_recipe(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(RefusedFile, match="is no JSON object; fetch it again"):
        resolve_recipe(f"hf:{tmp_path}")


def test_only_a_pickle_is_taken_by_the_users_word(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "resnet")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    recipe = resolve_recipe(f"hf:{folder}")
    with pytest.raises(UsageError, match=r"here is only a pickle: give pytorch_model\.bin with --checkpoint"):
        find_weights(recipe, None)


def test_a_repository_that_is_not_here_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UsageError, match="hf:some/thing is not on this machine; `seatrial recipes fetch hf:some/thing`"
    ):
        resolve_recipe("hf:some/thing")
    with pytest.raises(UsageError, match="hf:thing is no folder and no ORG/NAME"):
        resolve_recipe("hf:thing")
    monkeypatch.setattr("seatrial.models.sources.library.find_version", lambda name: None)
    with pytest.raises(EngineError, match=r"huggingface-hub, .* is not installed; pip install 'seatrial\[hf\]'"):
        resolve_recipe("hf:some/thing")


def test_a_stored_repository_is_found_with_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    commit = "0123456789" * 4
    place = tmp_path / "models--some--thing"
    make_folder(place / "snapshots" / commit, "resnet")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    recipe = resolve_recipe("hf:some/thing")
    assert recipe.origin is not None and recipe.origin.startswith(f"hf:some/thing@{commit} (transformers ")
    assert recipe.weights is not None and recipe.weights.revision == commit
    assert find_weights(recipe, None).is_file()
    assert resolve_recipe(f"hf:some/thing@{commit}") == recipe


COMMIT = "0123456789" * 4


class FakeHub:
    """The hub's client with repositories in a folder in the place of the network; it stores what it downloads."""

    def __init__(self, repositories: Path, store: Path) -> None:
        self.repositories, self.store = repositories, store
        self.fetched: list[tuple[str, ...]] = []

    def snapshot_download(
        self, repository: str, revision: str | None, local_dir: Path | None, allow_patterns: list[str]
    ) -> str:
        """The files of these names, into the folder, or into the store where references look for them."""
        self.fetched.append(tuple(allow_patterns))
        place = self.store / f"models--{repository.replace('/', '--')}"
        folder = local_dir or place / "snapshots" / COMMIT
        for path in (folder, place / "refs"):
            path.mkdir(parents=True, exist_ok=True)
        (place / "refs" / "main").write_text(COMMIT)
        for source in (self.repositories / repository / name for name in allow_patterns):
            if source.is_file():
                shutil.copy(source, folder)
        return str(folder)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    import huggingface_hub.constants

    fake = FakeHub(tmp_path / "hub", tmp_path / "store")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(fake.store))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return fake


def test_a_repository_is_fetched_with_what_describes_it_once(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder(hub.repositories / "some" / "thing", "resnet")
    assert run_cli(["recipes", "show", "hf:some/thing"]) == 2
    assert "not on this machine; `seatrial recipes fetch hf:some/thing` downloads it" in capsys.readouterr().err
    assert run_cli(["recipes", "fetch", "hf:some/thing"]) == 0
    printed = Path(capsys.readouterr().out.strip())
    assert printed == find_weights(resolve_recipe("hf:some/thing"), None)
    assert printed.read_bytes() == (hub.repositories / "some" / "thing" / WEIGHTS).read_bytes()
    assert run_cli(["recipes", "fetch", "hf:some/thing"]) == 0
    assert hub.fetched == [DESCRIPTION, (WEIGHTS,)]


def test_repositories_do_not_get_each_others_weights(hub: FakeHub) -> None:
    for name, kind in (("a/one", "resnet"), ("b/two", "vit")):
        make_folder(hub.repositories / name, kind)
        fetch_description(f"hf:{name}")
        recipe = resolve_recipe(f"hf:{name}")
        told = f"add --fetch to download .*{name}/resolve/.*; or give --checkpoint FILE$"
        with pytest.raises(UsageError, match=told):
            find_weights(recipe, None)
        found = find_weights(recipe, None, fetch=True)
        assert found.read_bytes() == (hub.repositories / name / WEIGHTS).read_bytes()


def test_a_repository_is_fetched_into_a_folder_that_is_a_reference(hub: FakeHub) -> None:
    make_folder(hub.repositories / "some" / "thing", "resnet")
    assert run_cli(["recipes", "fetch", "hf:some/thing", "--output", "mine"]) == 0
    recipe = resolve_recipe("hf:./mine")
    assert recipe.weights is not None and recipe.weights.path == str(Path("mine", WEIGHTS).absolute())


def test_a_repository_without_a_network_or_without_weights(hub: FakeHub) -> None:
    with pytest.raises(UsageError, match=r"no/model on the Hugging Face hub has no config\.json"):
        fetch_description("hf:no/model")
    (make_folder(hub.repositories / "no" / "weights", "resnet") / WEIGHTS).unlink()
    fetch_description("hf:no/weights")
    with pytest.raises(UsageError, match=r"no/weights on the Hugging Face hub has no model\.safetensors; give its"):
        find_weights(resolve_recipe("hf:no/weights"), None, fetch=True)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--output", "out"),
        ("export", "--output", "out.onnx"),
        ("choose", "--goal", "size", "--engines", "onnxruntime", "--output", "out"),
    ],
    ids=lambda words: words[0],
)
def test_a_verb_downloads_what_describes_a_model_with_fetch_alone(
    words: tuple[str, ...], hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    make_folder(hub.repositories / "some" / "thing", "resnet")
    command = [words[0], "hf:some/thing", "--images", "nowhere", *words[1:]]
    assert run_cli(command) == 2 and hub.fetched == []
    assert "hf:some/thing is not on this machine" in capsys.readouterr().err
    assert run_cli([*command, "--fetch"]) == 6 and hub.fetched == [DESCRIPTION]
    assert "nowhere" in capsys.readouterr().err


def test_a_plan_downloads_nothing(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    make_folder(hub.repositories / "some" / "thing", "resnet")
    assert run_cli(["run", "hf:some/thing", "--images", "nowhere", "--output", "out", "--fetch", "--dry-run"]) == 2
    assert "hf:some/thing is not on this machine" in capsys.readouterr().err and hub.fetched == []
