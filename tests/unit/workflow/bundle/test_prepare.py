"""What `prepare.py` does to images is what seatrial does, to the bit, though it shares no line with it."""

import ast
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from seatrial.data.preprocessing import tensor_resize
from seatrial.data.preprocessing.decode import decode_image
from seatrial.data.preprocessing.steps import apply_pixel_steps
from seatrial.errors import DataError
from seatrial.recipes.schema import Mode
from seatrial.recipes.steps import AnyPixelStep
from seatrial.workflow.bundle import prepare

RNG = np.random.default_rng(3)
SIZES = ((31, 47), (64, 40), (24, 24), (300, 171))
"""Height, width."""
TO_FLOAT = {"step": "to_float"}
CROP = {"step": "center_crop", "size": [24, 24]}
STEPS: dict[str, list[dict[str, Any]]] = {
    "short": [{"step": "resize", "short_side": 29, "interpolation": "bicubic"}, CROP],
    "power-of-two": [{"step": "resize", "short_side": 32}, CROP],
    "most": [{"step": "resize", "short_side": 30, "max_size": 41}, {**CROP, "pad": [1, 2, 3], "offset": "floor"}],
    "long": [
        {"step": "resize", "long_side": 40, "interpolation": "lanczos"},
        {"step": "pad", "size": [40, 40], "colour": [9, 8, 7], "position": "top_left"},
    ],
    "fit": [
        {"step": "resize", "fit": [40, 36], "interpolation": "hamming"},
        {"step": "pad", "size": [40, 36], "colour": [9, 8, 7]},
        {"step": "channels", "order": "L"},
    ],
    "cover": [{"step": "resize", "cover": [27, 25], "interpolation": "box"}, {**CROP, "offset": "truncate"}],
    "fraction": [{"step": "center_crop", "fraction": 0.875}, {"step": "resize", "size": [23, 25]}],
    "nearest": [{"step": "resize", "size": [23, 25], "interpolation": "nearest"}, {"step": "channels", "order": "BGR"}],
    "tensor": [{"step": "resize", "short_side": 29, "backend": "tensor"}, CROP],
    "tensor-grey": [
        {"step": "channels", "order": "L", "backend": "tensor"},
        {"step": "resize", "size": [23, 25], "interpolation": "bicubic", "backend": "tensor", "antialias": False},
    ],
    "small": [CROP],
}


def test_no_file_of_a_package_needs_seatrial() -> None:
    folder = Path(prepare.__file__).parent
    files = [*folder.glob("open_*.py"), *folder.glob("pre*.py"), Path(tensor_resize.__file__)]
    assert len(files) >= 6
    for path in files:
        nodes = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = {getattr(node, "module", None) or node.names[0].name for node in nodes}
        assert not [name for name in names if name.startswith("seatrial")], path


def test_every_step_is_there() -> None:
    named = {get_args(kind.model_fields["step"].annotation)[0] for kind in get_args(AnyPixelStep)}
    assert set(prepare.STEPS) == named


@pytest.mark.parametrize("name", STEPS)
def test_steps_give_the_same_pixels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "__file__", tensor_resize.__file__)
    steps = Mode.model_validate({"preprocess": [*STEPS[name], TO_FLOAT]}).preprocess[:-1]
    for height, width in SIZES:
        image = made = Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for step in steps:
            dumped = step.model_dump(mode="json", exclude_none=True)
            made = prepare.STEPS[dumped["step"]](made, dumped)
        assert np.array_equal(prepare.to_pixels(made), apply_pixel_steps(image, steps))


def test_every_kind_of_file_gives_the_same_pixels(tmp_path: Path) -> None:
    colour = Image.fromarray(RNG.integers(0, 256, (17, 23, 3), dtype=np.uint8))
    grey16 = Image.fromarray(RNG.integers(0, 65536, (17, 23), dtype=np.uint16))
    palette = colour.convert("P")
    files = {
        "a.jpg": colour, "b.png": colour.convert("RGBA"), "c.png": colour.convert("LA"), "d.png": grey16,
        "e.jpg": colour.convert("CMYK"), "f.jpg": colour.convert("L"), "g.gif": palette, "h.tif": grey16,
        "i.bmp": colour.convert("1"), "j.webp": colour, "k.ppm": colour,
    }  # fmt: skip
    for name, image in files.items():
        image.save(tmp_path / name)
    palette.save(tmp_path / "l.png", transparency=3)
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        assert np.array_equal(np.asarray(prepare.read_image(data, path.name)), decode_image(data, path.name)), path


@pytest.mark.parametrize("kind", ["float", "signed", "cut", "text"])
def test_files_that_seatrial_refuses_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.tif" if kind in ("float", "signed") else "a.png")
    if kind in ("float", "signed"):
        Image.fromarray(np.zeros((4, 4), np.float32 if kind == "float" else np.int32)).save(path)
    else:
        Image.new("RGB", (40, 40)).save(path)
        path.write_bytes(path.read_bytes()[:60] if kind == "cut" else b"<html>")
    with pytest.raises(DataError):
        decode_image(path.read_bytes(), "a")
    with pytest.raises(prepare.ImageError, match="image a "):
        prepare.prepare_image(path.read_bytes(), "a", ())
