import io
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from fake_engine import STEPS, make_recipe
from seatrial.data.preprocessing.aipp import Aipp, load_aipp
from seatrial.data.preprocessing.decode import decode_either
from seatrial.data.preprocessing.input_pipeline import InputPipeline, decode_pixels, make_pipeline, to_input
from seatrial.data.preprocessing.steps import hash_steps, normalise
from seatrial.errors import UsageError
from seatrial.recipes import load_recipe
from seatrial.recipes.steps import CenterCrop, Resize
from seatrial.store.records import TensorSpec

AIPP = Path(__file__).parents[3] / "golden" / "aipp"
CROP = {"src_image_size_h": 8, "src_image_size_w": 8, "crop": True, "load_start_pos_h": 2, "load_start_pos_w": 1}


def configure(kind: str = "RGB888_U8", **fields: object) -> Aipp:
    return Aipp.model_validate({"aipp_mode": "static", "input_format": kind, **CROP, **fields})


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_pixels_are_the_same_where_pillow_reads_them_in_place(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = io.BytesIO()
    Image.fromarray(load_sample_images().images[0][:301, :403]).convert(mode).save(stored, "JPEG", quality=83)
    steps = load_recipe("resnet50").preprocess
    monkeypatch.setitem(sys.modules, "pyarrow", pyarrow)
    in_place = decode_either(stored.getvalue(), "an image")
    assert isinstance(in_place, Image.Image) if mode == "CMYK" else in_place.shape == (301, 403, 4)
    found = decode_pixels(stored.getvalue(), "an image", steps)
    monkeypatch.delitem(sys.modules, "pyarrow")
    copied = decode_either(stored.getvalue(), "an image")
    assert isinstance(copied, Image.Image) if mode == "CMYK" else copied.shape == (301, 403, 3)
    np.testing.assert_array_equal(found, decode_pixels(stored.getvalue(), "an image", steps))


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, np.ndarray]:
    pixels = np.random.default_rng(3).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png", pixels


def test_without_aipp_it_is_the_cards_own_crop(image: tuple[Path, np.ndarray]) -> None:
    recipe = make_recipe()
    pipeline = make_pipeline(recipe)
    assert (pipeline.shape, pipeline.hash, pipeline.is_yuv) == ((4, 6, 3), hash_steps(recipe.preprocess), False)
    batch = pipeline.load(image[0])[None]
    np.testing.assert_array_equal(batch[0], image[1][3:7, 3:9])
    np.testing.assert_array_equal(pipeline.finish(batch), normalise(batch, recipe))


def test_aipp_gets_the_cards_crop_widened(image: tuple[Path, np.ndarray]) -> None:
    pipeline = make_pipeline(make_recipe(), configure())
    assert pipeline.shape == (8, 8, 3)
    np.testing.assert_array_equal(pipeline.load(image[0]), image[1][1:9, 2:10])
    # What the network takes is AIPP's window of that: rows 2 to 6, columns 1 to 7, channels first.
    np.testing.assert_array_equal(
        pipeline.finish(pipeline.load(image[0])[None])[0], image[1][3:7, 3:9].transpose(2, 0, 1)
    )


def test_a_mode_of_that_size_comes_first() -> None:
    aipp = load_aipp(AIPP / "aipp_resnet50.aippconfig")
    for name, mode in (("resnet50", "aipp"), ("resnext50_32x4d", "dvpp")):
        assert make_pipeline(load_recipe(name), aipp).steps == load_recipe(name).find_mode(mode).preprocess
    # A card that squashes to that size crops nothing before AIPP does.
    resize, crop = make_pipeline(load_recipe("spnasnet_100"), aipp).steps
    assert isinstance(resize, Resize) and isinstance(crop, CenterCrop) and resize.size == crop.size == (256, 256)


def test_a_card_that_only_resizes_is_resized_to_the_frame() -> None:
    recipe = make_recipe(preprocess=[{"step": "resize", "size": [4, 6], "interpolation": "bicubic"}, *STEPS[1:]])
    (step,) = make_pipeline(recipe, configure()).steps
    assert step == Resize(step="resize", size=(8, 8), interpolation="bicubic")


@pytest.mark.parametrize(
    "fields",
    [{}, {"rbuv_swap_switch": True}],
)
@pytest.mark.parametrize("kind", ["RGB888_U8", "XRGB8888_U8"])
@pytest.mark.parametrize("ax_swap", [False, True])
def test_whatever_the_order_of_bytes_the_network_sees_red_first(
    fields: dict[str, bool], kind: str, ax_swap: bool, image: tuple[Path, np.ndarray]
) -> None:
    pipeline = make_pipeline(make_recipe(), configure(kind, ax_swap_switch=ax_swap and kind == "XRGB8888_U8", **fields))
    found = pipeline.finish(pipeline.load(image[0])[None])[0]
    np.testing.assert_array_equal(found, image[1][3:7, 3:9].transpose(2, 0, 1))


