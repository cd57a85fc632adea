"""The five guides from their first command to their last, `seatrial compat` in front of each and nothing else changed.

Each guide's own network with weights of a rule, on three of the images whose pixels the guides' own scripts gave.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from guide_replay import GOLDEN, GUIDES, NAMES, fill_in, follow, lay_out, prove_little
from pages import read_page
from seatrial.cli import run_cli

WEIGHTS = "random.pth.tar"
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


@pytest.fixture(scope="module", autouse=True)
def _little_proof() -> Iterator[None]:
    with prove_little():
        yield


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


def replay(guide: Mapping[str, Any], folder: Path, sizes: tuple[int, ...], loop: int) -> None:
    """Follow a guide, checking what each part leaves."""
    network = lay_out(folder, guide, WEIGHTS)
    follow(guide["prepare"], weights=WEIGHTS)
    check_bins(guide)
    check_graph(guide["graph"])
    for size in sizes:
        follow(guide["infer"], bs=size)
        result = write_labels(check_predictions(guide, network))
        follow(guide["judge"], bs=size)
        assert Path(guide["result"].replace("${bs}", str(size))).read_text() == result
        follow(guide["measure"], bs=size, loop=loop)


def read_table(name: str) -> list[tuple[str, str]]:
    """The guide's commands and ours on the page that retells the guides."""
    section = read_page("docs/guides.md").split("\n## ")[list(GUIDES).index(name) + 1]
    return re.findall(r"^\| `(.+)` \| `(seatrial .+)` \|$", section, re.MULTILINE)


PARTS = ("prepare", "infer", "judge", "measure")
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
    assert run_cli(["recipes", "tables", guide["network"]]) == 0
    shown = capsys.readouterr()
    theirs, ours = zip(*read_table(name), strict=True)
    size = FAST.get(name, 2)
    assert list(theirs) == [line for part in PARTS for line in GUIDES[name][part]]
    said = re.findall(r" is here: (seatrial .*)", re.sub(r"/\S+/seatrial-trtexec-[0-9a-f]+/", "FOLDER/", shown.err))
    assert len(said) == sum(len(guide[part]) for part in PARTS)
    assert said == [fill_in(line, bs=size, loop=2, weights=WEIGHTS) for line in ours[: len(said)]]
    assert "ATC run success, welcome to the next use.\n" in shown.out


@pytest.mark.slow
@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_is_followed_at_all_its_batch_sizes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    replay(GUIDES[name], tmp_path, (1, 4, 8, 16, 32, 64), 10)
