"""The AIPP text format: what is read, what is refused and where, what does nothing."""

from pathlib import Path

import numpy as np
import pytest

from seatrial.data.preprocessing.aipp import Aipp, describe_aipp, hash_aipp, list_unused, load_aipp, parse_aipp
from seatrial.errors import UsageError
from seatrial.recipes.steps import CenterCrop

GOLDEN = Path(__file__).parents[3] / "golden" / "aipp"
MIN = [123.675, 116.28, 103.53]
VAR_RECI = [0.0171247538316637, 0.0175070028011204, 0.0174291938997821]


def parse(*fields: str) -> Aipp:
    """A configuration of these lines after its first two."""
    return parse_aipp("\n".join(["aipp_op {", "aipp_mode : static", *fields, "}"]), "x.config")


def refuse(*fields: str) -> str:
    with pytest.raises(UsageError) as raised:
        parse(*fields)
    return str(raised.value)


def test_resnet50_guide() -> None:
    config = load_aipp(GOLDEN / "aipp_resnet50.aippconfig")
    assert config.input_format == "RGB888_U8"
    assert (config.src_image_size_w, config.src_image_size_h) == (256, 256)
    assert (config.crop, config.load_start_pos_w, config.load_start_pos_h) == (True, 16, 16)
    assert (config.crop_size_w, config.crop_size_h) == (224, 224)
    assert (config.csc_switch, config.rbuv_swap_switch, config.padding) == (False, False, False)
    less, scale = config.normalisation
    np.testing.assert_array_equal(less, np.float32(MIN))
    np.testing.assert_array_equal(scale, np.float32(VAR_RECI))
    assert list(list_unused(config)) == []
    assert describe_aipp(config) == (
        "RGB888_U8 256×256, crop 224×224 at row 16, column 16, (pixel − 123.675/116.28/103.53) ·"
        " 0.0171248/0.017507/0.0174292"
    )


def test_resnext50_guide() -> None:
    config = load_aipp(GOLDEN / "aipp_resnext50_pth.config")
    assert (config.input_format, config.csc_switch, config.rbuv_swap_switch) == ("YUV420SP_U8", True, True)
    np.testing.assert_array_equal(config.matrix, [[256, 0, 359], [256, -88, -183], [256, 454, 0]])
    before, after = config.biases
    assert (before.tolist(), after.tolist()) == ([0, 128, 128], [0, 0, 0])
    assert list(list_unused(config)) == []
    assert describe_aipp(config).startswith("YUV420SP_U8 (NV21) 256×256, crop 224×224 at row 16, column 16, convert")


def test_comments_spacing_and_separators() -> None:
    lines = [
        "# made by hand",
        "",
        " aipp_op:{aipp_mode:static,input_format  :\tYUV400_U8 ; crop:false # no",
        "mean_chn_0 : 7}",
    ]
    config = parse_aipp("\n".join(lines), "x.config")
    assert (config.input_format, config.mean_chn_0) == ("YUV400_U8", 7)


def test_comments_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "gbk.config"
    path.write_bytes("aipp_op {  # 静态\naipp_mode: static input_format: RGB888_U8 }".encode("gbk"))
    assert load_aipp(path).input_format == "RGB888_U8"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("crop_sise_w : 224", "x.config line 4: unknown field 'crop_sise_w'; did you mean 'crop_size_w'?"),
        ("input_format : YUV400_U8", "x.config line 4: input_format is set in line 3 already; remove one of them"),
        ("mean_chn_0 : 123.675", "x.config line 4: 'mean_chn_0' is 123.675: Input should be a valid integer"),
        ("mean_chn_1 : 256", "x.config line 4: 'mean_chn_1' is 256: Input should be less than or equal to 255"),
        ("min_chn_2 : -0.5", "x.config line 4: 'min_chn_2' is -0.5: Input should be greater than or equal to 0"),
        ("var_reci_chn_0 : 65505", "x.config line 4: 'var_reci_chn_0' is 65505"),
        ("matrix_r0c2 : 32768", "x.config line 4: 'matrix_r0c2' is 32768"),
        ("input_bias_1 : -1", "x.config line 4: 'input_bias_1' is -1"),
        ("src_image_size_h : 4097", "x.config line 4: 'src_image_size_h' is 4097"),
        ("var_reci_chn_1 : 0", "x.config line 4: var_reci_chn_1 is 0, which makes every pixel of that channel 0"),
        ("src_image_size_w : 1", "x.config line 4: src_image_size_w is 1, it must be 0 or 2 to 4096"),
        ("load_start_pos_h : 4096", "x.config line 4: 'load_start_pos_h' is 4096"),
        ("left_padding_size : 33", "x.config line 4: 'left_padding_size' is 33"),
        ("crop : 2", "x.config line 4: 'crop' is 2: Input should be a valid boolean"),
        ("crop : yes", "x.config line 4: 'crop' is 'yes'"),
        ("crop : true", "x.config line 4: crop is true, so src_image_size_w must be given"),
        ("padding : true", "x.config line 4: padding is true, so src_image_size_w must be given"),
        ("resize : true", "x.config line 4: 'resize' is True: Input should be False"),
        ("related_input_rank : 1", "x.config line 4: 'related_input_rank' is 1: Input should be 0"),
        ("crop true", "x.config line 4: 'field : value' or '}' is expected, and there is 'crop true'"),
        ("crop :", "x.config line 4: 'field : value' or '}' is expected, and there is 'crop :'"),
        ("src_image_size_w：256", "there is 'src_image_size_w：256'; that colon is a full-width one, write ':'"),
        ("} aipp_op {", "x.config line 4: something follows the aipp_op block"),
    ],
)
def test_a_wrong_line_is_named(field: str, said: str) -> None:
    assert said in refuse("input_format : RGB888_U8", field)


