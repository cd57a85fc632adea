from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_engine import STEPS, make_recipe
from seatrial.data.bins.match_engine import check_bins, find_form, suggest_bins
from seatrial.data.bins.write import BinForm, encode_bytes, write_bins
from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline
from seatrial.data.preprocessing.yuv import PixelFormat
from seatrial.errors import DataError
from seatrial.recipes import load_recipe
from seatrial.recipes.schema import Mode
from seatrial.store.records import TensorSpec

PIXELS = {"preprocess": [{"step": "center_crop", "size": [4, 6]}]}
FRAME = {"preprocess": [{"step": "center_crop", "size": [8, 8]}]}
CROP = {"src_image_size_h": 8, "src_image_size_w": 8, "crop": True, "load_start_pos_h": 2, "load_start_pos_w": 2}


def aipp_pipeline(kind: str, **swaps: bool) -> InputPipeline:
    config = Aipp.model_validate({"aipp_mode": "static", "input_format": kind, **CROP, **swaps})
    return make_pipeline(make_recipe(modes={"frame": FRAME}), config)


def describe(pipeline: InputPipeline, dtype: str = "uint8") -> TensorSpec:
    shape = pipeline.shape if dtype == "uint8" else (3, 4, 6)
    layout = "YUV420SP" if pipeline.is_yuv else "NHWC" if dtype == "uint8" else "NCHW"
    return TensorSpec.model_validate({"name": "i", "dtype": dtype, "shape": (None, *shape), "layout": layout})


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(8).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize(
    ("pipeline", "dtype"),
    [
        (make_pipeline(make_recipe()), "uint8"),
        (make_pipeline(make_recipe()), "float32"),
        (aipp_pipeline("RGB888_U8"), "uint8"),
        (aipp_pipeline("YUV420SP_U8"), "uint8"),
        (aipp_pipeline("YUV420SP_U8", rbuv_swap_switch=True), "uint8"),
    ],
    ids=["pixels", "floats", "aipp", "nv12", "nv21"],
)
def test_the_bytes_of_a_fitting_bin_are_those_that_an_image_is_fed_as(
    pipeline: InputPipeline, dtype: str, image: Path
) -> None:
    form = find_form(pipeline, describe(pipeline, dtype))
    assert form is not None
    pixels = pipeline.load(image)
    fed = pixels if dtype == "uint8" else pipeline.finish(pixels[None])
    assert encode_bytes(image.read_bytes(), str(image), form).tobytes() == fed.tobytes()


@pytest.mark.parametrize(
    ("pipeline", "dtype"),
    [
        (make_pipeline(make_recipe()), "float16"),
        (aipp_pipeline("RGB888_U8", rbuv_swap_switch=True), "uint8"),
        (aipp_pipeline("XRGB8888_U8", ax_swap_switch=True), "uint8"),
    ],
    ids=["halves", "bgr", "xrgb"],
)
def test_what_no_bin_holds_is_known(pipeline: InputPipeline, dtype: str) -> None:
    assert find_form(pipeline, describe(pipeline, dtype)) is None
    assert "no mode of small writes what it takes: give the folder of images" in suggest_bins(
        pipeline, describe(pipeline, dtype)
    )


def write(folder: Path, image: Path, preprocess: Any, pixels: PixelFormat = "rgb") -> Path:
    write_bins(BinForm(Mode.model_validate(preprocess), pixels), [image], folder, decode_workers=1)
    return folder


def test_a_folder_for_the_engine_passes(image: Path, tmp_path: Path) -> None:
    own = make_pipeline(make_recipe())
    floats = write(tmp_path / "floats", image, {"preprocess": STEPS})
    assert check_bins(floats, own, describe(own, "float32"))
    assert check_bins(write(tmp_path / "pixels", image, PIXELS), own, describe(own))
    nv21 = aipp_pipeline("YUV420SP_U8", rbuv_swap_switch=True)
    assert check_bins(write(tmp_path / "nv21", image, FRAME, "yuv420sp-nv21"), nv21, describe(nv21))


def test_a_folder_without_a_manifest_is_not_known(tmp_path: Path) -> None:
    pipeline = make_pipeline(make_recipe())
    assert not check_bins(tmp_path, pipeline, describe(pipeline))


@pytest.mark.parametrize(
    ("preprocess", "pixels", "pipeline", "dtype", "words"),
    [
        ({"preprocess": STEPS}, "rgb", aipp_pipeline("RGB888_U8"), "uint8", r"float32 3×4×6 .*takes, uint8 8×8×3 "),
        (PIXELS, "rgb", make_pipeline(make_recipe()), "float32", r"`seatrial preprocess CARD.toml IMAGES BINS`"),
        (
            PIXELS,
            "rgb",
            aipp_pipeline("RGB888_U8"),
            "uint8",
            "`seatrial preprocess CARD.toml IMAGES BINS --mode frame`",
        ),
        (FRAME, "rgb", aipp_pipeline("YUV420SP_U8"), "uint8", "BINS --mode frame --format yuv420sp`"),
        (FRAME, "yuv420sp", aipp_pipeline("YUV420SP_U8", rbuv_swap_switch=True), "uint8", "--format yuv420sp-nv21`"),
        ({"preprocess": STEPS}, "rgb", make_pipeline(make_recipe()), "uint8", "no mode of small writes what it takes"),
        ({"preprocess": STEPS}, "rgb", make_pipeline(make_recipe()), "float16", "float16 that bins do not have"),
    ],
)
def test_a_folder_for_another_preprocessing_is_refused(
    preprocess: Any, pixels: PixelFormat, pipeline: InputPipeline, dtype: str, words: str, image: Path, tmp_path: Path
) -> None:
    folder = write(tmp_path / "bins", image, preprocess, pixels)
    with pytest.raises(DataError, match=words):
        check_bins(folder, pipeline, describe(pipeline, dtype))


def test_other_steps_of_the_same_size_are_another_preprocessing(image: Path, tmp_path: Path) -> None:
    steps = [{"step": "resize", "size": [4, 6]}, *STEPS[1:]]
    pipeline = make_pipeline(make_recipe())
    with pytest.raises(DataError, match="bins has bins of another preprocessing"):
        check_bins(write(tmp_path / "bins", image, {"preprocess": steps}), pipeline, describe(pipeline, "float32"))


def test_a_card_of_ours_is_called_by_its_name() -> None:
    pipeline = make_pipeline(load_recipe("resnet50"))
    spec = TensorSpec(name="i", dtype="float32", shape=(None, 3, 224, 224), layout="NCHW")
    assert suggest_bins(pipeline, spec) == "`seatrial preprocess resnet50 IMAGES BINS` writes what it takes"
