"""Preprocessed images are taken only by engines that they are for, and the refusal tells the way out."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fake_engine import make_recipe
from seatrial.data.bins.write import BinForm, write_bins
from seatrial.data.images import LabelledImage, PreparedInput
from seatrial.data.loading.batches import fill_row
from seatrial.data.preprocessing.aipp import Aipp
from seatrial.data.preprocessing.check_prepared import check_prepared, describe_input
from seatrial.data.preprocessing.input_pipeline import InputPipeline, make_pipeline
from seatrial.data.preprocessing.yuv import PixelFormat
from seatrial.data.sources.bin_files import find_form
from seatrial.data.sources.request import Request
from seatrial.errors import DataError
from seatrial.recipes import load_recipe
from seatrial.recipes.schema import Mode

PIPELINE = make_pipeline(make_recipe())
PIXELS, FLOATS = describe_input(PIPELINE, "uint8"), describe_input(PIPELINE, "float32")
PIXEL_MODE = Mode.read({"preprocess": [{"step": "center_crop", "size": [4, 6]}]}, "test")
FLOAT_MODE = Mode(preprocess=make_recipe().preprocess)


def make_images(*forms: PreparedInput | None) -> list[LabelledImage]:
    return [LabelledImage(f"{i}.bin", Path(f"bins/{i}.bin"), 0, None, form) for i, form in enumerate(forms)]


def refuse(told: str, form: PreparedInput, dtype: str, pipeline: InputPipeline = PIPELINE) -> None:
    with pytest.raises(DataError) as caught:
        check_prepared(make_images(form, form), pipeline, dtype)
    assert re.search(told, str(caught.value)), str(caught.value)


def test_an_input_is_described() -> None:
    assert (PIXELS.dtype, PIXELS.shape, PIXELS.size_bytes) == ("uint8", (4, 6, 3), 72)
    assert (FLOATS.dtype, FLOATS.shape, FLOATS.size_bytes) == ("float32", (3, 4, 6), 288)
    assert FLOATS.preprocess_hash == PIPELINE.hash


def test_pixels_are_the_same_whatever_normalises_them() -> None:
    steps = make_recipe().model_dump(mode="json")["preprocess"]
    other = make_pipeline(make_recipe(preprocess=[*steps[:2], {**steps[2], "mean": [0, 0, 0]}]))
    assert other.hash != PIPELINE.hash and other.pixels_hash == PIPELINE.pixels_hash


AIPP = {"aipp_mode": "static", "src_image_size_w": 6, "src_image_size_h": 4}


@pytest.mark.parametrize(
    ("config", "pixels"),
    [
        (None, "rgb"),
        ({**AIPP, "input_format": "RGB888_U8"}, "rgb"),
        ({**AIPP, "input_format": "YUV420SP_U8"}, "yuv420sp"),
        ({**AIPP, "input_format": "YUV420SP_U8", "rbuv_swap_switch": True}, "yuv420sp-nv21"),
    ],
)
def test_bins_have_the_hash_of_the_engines_that_they_are_for(
    config: dict[str, object] | None, pixels: PixelFormat, tmp_path: Path
) -> None:
    """Files that `seatrial preprocess` writes are to the bit what a pipeline makes of the image itself."""
    pipeline = make_pipeline(make_recipe(), None if config is None else Aipp.read(config, "test"))
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    write_bins(BinForm(PIXEL_MODE, pixels), [tmp_path / "a.png"], tmp_path / "bins", 1)
    path = tmp_path / "bins" / "a.bin"
    form = find_form([path], Request(tmp_path, None, 4))
    assert form == describe_input(pipeline, "uint8")
    row = np.empty(form.shape, dtype=np.uint8)
    fill_row(row, LabelledImage("a", path, 0, prepared=form), pipeline)
    np.testing.assert_array_equal(row, pipeline.load(tmp_path / "a.png"))


def test_float_bins_have_the_hash_of_the_card(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4), "red").save(tmp_path / "a.png")
    write_bins(BinForm(FLOAT_MODE), [tmp_path / "a.png"], tmp_path / "bins", 1)
    path = tmp_path / "bins" / "a.bin"
    form = find_form([path], Request(tmp_path, None, 4))
    assert form == FLOATS
    row = np.empty(form.shape, dtype=np.float32)
    fill_row(row, LabelledImage("a", path, 0, prepared=form), PIPELINE)
    np.testing.assert_array_equal(row, PIPELINE.finish(PIPELINE.load(tmp_path / "a.png")[None])[0])


def test_orders_of_channels_are_told_apart() -> None:
    formats = ({"input_format": "RGB888_U8"}, {"input_format": "RGB888_U8", "rbuv_swap_switch": True},
               {"input_format": "XRGB8888_U8"}, {"input_format": "YUV420SP_U8"})  # fmt: skip
    pipelines = [make_pipeline(make_recipe(), Aipp.read({**AIPP, **config}, "test")) for config in formats]
    assert len({pipeline.pixels_hash for pipeline in pipelines}) == 4
    assert pipelines[0].pixels_hash == PIPELINE.pixels_hash


def test_what_fits_is_taken_as_it_is() -> None:
    foreign = PreparedInput("uint8", (4, 6, 3), None)
    assert check_prepared(make_images(None, None), PIPELINE, "float32") == PIXELS
    for form, dtype in ((PIXELS, "uint8"), (PIXELS, "float32"), (FLOATS, "float32"), (foreign, "uint8")):
        assert check_prepared(make_images(form, form), PIPELINE, dtype) == form
    assert check_prepared([], PIPELINE, "uint8") == PIXELS


def test_what_does_not_fit_is_refused_with_the_way_out() -> None:
    refuse(
        r"^2 images, first bins/0\.bin, are float32 3×4×6 \(preprocessing \w{8}\); the engine takes uint8 4×6×3 "
        r"\(preprocessing \w{8}\); `seatrial export --no-fuse-preprocess` makes a graph that takes these floats, "
        r"`seatrial data pack CARD\.toml IMAGES --output FILE\.pack` makes pixels that it takes$",
        FLOATS, "uint8",
    )  # fmt: skip
    other = PreparedInput("uint8", (4, 6, 3), "0123456789")
    refuse(
        rf"\(preprocessing 01234567\); .* \(preprocessing {str(PIXELS.preprocess_hash)[:8]}\); `seatrial data",
        other,
        "uint8",
    )
    refuse(r"engine takes float32 3×4×6 .*`seatrial data pack", other, "float32")
    refuse(r"are uint8 8×6×3 \(preprocessing not known\)", PreparedInput("uint8", (8, 6, 3), None), "uint8")
    refuse(r"`seatrial preprocess CARD\.toml IMAGES BINS` writes", PreparedInput("float32", (3, 4, 6), "01"), "float32")
    refuse(r"`seatrial preprocess CARD", PreparedInput("float32", (3, 8, 6), None), "float32")
    refuse(r"pack resnet50 IMAGES", other, "uint8", make_pipeline(load_recipe("resnet50")))
    aipp = make_pipeline(make_recipe(), Aipp.read({**AIPP, "input_format": "YUV420SP_U8"}, "test"))
    refuse(r"are uint8 4×6×3 .* takes uint8 6×6×1 .*FILE\.pack --aipp FILE`", PIXELS, "uint8", aipp)


def test_images_of_several_forms_are_refused() -> None:
    with pytest.raises(DataError, match=r"come in 2 forms: .*bins/[01]\.bin files still to be decoded"):
        check_prepared(make_images(PIXELS, None, PIXELS), PIPELINE, "uint8")


def test_a_row_is_filled_only_with_what_has_its_size(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(71))
    image = LabelledImage("a", tmp_path / "a.bin", 0, prepared=PIXELS)
    with pytest.raises(DataError, match=r"a\.bin has 71 bytes, the engine.s input 72"):
        fill_row(np.empty((4, 6, 3), np.uint8), image, PIPELINE)
