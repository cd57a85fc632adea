"""The guide's README: the structure of the five guides, filled, without figures of its own."""

import re
import shutil
from pathlib import Path

import pytest

from guide_structure import HEADINGS, TABLES
from run_folder import BF16, INT8, MACHINE, TORCH, Trial, build_run
from seatrial.report.forms import write_form
from seatrial.report.language import SAID, read_groups
from seatrial.results.run_folder import Run, read_run
from seatrial.store.atc_build import AtcBuild
from seatrial.store.diagnosis import Diagnosis, StageDiagnosis
from seatrial.store.measurement import Measurement
from seatrial.store.records import EngineManifest, RunManifest
from seatrial.store.training import TrainingRecord, TrainingSpeed
from seatrial.store.tuning import Trial as TunedTrial
from seatrial.store.tuning import Tuning

EVIL = "<img src=x> | `a` **b** [x](y)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_run(build_run(tmp_path_factory.mktemp("run"), Trial(ships=(TORCH, BF16, INT8), trained=True)))


@pytest.fixture(scope="module")
def text(run: Run) -> str:
    return write_form(run, "guide", "zh")


def list_headings(text: str) -> list[tuple[int, str]]:
    return [(len(marks), title) for marks, title in re.findall(r'^(#+) (.*?)(?:<a name="[^"]*"></a>)?$', text, re.M)]


def list_tables(text: str) -> list[list[str]]:
    """The header of each table."""
    return [
        [cell.strip() for cell in header.strip().strip("|").split("|")]
        for header in re.findall(r"(?m)^ *(\|.*\|)\n *\|(?: -+:? \|)+$", text)
    ]


def test_the_headings_are_those_of_the_guides_in_their_order(text: str) -> None:
    found = list_headings(text)
    assert found[0] == (1, "ResNet-50 v1.5 on coloured digits-推理指导")
    asked = [heading for heading in found[1:] if heading in HEADINGS]
    assert asked == [heading for heading in HEADINGS if heading[1] not in ("性能优化", "精度调试")]
    assert [heading for heading in found[1:] if heading not in HEADINGS] == []


@pytest.mark.parametrize("columns", TABLES, ids=lambda columns: columns[0])
def test_every_table_of_the_guides_is_there_and_filled(text: str, columns: tuple[str, ...]) -> None:
    headers = [header for header in list_tables(text) if [c for c in header if c in columns] == list(columns)]
    assert headers, columns
    line = "| " + " | ".join(headers[0]) + " |"
    body = re.split(r"\n *\n", text.partition(line)[2])[0].splitlines()[2:]
    assert body and all(cell.strip() for row in body for cell in row.strip().strip("|").split("|"))


def test_the_contents_lead_to_every_section(text: str) -> None:
    links, names = re.findall(r"\]\(#([\w-]+)\)", text), re.findall(r'<a name="([\w-]+)">', text)
    assert links == names and len(names) == len(set(names)) == len(list_headings(text)) - 1


def test_the_command_is_the_one_that_was_run(run: Run, text: str) -> None:
    assert run.manifest.command in text and text.count("seatrial run") == 1


def test_no_phrase_stays_english(run: Run, text: str) -> None:
    prose = re.sub(r"(?s)```.*?```|pip install", "", text).replace(run.recipe.title, "")
    # The doubt is none that any version stores, so that there is no phrase for it.
    left = set(re.findall(r"[A-Za-z]+ [a-z]{2,} [a-z]{2,}", prose))
    assert left == {"the first half", "of the samples", "faster than the"}
    found = {phrase for phrase, told in read_groups("zh")[SAID].items() if f"| {phrase} |" in text and told != phrase}
    assert found == set()


