"""Preprocessing scripts and get_info.py, with their own words."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seatrial.cli import run_cli
from seatrial.cli.compat.run import plan_words
from seatrial.cli.compat.tools import TOOLS
from seatrial.errors import UsageError

IMAGES = Path(__file__).parents[3] / "golden" / "preprocess" / "images"


def plan(line: str, recipe: str | None = None) -> str:
    """The one command of ours that a line is."""
    (words,) = plan_words(shlex.split(line), TOOLS, recipe)[1].commands
    return shlex.join(words)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("python3 sknet_preprocess.py -s ./val -d ./prep", "preprocess sk_resnet50 ./val ./prep"),
        ("python3.7 preprocess_spnasnet_100_pytorch.py val prep", "preprocess spnasnet_100 val prep"),
        ("python3 imagenet_torch_preprocess.py resnet val prep", "preprocess resnet50 val prep --mode aipp"),
        ("imagenet_torch_preprocess.py inceptionv3 val prep", "preprocess resnet50 val prep --mode inceptionv3"),
        ("python3 Se_Resnext101_preprocess.py resnet val prep", "preprocess seresnext101_32x4d val prep"),
        (
            "Se_Resnext101_preprocess.py inceptionv4 val prep",
            "preprocess seresnext101_32x4d val prep --mode inceptionv4",
        ),
        ("python3 preprocess_resnext50_pth.py val prep", "preprocess resnext50_32x4d val prep"),
        ("get_info.py bin ./prep x.info 224 224", "data info ./prep --output x.info --width 224 --height 224"),
        ("gen_dataset_info.py jpg ./val x.info", "data info ./val --output x.info"),
    ],
)
def test_every_script_of_the_guides_has_its_command(line: str, ours: str) -> None:
    assert plan(line) == ours


@pytest.mark.parametrize("form", ["-s val -d prep", "val prep", "resnet val prep"])
def test_a_script_of_another_guide_takes_every_form(form: str) -> None:
    assert plan(f"resnet101_preprocess.py {form}", "timm:resnet101") == "preprocess timm:resnet101 val prep"
    with pytest.raises(UsageError, match="of which network"):
        plan(f"resnet101_preprocess.py {form}")


@pytest.mark.parametrize(
    ("line", "recipe"),
    [
        ("imagenet_torch_preprocess.py val prep", "timm:dpn131"),
        ("imagenet_torch_preprocess.py efficientnetB3 val prep", "timm:tf_efficientnet_b3.ns_jft_in1k"),
        ("imagenet_torch_preprocess.py dpn131 val prep", "timm:dpn131"),
        ("imagenet_torch_preprocess.py --data_path val --save_dir prep", "torchvision:resnet101"),
        ("inceptionv3_preprocess.py --src_path val --save_path prep", "torchvision:inception_v3"),
        ("swin_preprocess.py --cfg=a.yaml --data-path=val --bin_path=prep", "timm:swin_tiny_patch4_window7_224"),
        ("Vit_preprocess.py --data_path val --store_path prep --image_size 224", "timm:vit_base_patch16_224"),
        ("beit_preprocess.py --image_path=val --prep_image=prep --batch_size=8", "timm:beit_base_patch16_224"),
    ],
)
def test_scripts_of_other_guides_take_their_own_words(line: str, recipe: str) -> None:
    assert plan(line, recipe) == f"preprocess {recipe} val prep"


def test_a_script_without_a_mode_is_not_resnet50s() -> None:
    with pytest.raises(UsageError, match=r"imagenet_torch_preprocess.py does not say of which network it is"):
        plan("imagenet_torch_preprocess.py val prep")


def test_another_size_is_another_recipe() -> None:
    with pytest.raises(UsageError, match=r"--image_size 384 is not the 224×224 .*--image-size 384 --output card.toml"):
        plan("Vit_preprocess.py --data_path val --store_path prep --image_size 384", "timm:vit_base_patch16_224")


def test_a_recipe_in_front_goes_before_the_scripts_own() -> None:
    assert plan("sknet_preprocess.py -s a -d b", "resnet50") == "preprocess resnet50 a b"
    assert plan("imagenet_torch_preprocess.py resnet a b", "spnasnet_100") == "preprocess spnasnet_100 a b"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("imagenet_torch_preprocess.py resnext a b", "has no mode 'resnext'.*did you mean 'resnet'"),
        ("sknet_preprocess.py -s a", "needs -d"),
        ("sknet_preprocess.py a b", "takes -s SRC -d DST, not 2 words"),
        ("preprocess_resnext50_pth.py a", "takes SRC DST, not 1 words"),
        ("get_info.py bin prep x.info", "not 'bin prep x.info'"),
        ("get_info.py jpg prep x.info 1 2", "not 'jpg prep x.info 1 2'"),
        ("ResNeXt_preprocess.py a b", "is not possible here; it writes uint8 of 224×224"),
    ],
)
def test_what_is_no_form_of_a_script_is_refused(line: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan(line)


def test_the_script_says_what_it_is_and_does_it(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(IMAGES, "val")
    assert run_cli(shlex.split("compat python3 sknet_preprocess.py -s ./val -d ./prep")) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("sknet_preprocess.py: recipe sk_resnet50, by the name sknet_preprocess.py")
    assert said[1].endswith("sknet_preprocess.py is here: seatrial preprocess sk_resnet50 ./val ./prep")
    assert run_cli(shlex.split("preprocess sk_resnet50 val ours")) == 0
    bins = sorted(Path("prep").glob("*.bin"))
    assert [path.name for path in bins] == [f"ILSVRC2012_val_{number:08d}.bin" for number in range(1, 9)]
    assert all(path.read_bytes() == (Path("ours") / path.name).read_bytes() for path in bins)
    assert run_cli(shlex.split("compat get_info.py bin ./prep prep.info 224 224")) == 0
    lines = [f"{number} ./prep/{path.name} 224 224\n" for number, path in enumerate(bins)]
    assert Path("prep.info").read_text() == "".join(lines)


def test_jpegs_are_listed_with_the_size_that_opencv_shows() -> None:
    Path("val").mkdir()
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, exif in (("b.JPEG", Image.Exif()), ("a.JPEG", turned), ("c.jpg", Image.Exif())):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(f"val/{name}", "JPEG", exif=exif)
    Image.new("RGB", (3, 3)).save("val/d.png")
    assert run_cli(shlex.split("compat get_info.py jpg ./val x.info")) == 0
    # Each suffix is counted from 0, in the script's order of suffixes.
    assert Path("x.info").read_text() == "0 ./val/c.jpg 30 20\n0 ./val/a.JPEG 20 30\n1 ./val/b.JPEG 30 20\n"


def test_nothing_to_list_and_half_a_size_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("val").mkdir()
    Path("val/a.jpg").write_text("no image")
    assert run_cli(shlex.split("data info val --output x.info")) == 6
    assert "val/a.jpg is no image" in capsys.readouterr().err
    assert run_cli(shlex.split("data info val --output x.info --width 3")) == 2
    Path("val/a.jpg").unlink()
    assert run_cli(shlex.split("data info val --output x.info")) == 6
    assert not Path("x.info").exists()
