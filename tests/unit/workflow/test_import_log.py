from dataclasses import replace
from pathlib import Path

import pytest

from golden_logs import LOGS
from seatrial.errors import NotComparable, UsageError
from seatrial.progress import Update
from seatrial.store.files import hash_file
from seatrial.store.imported import ImportedRecord
from seatrial.workflow.import_log import ImportSpec, import_logs

PURE = LOGS / "PureInfer_perf_of_resnet50_bs4_in_device_0.txt"
PRINTED = LOGS / "benchmark-pure.log"
T4 = LOGS / "trtexec-8.6.log"


def test_files_become_the_points_of_one_record(tmp_path: Path) -> None:
    updates: list[Update] = []
    spec = ImportSpec("benchmark", (PURE, PRINTED), (4, 8), device="310", chips_per_card=4)
    record = import_logs(spec, tmp_path / "card-310.json", updates.append)
    assert (record.name, record.tool, record.device, record.chips_per_card) == ("card-310", "benchmark", "310", 4)
    assert [(p.file, p.batch_size, p.images_per_s, p.images_per_s_card) for p in record.points] == [
        (str(PURE), 4, 800, 3200),
        (str(PRINTED), 8, 800, 3200),
    ]
    assert record.files[0].sha256 == hash_file(PURE) and record.files[0].size_bytes == PURE.stat().st_size
    assert record.model is None  # bs4 and bs8 are two files
    assert ImportedRecord.load(tmp_path / "card-310.json") == record
    assert [update.total for update in updates] == [2, 2]


def test_what_is_not_stated_is_a_doubt(tmp_path: Path) -> None:
    record = import_logs(ImportSpec("auto", (PRINTED,)), tmp_path / "a.json")
    assert record.points[0].images_per_s_card is None and record.chips_per_card is None
    assert [doubt.split(":")[0] for doubt in record.doubts] == [
        "the device is not stated",
        "the precision is not stated",
        "the figures are one chip's, the number on a card (a 310 has four) is not stated",
    ]


def test_the_user_may_name_device_and_model(tmp_path: Path) -> None:
    named = import_logs(ImportSpec("trtexec", (T4,), device="T4", model="resnet50"), tmp_path / "a.json")
    assert (named.device, named.model) == ("T4", "resnet50")
    assert not any("--device" in doubt for doubt in named.doubts)
    other = import_logs(ImportSpec("trtexec", (T4,), device="310P"), tmp_path / "a.json")
    assert "--device is 310P, the log has Tesla T4" in other.doubts


def test_repeats_that_disagree_and_names_of_another_batch_are_doubted(tmp_path: Path) -> None:
    spec = ImportSpec("ais_bench", (LOGS / "ais_bench_summary.json", tmp_path / "slow.json"), device="310P")
    (tmp_path / "slow.json").write_text(
        (LOGS / "ais_bench_summary.json").read_text().replace('"mean": 2.5', '"mean": 5.0').replace("3200.0", "1600.0")
    )
    assert (
        "batch 8: 2 runs in scope device disagree by 100% (from 1600 to 3200 images/s)"
        in import_logs(spec, tmp_path / "a.json").doubts
    )
    text = (LOGS / "ais_infer-2022-10.log").read_text()
    (tmp_path / "odd.log").write_text(text.replace("bs16.om", "bs8.om"))
    odd = import_logs(ImportSpec("auto", (tmp_path / "odd.log",)), tmp_path / "a.json")
    assert "batch 16: the model's name, ./se-resnext_bs8.om, has batch 8" in odd.doubts
    assert "batch 16: 100 runs are too few to state a 99th percentile, which takes 459" in odd.doubts


def test_figures_of_several_networks_are_doubted_in_one_file_and_whatever_name_is_given(tmp_path: Path) -> None:
    one = T4.read_text()
    assert "resnet50.onnx" in one
    other = tmp_path / "other.log"
    for name, several in (("resnet18", True), ("resnet50_bs8", False), ("resnet50-b16", False)):
        other.write_text(one.replace("resnet50.onnx", f"{name}.onnx"))
        record = import_logs(ImportSpec("trtexec", (T4, other)), tmp_path / "a.json")
        assert any("several models: resnet50, resnet18" in doubt for doubt in record.doubts) == several
        other.write_text(one + other.read_text())
        record = import_logs(ImportSpec("trtexec", (other,), model="resnet50"), tmp_path / "a.json")
        assert any("several models: resnet50, resnet18" in doubt for doubt in record.doubts) == several


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Tesla T4", "NVIDIA A10", "differ in device: Tesla T4 and NVIDIA A10"),
        ("FP32+FP16", "FP32", "differ in precision: fp16 and fp32"),
        ("8.6.1", "8.5.3", r"differ in tool version: 8\.6\.1 and 8\.5\.3"),
        ("8x3x224x224", "8x3x384x384", "differ in input: image:8x3x224x224 and image:8x3x384x384"),
    ],
)
def test_logs_that_differ_are_not_one_record(tmp_path: Path, old: str, new: str, words: str) -> None:
    (tmp_path / "other.log").write_text(T4.read_text().replace(old, new))
    with pytest.raises(NotComparable, match=words):
        import_logs(ImportSpec("auto", (T4, tmp_path / "other.log")), tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_another_batch_is_no_other_input_and_another_model_is_a_doubt(tmp_path: Path) -> None:
    (tmp_path / "other.log").write_text(T4.read_text().replace("8x3x224x224", "4x3x224x224"))
    spec = ImportSpec("auto", (T4, tmp_path / "other.log"))
    alike = import_logs(spec, tmp_path / "a.json")
    assert {point.batch_size for point in alike.points} == {4, 8} and not any("models" in d for d in alike.doubts)
    (tmp_path / "other.log").write_text((tmp_path / "other.log").read_text().replace("resnet50", "resnet18"))
    assert "the logs name several models: resnet50, resnet18" in import_logs(spec, tmp_path / "a.json").doubts


def test_requests_that_cannot_be_are_refused(tmp_path: Path) -> None:
    output = tmp_path / "a.json"
    spec = ImportSpec("auto", (T4, PRINTED))
    with pytest.raises(NotComparable, match="differ in tool: trtexec and benchmark"):
        import_logs(spec, output)
    with pytest.raises(UsageError, match="are the same log; give each log once"):
        import_logs(replace(spec, files=(T4, T4)), output)
    with pytest.raises(UsageError, match="--batch-size gives 3 sizes for 2 files"):
        import_logs(replace(spec, batch_sizes=(1, 2, 3)), output)
    log = tmp_path / "log.txt"
    log.write_bytes(T4.read_bytes())
    with pytest.raises(UsageError, match="is one of the logs; choose another --output"):
        import_logs(ImportSpec("auto", (log,)), log)
    assert log.read_bytes() == T4.read_bytes() and not output.exists()


def test_chips_that_make_no_whole_card_are_doubted(tmp_path: Path) -> None:
    spec = ImportSpec("ais_bench", (LOGS / "ais_bench-two-chips.log",), device="310", chips_per_card=4)
    record = import_logs(spec, tmp_path / "a.json")
    assert (record.points[0].images_per_s, record.points[0].images_per_s_card) == (225, 900)
    assert "the chips that ran at once are no whole number of cards with 4 each" in record.doubts