@pytest.mark.parametrize("nv21", [False, True])
def test_yuv_comes_back_as_the_colours_that_went_in(nv21: bool, tmp_path: Path) -> None:
    guide = load_aipp(AIPP / "aipp_resnext50_pth.config").model_dump()
    less_and_scale = [f"{part}_chn_{i}" for part in ("min", "var_reci") for i in range(3)]
    fields = {k: v for k, v in guide.items() if "matrix" in k or k.startswith(("csc", "input_bias"))}
    assert not set(fields) & set(less_and_scale)
    even = {"load_start_pos_w": 2, "rbuv_swap_switch": nv21, "crop_size_h": 4, "crop_size_w": 6}
    pipeline = make_pipeline(make_recipe(), configure("YUV420SP_U8", **fields, **even))
    assert pipeline.shape == (12, 8, 1) and pipeline.is_yuv
    colours = np.array([(200, 30, 60), (10, 220, 90), (128, 128, 128), (250, 240, 20)], np.uint8)
    for colour in colours:
        Image.fromarray(np.full((10, 12, 3), colour)).save(tmp_path / "a.png")
        found = pipeline.finish(pipeline.load(tmp_path / "a.png")[None])[0]
        assert np.abs(found - colour[:, None, None]).max() <= 3


def test_drawn_pictures_become_the_same_bytes_as_files(image: tuple[Path, np.ndarray]) -> None:
    for kind in ("RGB888_U8", "YUV420SP_U8"):
        pipeline = make_pipeline(make_recipe(), configure(kind, load_start_pos_w=2))
        np.testing.assert_array_equal(pipeline.encode(image[1][1:9, 2:10]), pipeline.load(image[0]))


def test_values_and_steps_make_the_hash() -> None:
    pipeline = make_pipeline(make_recipe(), configure())
    others = [
        make_pipeline(make_recipe(), configure(min_chn_0=1.0)),
        InputPipeline(pipeline.recipe, pipeline.recipe.preprocess[:1], pipeline.aipp),
        make_pipeline(make_recipe()),
    ]
    assert len({pipeline.hash, *(other.hash for other in others)}) == 4
    assert make_pipeline(make_recipe(title="Another"), configure()).hash == pipeline.hash


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="YUV400_U8 gives 1 of the 3 channels that small takes"):
        make_pipeline(make_recipe(), configure("YUV400_U8"))
    with pytest.raises(UsageError, match=r"gives 8×8 .* the network takes 4×6"):
        make_pipeline(make_recipe(), configure(crop=False))


@pytest.mark.parametrize("index", [0, 1])
def test_yuv_of_colour_photographs_stays_near(index: int, tmp_path: Path) -> None:
    photograph = Image.fromarray(load_sample_images().images[index])
    photograph.save(tmp_path / "a.png")
    guide = load_aipp(AIPP / "aipp_resnext50_pth.config")
    plain = {f"{part}_chn_{i}": value for part, value in (("min", 0.0), ("var_reci", 1.0)) for i in range(3)}
    config = guide.model_copy(update=plain)
    recipe = load_recipe("resnext50_32x4d")
    pipeline = make_pipeline(recipe, config)
    found = pipeline.finish(pipeline.load(tmp_path / "a.png")[None])[0]
    squashed = decode_pixels((tmp_path / "a.png").read_bytes(), "a.png", pipeline.steps)[16:240, 16:240].transpose(
        2, 0, 1
    )
    error = np.abs(found - squashed)
    # Colour at half resolution: a pixel beside an edge may be far off, the picture is not.
    assert error.mean() < 3.0
    assert np.percentile(error, 99) < 20


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_images_become_what_a_graph_takes(dtype: Literal["uint8", "float32", "float16"], layout: str) -> None:
    pipeline = make_pipeline(make_recipe())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    shape = (None, 3, 4, 6) if layout == "NCHW" else (None, 4, 6, 3)
    spec = TensorSpec.model_validate({"name": "pixels", "dtype": dtype, "shape": shape, "layout": layout})
    wanted = pixels.transpose(0, 3, 1, 2) if dtype == "uint8" else pipeline.finish(pixels).astype(dtype)
    wanted = wanted if layout == "NCHW" else wanted.transpose(0, 2, 3, 1)
    rows = [pixels] if dtype == "uint8" else [pixels, pipeline.finish(pixels)]
    for given in rows:
        found = to_input(given, spec, pipeline)
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == dtype and found.flags.c_contiguous
