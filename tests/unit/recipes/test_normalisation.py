"""A mean and a std that no network can want are refused, and all that are published are not."""

from pathlib import Path
from typing import Any

import pytest

from seatrial.data.preprocessing.aipp import parse_aipp
from seatrial.errors import UsageError
from seatrial.recipes.normalisation import find_impossible
from seatrial.recipes.schema import Mode

RIGHT = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PIXELS = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def make_steps(mean: Any, std: Any) -> dict[str, Any]:
    return {
        "preprocess": [
            {"step": "center_crop", "size": [32, 32]},
            {"step": "to_float"},
            {"step": "normalise", "mean": mean, "std": std},
        ]
    }


@pytest.mark.parametrize(
    ("mean", "std", "told"),
    [
        (*PIXELS, "divide by 255: mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225]"),
        (PIXELS[0], RIGHT[1], "divide by 255: mean = [0.485, 0.456, 0.406]"),
        (RIGHT[0], PIXELS[1], "divide by 255: std = [0.229, 0.224, 0.225]"),
        ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5), "mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5]"),
        ((-0.485, -0.456, -0.406), RIGHT[1], "take its sign away: mean = [0.485, 0.456, 0.406]"),
        ((0.485 / 255, 0.456 / 255, 0.406 / 255), RIGHT[1], "multiply by 255: mean = [0.485, 0.456, 0.406]"),
        (RIGHT[0], (0.229 / 255, 0.224 / 255, 0.225 / 255), "multiply by 255: std = [0.229, 0.224, 0.225]"),
        (RIGHT[0], (1 / 58.395, 1 / 57.12, 1 / 57.375), "1/std of pixels in 0..255: std = [0.229, 0.224, 0.225]"),
        (RIGHT[0], (1e-9, 1.0, 1.0), "std 1e-09 spreads the pixels over more than 0..255"),
    ],
)
def test_what_cannot_be_right_is_refused_with_what_was_meant(mean: Any, std: Any, told: str) -> None:
    with pytest.raises(UsageError, match="preprocess") as refused:
        Mode.read(make_steps(mean, std), "card.toml")
    assert told in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        RIGHT,
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ((0.43, 0.411, 0.296), (0.213, 0.156, 0.143)),
        # torchvision's VGG16_Weights.IMAGENET1K_FEATURES, and a network that takes pixels as they are.
        ((0.48235, 0.45882, 0.40784), (1 / 255, 1 / 255, 1 / 255)),
        ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
        # A dark microscope's images.
        ((0.02, 0.0, 0.01), (0.03, 0.01, 0.02)),
    ],
)
def test_what_some_network_wants_is_kept(mean: Any, std: Any) -> None:
    assert Mode.read(make_steps(mean, std), "card.toml").normalisation == (mean, std)


def test_everything_that_timm_and_torchvision_publish_is_possible() -> None:
    timm, torchvision = pytest.importorskip("timm"), pytest.importorskip("torchvision")
    configs = [timm.get_pretrained_cfg(name) for name in timm.list_pretrained()]
    published = {(tuple(config.mean), tuple(config.std)) for config in configs}
    for name in torchvision.models.list_models(module=torchvision.models):
        for weights in torchvision.models.get_model_weights(name):
            published.add((tuple(weights.transforms().mean), tuple(weights.transforms().std)))
    assert len(published) >= 6
    assert [pair for pair in published if find_impossible(*pair) is not None] == []


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ("min_chn_0: 0.485\nmin_chn_1: 0.456\nmin_chn_2: 0.406", 3),
        ("min_chn_0: 123.675\nvar_reci_chn_0: 0.229", 4),
        ("min_chn_0: 123.675\nvar_reci_chn_0: 58.395", 4),
        ("mean_chn_0: 124\nvar_reci_chn_0: 0.000067", 4),
        ("mean_chn_0: 124\nmin_chn_0: 200", 4),
    ],
)
def test_aipp_on_the_scale_of_a_card_is_refused_by_its_line(fields: str, line: int, tmp_path: Path) -> None:
    text = f"aipp_op {{ aipp_mode: static\ninput_format: RGB888_U8\n{fields} }}"
    with pytest.raises(UsageError, match=f"a.config line {line}: .* cannot be right for pixels in 0..255"):
        parse_aipp(text, "a.config")


@pytest.mark.parametrize(
    "factor", ["0.0039", "0.00392", "0.003921", "0.0039215", "0.0039215686", "0.00392157", "0.0039216"]
)
def test_aipp_that_only_divides_by_255_is_taken_however_it_is_rounded(factor: str) -> None:
    fields = "".join(f"\nvar_reci_chn_{channel}: {factor}" for channel in range(3))
    found = parse_aipp(f"aipp_op {{ aipp_mode: static\ninput_format: RGB888_U8{fields} }}", "a.config")
    assert found.var_reci_chn_2 == float(factor)


def test_a_std_beyond_rounding_is_refused() -> None:
    assert find_impossible((0.0, 0.0, 0.0), (1.0, 1.02, 1.0)) is not None
