"""The scripts that count top-1 to top-5, and the file that they write."""

import shlex
from pathlib import Path

import pytest

from seatrial.cli import run_cli
from seatrial.cli.compat.run import plan_words
from seatrial.cli.compat.tools import TOOLS
from seatrial.errors import UsageError

RESULT = (
    '{"title": "Overall statistical evaluation", "value": [{"key": "Number of images", "value": "2"}, '
    '{"key": "Number of classes", "value": "6"}, {"key": "Top1 accuracy", "value": "50.0%"}, '
    '{"key": "Top2 accuracy", "value": "100.0%"}, {"key": "Top3 accuracy", "value": "100.0%"}, '
    '{"key": "Top4 accuracy", "value": "100.0%"}, {"key": "Top5 accuracy", "value": "100.0%"}]}'
)


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        (
            "vision_metric_ImageNet.py ./result/ ./val_label.txt ./ result.json",
            "./result/ ./val_label.txt ./ result.json",
        ),
        ("python3 sknet_postprocess.py result val_label.txt out a.json", "result val_label.txt out a.json"),
        ("Se_Resnext101_postprocess.py result val_label.txt out/result.json", "result val_label.txt out result.json"),
        ("imagenet_acc_eval.py result val_label.txt ./ result.json", "result val_label.txt ./ result.json"),
        ("postprocess.py --output_dir=result --label_path=a.txt", "result a.txt . result.json"),
        ("vgg16_postprocess.py --infer_results r/ --anno_file a.txt --metrics_json m.json", "r/ a.txt . m.json"),
        (
            "MAE_postprocess.py --folder-davinci-target r --annotation-file-path a.txt --result-json-path out "
            "--json-file-name b.json --batch-size 8",
            "r a.txt out b.json",
        ),
        ("spnasnet_100_postprocess.py result val_label.txt result.json", "result val_label.txt . result.json"),
    ],
)
def test_every_form_is_score(line: str, ours: str) -> None:
    (words,) = plan_words(shlex.split(line), TOOLS)[1].commands
    assert shlex.join(words) == f"score {ours} --allow-partial"


def test_a_summary_stands_for_the_folder_that_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out/result").mkdir(parents=True)
    Path("out/result_summary.json").write_text("{}")
    Path("out/result/sumary.json").write_text("{}")
    for summary in ("out/result_summary.json", "out/result/sumary.json"):
        line = f"resnest_postprocess.py --result_path={summary} --gt_path=val_label.txt"
        (words,) = plan_words(shlex.split(line), TOOLS)[1].commands
        assert words[1:3] == ("out/result", "val_label.txt")


@pytest.mark.parametrize("script", ["vision_metric_ImageNet.py", "Se_Resnext101_postprocess.py"])
def test_the_result_is_the_scripts_to_the_byte(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("result").mkdir()
    for name, best in (("a", 1), ("b", 3)):
        row = " ".join(f"{9.0 if k == best else 8.0 if k == 2 else k / 10:f}" for k in range(6))
        Path(f"result/{name}_0.txt").write_text(f"{row} \n")
    # An image without a prediction, as where only some were run.
    Path("val_label.txt").write_text("a.JPEG 1\nb.JPEG 2\nc.JPEG 0\n")
    place = "./ result.json" if script.startswith("vision") else "./result.json"
    assert run_cli(shlex.split(f"compat python3 {script} ./result ./val_label.txt {place}")) == 0
    assert Path("result.json").read_text() == RESULT
    shown = capsys.readouterr()
    assert "left out of the count" in shown.err and "seatrial score ./result ./val_label.txt" in shown.err


@pytest.mark.parametrize("place", ["./", "out", "./ ''"])
def test_a_result_without_a_name_is_refused(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    with pytest.raises(UsageError, match="the result is a file"):
        plan_words(shlex.split(f"vision_metric_ImageNet.py result labels.txt {place}"), TOOLS)
