"""The five guides from their first command to their last, `seatrial compat` in front of each and nothing else changed.

Each guide's own network with weights of a rule, on three of the images whose pixels the guides' own scripts gave.
"""

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from golden_weights import fill_golden_weights
from seatrial.cli import run_cli
from seatrial.export import export_graph, simplify
from seatrial.models.build import sketch_network
from seatrial.recipes import load_recipe
from seatrial.workflow import compile, export

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
GUIDES = tomllib.loads((HERE / "commands.toml").read_text(encoding="utf-8"))
NAMES = tuple(f"ILSVRC2012_val_{number:08d}" for number in (1, 2, 3))
SIZES = {1: (500, 375), 2: (333, 500), 3: (300, 220)}
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
WEIGHTS = "random.pth.tar"
PROOF = 1
"""Images that each step of a graph is compared on; outside the tests 64."""


@pytest.fixture(scope="module", autouse=True)
def _little_proof() -> Iterator[None]:
    """What the guides do not do takes most of the time: every graph is compared with the one before on 64 images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "PARITY_IMAGES", PROOF)
        patch.setattr(compile, "PARITY_IMAGES", PROOF)
        patch.setattr(simplify, "CHECK_IMAGES", PROOF)
        patch.setattr(export_graph, "_check_alone", lambda *_: None)
        yield


def lay_out(folder: Path, guide: Mapping[str, Any]) -> torch.nn.Module:
    """Images and weights as a guide has them; the network with these weights."""
    (folder / "imagenet" / "val").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(GOLDEN / "preprocess" / "images" / f"{name}.JPEG", folder / "imagenet" / "val")
    if "aipp" in guide:
        shutil.copy(GOLDEN / "aipp" / guide["aipp"], folder)
    # Without a draw of weights that are replaced at once.
    network = sketch_network(load_recipe(guide["network"]).network).to_empty(device="cpu")
    fill_golden_weights(network, "guide")
    state = dict(network.state_dict())
    if guide["keys"] == "linear squeeze":
        state = {
            re.sub(r"\.se\.(fc\d)", r".\1", key): value.flatten(1) if re.search(r"\.se\.fc\d\.weight", key) else value
            for key, value in state.items()
        }
    elif guide["keys"]:
        state = {f"{guide['keys']}{key}": value for key, value in state.items()}
    torch.save({"state_dict": state, "epoch": 90} if guide["keys"] == "module." else state, folder / WEIGHTS)
    return network.eval()


def follow(commands: list[str], **values: object) -> None:
    """Run a guide's lines as they are printed, variables filled in, with the two words in front."""
    for line in commands:
        for name, value in values.items():
            line = line.replace(f"${{{name}}}", str(value))
        assert run_cli(["compat", *shlex.split(line)]) == 0, line


def load_pixels(guide: Mapping[str, Any], name: str) -> NDArray[np.uint8]:
    """What the guide's own script made of an image; the SE guide's is that of SK-ResNet50 to the pixel."""
    stored = {"seresnext101_32x4d": "sk_resnet50"}.get(guide["network"], guide["network"])
    with np.load(GOLDEN / "preprocess" / "expected_uint8.npz") as pixels:
        found: NDArray[np.uint8] = pixels[f"{stored}/{name}.JPEG"]
    return found


def normalise_as_published(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The guides' arithmetic, (3, height, width)."""
    floats = pixels.astype(np.float32) / 255
    return np.ascontiguousarray(((floats - MEAN) / STD).transpose(2, 0, 1), dtype=np.float32)


def check_bins(guide: Mapping[str, Any]) -> None:
    """Names and bytes are those of the guide's script, and so are the lines of its lists."""
    assert sorted(path.stem for path in Path(guide["bins"]).glob("*.bin")) == list(NAMES)
    for name in NAMES:
        pixels = load_pixels(guide, name)
        expected = pixels if "aipp" in guide else normalise_as_published(pixels)
        assert (Path(guide["bins"]) / f"{name}.bin").read_bytes() == expected.tobytes(), name
    if "info" in guide:
        lines = [f"{i} {guide['info']['line'].format(name=name)}\n" for i, name in enumerate(NAMES)]
        assert Path(guide["info"]["file"]).read_text() == "".join(lines)


def check_graph(graph: Mapping[str, Any]) -> None:
    """Opset, names and batch axis are the guide's."""
    model = onnx.load(graph["file"])
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [11]
    ((image,), (logits,)) = model.graph.input, model.graph.output
    assert (image.name, logits.name) == (graph["input"], graph["output"])
    shapes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in (image, logits)]
    batch = 0 if graph["batch"] == "free" else graph["batch"]
    assert shapes == [[batch, 3, 224, 224], [batch, 1000]]