def test_what_is_not_measured_is_said_and_nothing_is_invented(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    shutil.rmtree(folder / "bench")
    text = write_form(read_run(folder), "guide", "zh")
    assert "性能：未测量。" in text and "最优batch" not in text
    rows = re.findall(r"^\| Intel.*$", text, re.M)
    assert len(rows) == 3 and all(row.endswith("| 未测量 |") and "%" in row for row in rows)


def test_a_ratio_is_withheld_at_the_batch_size_whose_rate_is_in_doubt(run: Run, tmp_path: Path) -> None:
    assert "| bs1 | 20 | 125 | 250 | 6.2500 | 12.5000 |" in write_form(run, "guide")
    folder = shutil.copytree(run.folder, tmp_path / "run")
    path = folder / "bench" / "openvino-bf16.json"
    measured = Measurement.load(path)
    busy = (p.model_copy(update={"others_busy": 0.9}) if p.batch_size == 1 else p for p in measured.points)
    measured.model_copy(update={"points": tuple(busy)}).save(path)
    text = write_form(read_run(folder), "guide")
    assert "| bs1 | 20 | 125 | 250 | - | 12.5000 |" in text
    assert "are withheld where a rate is in doubt: openvino-bf16: other processes used 90% of" in text


def test_an_engine_is_shown_beside_a_reference_that_was_not_measured(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    (folder / "bench" / "torch.json").unlink()
    assert "| bs1 | 125 | 250 |" in write_form(read_run(folder), "guide")


def test_the_rate_of_a_resumed_training_is_that_of_its_last_devices(run: Run, text: str, tmp_path: Path) -> None:
    assert "| 1p-cpu | 91.429 | 75 | 7 |" in text
    folder = shutil.copytree(run.folder, tmp_path / "run")
    path = folder / "train" / "train.json"
    resumed = TrainingRecord.load(path).model_copy(update={"resumed": 1})
    speed = TrainingSpeed(images_per_s=20, steps=30, skipped_steps=10, seconds=9, data_s=1)
    for found, shown in ((None, "-"), (speed, "20")):
        resumed.model_copy(update={"speed": found}).save(path)
        written = write_form(read_run(folder), "guide")
        assert f"| 1p-cpu | 91.429 | {shown} | 7 |" in written and "FPS is of its last devices" in written


def test_tuning_and_diagnosis_appear_where_there_are_records(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    path = folder / "engines" / "openvino-bf16" / "engine.json"
    trials = tuple(
        TunedTrial(batch_size=size, streams=2, threads=None, duration_s=1.0, images_per_s=rate)
        for size, rate in ((1, 80.5), (8, 91.25))
    )
    tuned = EngineManifest.load(path).model_copy(update={"tuning": Tuning(best=trials[1], trials=trials)})
    tuned.save(path)
    stages = (StageDiagnosis(stage="export", against="torch", images=16, verdict="within", floor=1e-5),)
    Diagnosis(
        recipe="digits", images=16, images_hash="f" * 64, stages=stages, first=None, conclusion="No stage leaves.",
        findings=(), environment=MACHINE,
    ).save(folder / "diagnosis.json")  # fmt: skip
    text = write_form(read_run(folder), "guide", "zh")
    assert list_headings(text)[1:] == list(HEADINGS)
    assert "| openvino-bf16 | 8 | 2 | - | 91.25 | 采用 |\n| openvino-bf16 | 1 | 2 | - | 80.5 |  |" in text
    assert "| export | torch | 16 | - | 1.0e-05 | 在内 |" in text


def test_the_commands_of_atc_are_those_that_were_run(run: Run, tmp_path: Path) -> None:
    assert "ATC" not in write_form(run, "guide", "zh")
    folder = shutil.copytree(run.folder, tmp_path / "run")
    line = "atc --framework=5 --model=model.onnx --output=model_bs1 --soc_version=Ascend310P3"
    build = AtcBuild(graph="model.onnx", soc_version="Ascend310P3", commands=(line,))
    build.save(folder / "engines" / "openvino-bf16" / "atc.json")
    text = write_form(read_run(folder), "guide", "zh")
    assert f"ATC 转换执行的命令如下，均在各引擎文件夹内执行：\n\n   ```\n   {line}\n   ```" in text


def test_a_run_of_an_onnx_file_has_no_conversion(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    manifest = RunManifest.load(folder / "run.json")
    network = {"builder": "onnx", "name": "net.onnx", "classes": 10}
    manifest.model_copy(update={"recipe": manifest.recipe | {"network": network}}).save(folder / "run.json")
    text = write_form(read_run(folder), "guide", "zh")
    assert "网络即 ONNX 文件 net.onnx。" in text and "无需转换" in text and "与 PyTorch" not in text


def test_a_commit_in_the_source_is_taken_apart(text: str) -> None:
    assert "url=https://github.com/pytorch/vision\ncommit_id=78ed10cc51067f1a6bac9352831ef37a3f842784\n" in text
    assert "code_path=torchvision/models/resnet.py" in text


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    text = write_form(
        read_run(build_run(tmp_path, Trial(title=EVIL, command=f"seatrial run {EVIL}\n```\n# x"))), "guide"
    )
    assert "<img" not in re.sub(r"(?s) *````.*?````", "", text)
    assert list_headings(re.sub(r"(?s) *````.*?````", "", text))[0][1].startswith(r"&lt;img src=x&gt; \| \`a\`")


def test_the_english_one_has_the_same_shape(run: Run, text: str) -> None:
    english = write_form(run, "guide", "en")
    assert [level for level, _ in list_headings(english)] == [level for level, _ in list_headings(text)]
    assert [len(header) for header in list_tables(english)] == [len(header) for header in list_tables(text)]
    figures = r"\d+\.\d+"
    assert re.findall(figures, english) == re.findall(figures, text)
