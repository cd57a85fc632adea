"""What AIPP does to pixels, against arithmetic in plain Python integers."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from seatrial.data.preprocessing.aipp import CELLS, Aipp, parse_aipp
from seatrial.data.preprocessing.apply_aipp import apply_aipp, fit_aipp, input_shape
from seatrial.errors import UsageError

JPEG = dict(zip(CELLS, (256, 0, 359, 256, -88, -183, 256, 454, 0), strict=True))
JPEG |= {"input_bias_0": 0, "input_bias_1": 128, "input_bias_2": 128}


def configure(kind: str, **fields: object) -> Aipp:
    lines = [f"{name} : {str(value).lower()}" for name, value in fields.items()]
    return parse_aipp(" ".join(["aipp_op { aipp_mode : static input_format :", kind, *lines, "}"]), "test")


def draw(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def test_crop_and_normalise() -> None:
    fields = {"src_image_size_w": 8, "src_image_size_h": 6, "crop": True, "load_start_pos_w": 3, "load_start_pos_h": 1}
    config = configure("RGB888_U8", **fields, mean_chn_0=2, min_chn_0=0.5, var_reci_chn_0=0.25)
    batch = draw(2, 6, 8, 3)
    out = apply_aipp(batch, config, (4, 5))
    assert (out.dtype, out.shape) == (np.float32, (2, 3, 4, 5))
    for n, row, column in product(range(2), range(4), range(5)):
        red, green, blue = batch[n, row + 1, column + 3].tolist()
        assert out[n, :, row, column].tolist() == [(red - 2.5) * 0.25, green, blue]


def test_full_range_yuv() -> None:
    """Crop 4×4 at row 2, column 4 of NV21, whose pairs are V and U: R = Y + 1.402 V and so on, in 256ths."""
    fields = {"src_image_size_w": 8, "src_image_size_h": 6, "crop": True, "load_start_pos_w": 4, "load_start_pos_h": 2}
    config = configure("YUV420SP_U8", csc_switch=True, rbuv_swap_switch=True, **fields, **JPEG)
    batch = draw(3, 9, 8, 1)
    out = apply_aipp(batch, config, (4, 4))
    for n, row, column in product(range(3), range(4), range(4)):
        y = int(batch[n, row + 2, column + 4, 0])
        pair = 6 + (row + 2) // 2, (column + 4) // 2 * 2
        v, u = int(batch[n, pair[0], pair[1], 0]) - 128, int(batch[n, pair[0], pair[1] + 1, 0]) - 128
        rgb = (256 * y + 359 * v) >> 8, (256 * y - 88 * u - 183 * v) >> 8, (256 * y + 454 * u) >> 8
        assert out[n, :, row, column].tolist() == [min(max(value, 0), 255) for value in rgb]


def test_rgb_to_yuv_rounds_down_and_adds_the_bias() -> None:
    config = configure("RGB888_U8", csc_switch=True)
    batch = draw(1, 4, 4, 3)
    out = apply_aipp(batch, config, (4, 4))
    for row, column in product(range(4), range(4)):
        r, g, b = batch[0, row, column].tolist()
        y, u, v = 66 * r + 129 * g + 25 * b, -38 * r - 74 * g + 112 * b, 112 * r - 94 * g - 18 * b
        assert out[0, :, row, column].tolist() == [(y >> 8) + 16, (u >> 8) + 128, (v >> 8) + 128]


def test_yuv_unconverted_keeps_its_planes() -> None:
    batch = np.array([[[1], [2]], [[3], [4]], [[50], [60]]], dtype=np.uint8)[None]
    for swap, order in ((False, (50, 60)), (True, (60, 50))):
        y, u, v = apply_aipp(batch, configure("YUV420SP_U8", rbuv_swap_switch=swap), (2, 2))[0]
        assert y.tolist() == [[1, 2], [3, 4]]
        assert (np.unique(u), np.unique(v)) == order


def test_xrgb_drops_the_unused_channel() -> None:
    batch = np.array([[[[9, 1, 2, 3], [9, 4, 5, 6]]]], dtype=np.uint8)
    out = apply_aipp(batch, configure("XRGB8888_U8", ax_swap_switch=True, rbuv_swap_switch=True), (1, 2))
    assert out[0, :, 0].T.tolist() == [[3, 2, 1], [6, 5, 4]]
    assert apply_aipp(batch, configure("XRGB8888_U8"), (1, 2))[0, :, 0].T.tolist() == [[9, 1, 2], [9, 4, 5]]


def test_border_is_put_around_what_is_normalised() -> None:
    sizes = {"top_padding_size": 1, "left_padding_size": 2, "bottom_padding_size": 0, "right_padding_size": 1}
    config = configure(
        "YUV400_U8", src_image_size_w=2, src_image_size_h=1, padding=True, padding_value=-1.5, mean_chn_0=4, **sizes
    )
    out = apply_aipp(np.array([[[[10], [20]]]], dtype=np.uint8), config, (2, 5))
    assert out.tolist() == [[[[-1.5] * 5, [-1.5, -1.5, 6, 16, -1.5]]]]


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("RGB888_U8", (4, 6, 3)), ("XRGB8888_U8", (4, 6, 4)), ("YUV400_U8", (4, 6, 1)), ("YUV420SP_U8", (6, 6, 1))],
)
def test_shape_of_the_input(kind: str, shape: tuple[int, ...]) -> None:
    config = configure(kind)
    assert input_shape(config, fit_aipp(config, (4, 6))) == shape


def test_size_must_be_the_networks() -> None:
    config = configure("RGB888_U8", src_image_size_w=256, src_image_size_h=256)
    with pytest.raises(
        UsageError, match=r"gives 256×256 \(height×width\), the network takes 224×224; change crop_size"
    ):
        fit_aipp(config, (224, 224))


def test_crop_without_a_size_takes_the_networks() -> None:
    config = configure("RGB888_U8", src_image_size_w=256, src_image_size_h=256, crop=True, load_start_pos_w=32)
    assert fit_aipp(config, (224, 224)).window == (224, 224)
    with pytest.raises(UsageError, match="224×225 at row 0, column 32 is beyond the AIPP configuration's image"):
        fit_aipp(config, (224, 225))


def test_window_and_border_without_their_switches_do_nothing() -> None:
    frame = fit_aipp(configure("RGB888_U8", load_start_pos_w=16, crop_size_w=8, left_padding_size=4), (32, 32))
    assert (frame.start, frame.window, frame.borders) == ((0, 0), (32, 32), (0, 0, 0, 0))


def test_yuv420sp_needs_an_even_network() -> None:
    with pytest.raises(UsageError, match="YUV420SP_U8 needs even sizes, and the network's 225×225 are not"):
        fit_aipp(configure("YUV420SP_U8"), (225, 225))