def test_missing_format() -> None:
    assert refuse("crop : false") == "x.config: 'input_format' is missing"


def test_unknown_format() -> None:
    assert "x.config line 3: 'input_format' is 'RGB888'" in refuse("input_format : RGB888")


def test_dynamic_mode() -> None:
    with pytest.raises(UsageError, match=r"^x line 2: only aipp_mode static is supported, not dynamic"):
        parse_aipp("aipp_op {\naipp_mode: dynamic\nmax_src_image_size: 752640 }", "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "x line 1: 'aipp_op {' is expected, and there is the end of the file"),
        ("\n\nmodel {", "x line 3: 'aipp_op {' is expected, and there is 'model {'"),
        (
            "aipp_op {\naipp_mode: static",
            "x line 2: 'field : value' or '}' is expected, and there is the end of the file",
        ),
    ],
)
def test_a_broken_block(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_aipp(text, "x")
    assert str(raised.value) == said


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.config cannot be read \(No such file"):
        load_aipp(tmp_path / "none.config")


def crop(start: int, size: int, kind: str = "RGB888_U8") -> list[str]:
    window = [f"{name}_{axis} : {n}" for axis in "wh" for name, n in (("load_start_pos", start), ("crop_size", size))]
    return [f"input_format : {kind}", "src_image_size_w : 256", "src_image_size_h : 256", "crop : true", *window]


def test_window_may_touch_the_edge() -> None:
    assert parse(*crop(32, 224)).crop_size_w == 224


def test_window_beyond_the_image() -> None:
    said = "x.config line 8: load_start_pos_w 33 + crop_size_w 224 is beyond src_image_size_w 256"
    assert refuse(*crop(33, 224)) == said
    assert "load_start_pos_w 256 + crop_size_w 0 is beyond" in refuse(*crop(256, 0))


@pytest.mark.parametrize(("start", "size", "name"), [(15, 224, "load_start_pos_w"), (16, 223, "crop_size_w")])
def test_windows_of_yuv420sp_are_even(start: int, size: int, name: str) -> None:
    assert f"{name} must be even for YUV420SP_U8" in refuse(*crop(start, size, "YUV420SP_U8"))
    assert parse(*crop(start, size)).crop


def test_sources_of_yuv420sp_are_even() -> None:
    assert "line 4: src_image_size_h must be even" in refuse("input_format : YUV420SP_U8", "src_image_size_h : 255")


def test_padding_needs_a_crop_size() -> None:
    assert "crop and padding are true, so crop_size_w must be given" in refuse(*crop(0, 0), "padding : true")


def test_grey_has_no_colours_to_convert() -> None:
    assert "line 4: YUV400_U8 has no colours to convert" in refuse("input_format : YUV400_U8", "csc_switch : true")


def test_default_matrix_follows_the_format() -> None:
    yuv, rgb = (parse(f"input_format : {kind}", "csc_switch : true") for kind in ("YUV420SP_U8", "RGB888_U8"))
    assert yuv.matrix.tolist() == [[298, 516, 0], [298, -100, -208], [298, 0, 409]]
    assert rgb.matrix.tolist() == [[66, 129, 25], [-38, -74, 112], [112, -94, -18]]
    assert [bias.tolist() for bias in yuv.biases] == [[16, 128, 128], [0, 0, 0]]
    assert [bias.tolist() for bias in rgb.biases] == [[0, 0, 0], [16, 128, 128]]


@pytest.mark.parametrize(
    ("kind", "switches", "order"),
    [
        ("RGB888_U8", "", (0, 1, 2)),
        ("RGB888_U8", "rbuv_swap_switch : true", (2, 1, 0)),
        ("XRGB8888_U8", "", (0, 1, 2)),
        ("XRGB8888_U8", "rbuv_swap_switch : true", (2, 1, 0)),
        ("XRGB8888_U8", "ax_swap_switch : true", (1, 2, 3)),
        ("XRGB8888_U8", "ax_swap_switch : true rbuv_swap_switch : true", (3, 2, 1)),
        ("YUV420SP_U8", "", (0, 1, 2)),
        ("YUV420SP_U8", "rbuv_swap_switch : true", (0, 2, 1)),
        ("YUV400_U8", "", (0,)),
    ],
)
def test_swaps(kind: str, switches: str, order: tuple[int, ...]) -> None:
    assert parse(f"input_format : {kind}", switches).order == order


def test_mean_and_minimum_add_up() -> None:
    less, scale = parse("input_format : RGB888_U8", "mean_chn_1 : 100", "min_chn_1 : 16.25").normalisation
    assert (less.tolist(), scale.tolist()) == ([0, 116.25, 0], [1, 1, 1])


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("RGB888_U8", "crop : false load_start_pos_h : 16", "crop is not true: load_start_pos_h 16"),
        ("RGB888_U8", "top_padding_size : 2 padding_value : 1.5", "true: top_padding_size 2, padding_value 1.5"),
        ("RGB888_U8", "matrix_r0c0 : 256 input_bias_0 : 0", "csc_switch is not true: matrix_r0c0 256, input_bias_0 0"),
        ("RGB888_U8", "csc_switch : true input_bias_0 : 0", "input_format is RGB888_U8: input_bias_0 0"),
        ("YUV420SP_U8", "csc_switch : true output_bias_2 : 0", "input_format is YUV420SP_U8: output_bias_2 0"),
        ("RGB888_U8", "ax_swap_switch : true", "input_format is RGB888_U8: ax_swap_switch True"),
        ("YUV400_U8", "rbuv_swap_switch : true", "input_format is YUV400_U8: rbuv_swap_switch True"),
        ("YUV400_U8", "mean_chn_1 : 3", "YUV400_U8 gives channels 0 to 0: mean_chn_1 3"),
        ("XRGB8888_U8", "var_reci_chn_3 : 0.5", "XRGB8888_U8 gives channels 0 to 2: var_reci_chn_3 0.5"),
    ],
)
def test_settings_without_effect_are_listed(kind: str, fields: str, said: str) -> None:
    (found,) = list_unused(parse(f"input_format : {kind}", fields))
    assert found.startswith("without effect because ")
    assert found.endswith(said)