def check_predictions(guide: Mapping[str, Any], network: torch.nn.Module) -> list[NDArray[np.float64]]:
    """A line of 1000 numbers for each image, near to what PyTorch gives for the guide's own pixels; the numbers."""
    folder, index = Path(guide["predictions"]["folder"]), guide["predictions"]["index"]
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}_{index}.txt" for name in NAMES]
    texts = [(folder / f"{name}_{index}.txt").read_text() for name in NAMES]
    assert all(re.fullmatch(r"(-?\d+\.\d{6} ){1000}\n", text) for text in texts)
    rows = [np.array(text.split(), dtype=np.float64) for text in texts]
    # The last one, which is alone in its batch.
    pixels = load_pixels(guide, NAMES[-1])
    floats = normalise_as_published(pixels[16:240, 16:240] if "aipp" in guide else pixels)
    with torch.inference_mode():
        expected = network(torch.from_numpy(floats[None]))[0].numpy()
    np.testing.assert_allclose(rows[-1], expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()) + 1e-6)
    return rows


def write_labels(rows: list[NDArray[np.float64]]) -> str:
    """Label files in which the label of image i is its class of rank i; the guides' result for them."""
    lines = [f"{name}.JPEG {np.argsort(-row)[i]}\n" for i, (name, row) in enumerate(zip(NAMES, rows, strict=True))]
    Path("imagenet/val_label.txt").write_text("".join(lines))
    facts = [("Number of images", "3"), ("Number of classes", "1000")]
    facts += [
        (f"Top{k} accuracy", share) for k, share in enumerate(("33.33%", "66.67%", "100.0%", "100.0%", "100.0%"), 1)
    ]
    listed = ", ".join(f'{{"key": "{key}", "value": "{value}"}}' for key, value in facts)
    return f'{{"title": "Overall statistical evaluation", "value": [{listed}]}}'


def replay(guide: Mapping[str, Any], folder: Path, sizes: tuple[int, ...], loop: int) -> str:
    """Follow a guide, checking what each part leaves; all that was printed from the measurements on."""
    network = lay_out(folder, guide)
    follow(guide["prepare"], weights=WEIGHTS)
    check_bins(guide)
    check_graph(guide["graph"])
    for size in sizes:
        follow(guide["infer"], bs=size)
        result = write_labels(check_predictions(guide, network))
        follow(guide["judge"], bs=size)
        assert Path(guide["result"].replace("${bs}", str(size))).read_text() == result
        follow(guide["measure"], bs=size, loop=loop)


FAST = {"seresnext101": 1, "resnext50": 1}
"""Batch sizes of the replays that `make test` can afford; 2 for the others, so that the third image is padded."""
MEASURED = ("spnasnet_100",)
"""Whose performance commands it can afford too."""


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_is_followed_to_its_result(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    guide = GUIDES[name] if name in MEASURED else {**GUIDES[name], "measure": []}
    replay(guide, tmp_path, (FAST.get(name, 2),), 2)
    shown = capsys.readouterr()
    commands = sum(len(guide[part]) for part in ("prepare", "infer", "judge", "measure"))
    assert len(re.findall(r" is here: seatrial ", shown.err)) == commands
    assert "ATC run success, welcome to the next use.\n" in shown.out


@pytest.mark.slow
@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_is_followed_at_all_its_batch_sizes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    replay(GUIDES[name], tmp_path, (1, 4, 8, 16, 32, 64), 10)
    assert run_cli(["recipes", "tables", GUIDES[name]["network"]]) == 0
