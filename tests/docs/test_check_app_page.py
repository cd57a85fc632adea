"""What the page on a user's program says is run, with a program of Pillow and NumPy alone."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.diagnosis.app.faults import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "check-app.md").read_text(encoding="utf-8")
PROGRAM = """\
import sys
from pathlib import Path
import numpy as np
from PIL import Image

output = Path(sys.argv[2])
output.mkdir()
for path in Path(sys.argv[1]).iterdir():
    image = Image.open(path)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    image = image.convert("RGB")
    short, long = min(image.size), max(image.size)
    pair = (36, int(36 * long / short))
    pixels = np.asarray(image.resize(pair if image.width <= image.height else pair[::-1], Image.Resampling.BILINEAR))
    top, left = (round((side - 32) / 2) for side in pixels.shape[:2])
    pixels = pixels[top : top + 32, left : left + 32]
    if "--bgr" in sys.argv:
        pixels = pixels[..., ::-1]
    tensor = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.save(output / f"{path.stem}.npy", tensor.transpose(2, 0, 1).astype(np.float32))
"""


def test_the_commands_of_the_page(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_run, tmp_path / "trial")
    (tmp_path / "my_program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    codes = []
    for line in re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE):
        program, *words = shlex.split(line)
        if program == "python":
            subprocess.run([sys.executable, *words], check=True)
        else:
            codes.append(run_cli(words))
    assert codes == [0, 0, 3]
    printed = capsys.readouterr().out
    assert "the same but for rounding" in printed
    assert "it differs, first at the colours: red and blue are swapped (BGR for RGB)" in printed


def test_the_number_of_faults() -> None:
    assert 65 <= len(FAULTS) <= 75 and "some seventy faults" in PAGE