def test_defaults_that_are_written_out_are_not_listed() -> None:
    assert not list(list_unused(parse("input_format : RGB888_U8", "matrix_r0c0 : 298 crop_size_w : 0 mean_chn_3 : 0")))


def test_hash_is_of_the_meaning() -> None:
    steps = [CenterCrop(step="center_crop", size=(256, 256))]
    plain = hash_aipp(parse("input_format : RGB888_U8"), steps)
    assert hash_aipp(parse("crop : false  # said aloud", "input_format : RGB888_U8"), steps) == plain
    assert hash_aipp(parse("input_format : RGB888_U8", "mean_chn_0 : 1"), steps) != plain
    assert hash_aipp(parse("input_format : RGB888_U8"), []) != plain


def test_description_of_swaps_and_borders() -> None:
    config = parse("input_format : XRGB8888_U8", "rbuv_swap_switch : true", *crop(0, 0)[1:])
    assert (
        describe_aipp(config) == "XRGB8888_U8 (blue first) 256×256, crop the network’s×the network’s at row 0, column 0"
    )
    source = "src_image_size_h : 4 src_image_size_w : 6"
    assert describe_aipp(parse("input_format : YUV400_U8", source, "padding : true")) == "YUV400_U8 4×6, border"


def test_numbers_and_words_of_any_length_are_named_with_their_line() -> None:
    assert refuse("src_image_size_w: " + "9" * 5000) == (
        "x.config line 3: src_image_size_w is a number of 5000 characters; mend that line"
    )
    assert refuse("input_format: YUV400_U8", "min_chn_0: 1e999").startswith("x.config line 4: 'min_chn_0' is inf: ")
    assert f"line 3: unknown field '{'x' * 80}…'" in refuse("x" * 9999 + ": 1")
    assert "x.config line 3: 'field : value' or '}' is expected, and there is '" + "{" * 80 in refuse("{" * 9999)
