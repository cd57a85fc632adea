"""Networks of one channel: grey images from the file to the verdict, bins, AIPP and training."""

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from golden_weights import fill_golden_weights
from onnx_graphs import write_linear
from seatrial.cli import run_cli
from seatrial.data.bins.write import BinForm, describe_bins, encode_bytes
from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.input_pipeline import make_pipeline
from seatrial.errors import UsageError
from seatrial.export.fuse_preprocess import fuse_preprocess
from seatrial.export.graph import run_graph
from seatrial.models.build import build_network
from seatrial.models.sources import resolve_recipe
from seatrial.recipes import load_recipe
from seatrial.recipes.schema import Mode
from seatrial.results.run_folder import read_run
from tiny_trial import CARD, TinyTrial

GREY = "mean = [0.45]\nstd = [0.25]"


def write_card(folder: Path) -> Path:
    card = CARD.replace("classes = 4", "classes = 4\narguments = { in_chans = 1 }")
    card = card.replace("mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]", GREY)
    card = card.replace(
        '[[preprocess]]\nstep = "to_float"',
        '[[preprocess]]\nstep = "channels"\norder = "L"\n[[preprocess]]\nstep = "to_float"',
    )
    path = folder / "grey.toml"
    path.write_text(card.replace('name = "tiny"', 'name = "grey"'))
    return path


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_card(tmp_path_factory.mktemp("grey"))


def test_a_grey_network_is_put_through_its_trial(tiny_trial: TinyTrial, card: Path, tmp_path: Path) -> None:
    network = build_network(load_recipe(str(card)).network)
    fill_golden_weights(network, "grey")
    torch.save(network.state_dict(), tmp_path / "grey.pth")
    words = tiny_trial.run_arguments(tmp_path / "run", "--engines", "onnxruntime,openvino")
    words[1], words[3] = str(card), str(tmp_path / "grey.pth")
    assert run_cli(words) == 0
    found = read_run(tmp_path / "run")
    assert found.graph is not None and found.graph.input.shape[1:] == (32, 32, 1)
    assert [step["step"] for step in found.recipe.model_dump()["preprocess"]][2] == "channels"
    versus = found.accuracy["openvino"].versus
    assert versus is not None and versus.changed == 0


def test_files_become_grey_after_they_are_resized(card: Path) -> None:
    recipe = load_recipe(str(card))
    rng = np.random.default_rng(2)
    picture, file = Image.fromarray(rng.integers(0, 256, (36, 36, 3), dtype=np.uint8)), io.BytesIO()
    picture.save(file, "PNG")
    pipeline = make_pipeline(recipe)
    pixels = pipeline.decode(file.getvalue(), "drawn")
    assert pipeline.shape == (32, 32, 1)
    assert np.array_equal(pixels[..., 0], np.asarray(picture.convert("L"))[2:34, 2:34])
    floats = pipeline.finish(pixels[None])
    assert floats.shape == (1, 1, 32, 32) and np.allclose(floats[0, 0], (pixels[..., 0] / 255 - 0.45) / 0.25, atol=1e-5)
    form = BinForm(Mode(preprocess=recipe.preprocess))
    assert describe_bins(form).form.shape == (1, 32, 32)
    assert np.array_equal(encode_bytes(file.getvalue(), "drawn", form), floats[0])


def test_the_preprocessing_goes_into_the_graph(card: Path, tmp_path: Path) -> None:
    recipe = load_recipe(str(card))
    plain = onnx.load(write_linear(tmp_path / "plain.onnx", shape=("batch", 1, 32, 32)))
    pipeline = make_pipeline(recipe)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
    fused = fuse_preprocess(plain, recipe)
    assert np.allclose(run_graph(fused, pixels), run_graph(plain, pipeline.finish(pixels)), atol=1e-5)


def test_aipp_gives_one_channel_from_yuv400(card: Path) -> None:
    grey = Aipp.read({"aipp_mode": "static", "input_format": "YUV400_U8", "crop": False}, "aipp.cfg")
    pipeline = make_pipeline(load_recipe(str(card)), grey)
    assert pipeline.shape == (32, 32, 1) and pipeline.pixel_format == "rgb"
    coloured = Aipp.read({"aipp_mode": "static", "input_format": "RGB888_U8", "crop": False}, "aipp.cfg")
    with pytest.raises(UsageError, match="gives 3 channels, and grey takes 1; choose input_format YUV400_U8"):
        make_pipeline(load_recipe(str(card)), coloured)


def test_a_grey_file_needs_a_grey_card(tiny_trial: TinyTrial, card: Path, tmp_path: Path) -> None:
    file = write_linear(tmp_path / "grey.onnx", classes=4, shape=("batch", 1, 32, 32))
    with pytest.raises(UsageError, match=r"takes images of 1 channel, and .* prepares 3 channels; give --like a card"):
        resolve_recipe(str(file), like=str(tiny_trial.card))
    assert resolve_recipe(str(file), like=str(card)).channels == 1


def test_it_is_trained_on_grey_crops(tiny_trial: TinyTrial, card: Path, tmp_path: Path) -> None:
    words = ["train", str(card), "--data", str(tiny_trial.folder), "--output", str(tmp_path / "out"), "--epochs", "1"]
    assert run_cli([*words, "--warmup-epochs", "0", "--augment", "trivial", "--random-erasing", "0.5"]) == 0
    assert (tmp_path / "out" / "state_dict.safetensors").exists() or list((tmp_path / "out").glob("*.safetensors"))
