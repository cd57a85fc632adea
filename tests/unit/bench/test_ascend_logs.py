"""Logs of Ascend's two tools: rates of one chip, and the arithmetic that their own figures allow to be checked."""

from pathlib import Path

import pytest

from golden_logs import LOGS, read_changed, read_golden
from seatrial.bench.vendor_logs import read_log
from seatrial.bench.vendor_logs.reading import LogHints, Reading
from seatrial.errors import RefusedFile, UsageError
from seatrial.store.imported import ReportedLatency

SE_GUIDE = "ais_infer-2022-10.log"
MODULES = "perf_vision_batchsize_16_device_1.txt"
PURE = "PureInfer_perf_of_resnet50_bs4_in_device_0.txt"


def has_doubt(read: Reading, words: str) -> bool:
    return any(words in doubt for doubt in read.doubts)


def test_the_se_guides_log() -> None:
    read = read_golden(SE_GUIDE)
    (point,) = read.points
    assert (point.scope, point.batch_size, point.images_per_s) == ("device", 16, 729.2599603105127)
    assert point.latency == ReportedLatency(
        count=100, min_ms=21.843000411987305, mean_ms=21.94005001068115, median_ms=21.921500205993652,
        max_ms=22.437000274658203, percentiles_ms={"99": 22.326120758056643},
    )  # fmt: skip
    assert (point.copy_in_ms, point.copy_out_ms) == (1.7399787902832031, 0.1049041748046875)
    assert (point.warmup_runs, point.lines["images_per_s"], point.lines["latency"]) == (1, (11,), (9,))
    assert read.tool_version == "2022-09 to 2022-11, by its wording" and read.one_chip
    assert has_doubt(read, "feeds zeros") and not has_doubt(read, "throughput")


def test_the_wording_of_july_2022_gives_the_batch_by_its_figures() -> None:
    read = read_golden("ais_infer-2022-07.log")
    (point,) = read.points
    assert (point.batch_size, point.images_per_s, point.warmup_runs) == (16, 800, 5)  # 800 × 20 ms / 1000
    assert point.latency is not None and point.latency.count == 3125
    assert read.model == "/home/om/se-resnext_bs16.om" and not has_doubt(read, "zeros")


def test_todays_wording_with_a_run_for_each_batch() -> None:
    read = read_golden("ais_bench-2024-two-batches.log")
    assert [(p.batch_size, p.images_per_s, p.lines["images_per_s"]) for p in read.points] == [
        (4, 2500, (10,)),
        (8, 3200, (23,)),
    ]
    assert read.model is None and read.tool_version == "2022-12 or later, by its wording"


def test_chips_at_once_are_given_as_one_of_them() -> None:
    read = read_golden("ais_bench-two-chips.log")
    (point,) = read.points
    assert (point.chips, point.images_per_s, point.latency) == (2, 225, None)
    assert point.images_per_s_because == "summary throughput 450.0 / 2 chips"
    assert point.lines["images_per_s"] == (20, 10, 14)


def test_chips_whose_sum_is_wrong_are_doubted(tmp_path: Path) -> None:
    read = read_changed(tmp_path, "ais_bench-two-chips.log", ("summary throughput:450.0", "summary throughput:500"))
    assert has_doubt(read, "the chips' throughputs add up to 450 images/s, not to 500 (line 20)")


def test_the_summary_json_has_the_same_figures() -> None:
    printed, stored = read_golden("ais_bench-2024-two-batches.log").points[1], read_golden("ais_bench_summary.json")
    (point,) = stored.points
    assert (point.batch_size, point.images_per_s, point.latency) == (8, 3200, printed.latency)
    assert (point.copy_in_ms, point.copy_out_ms, stored.model) == (0.5, 0.125, "resnet50_bs8.om")
    assert point.lines == {"images_per_s": (7,), "latency": (4,)}


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("729.25", "729.25 (line 11) was truncated, not rounded: it is 729.25996"),
        ("729.26", None),
        ("45.6", "45.6 (line 11) contradicts the figures beside it, which give 729.259960"),
    ],
)
def test_the_rate_is_worked_out_again(tmp_path: Path, printed: str, words: str | None) -> None:
    read = read_changed(tmp_path, SE_GUIDE, (": 729.2599603105127", f": {printed}"))
    assert has_doubt(read, words) if words else not has_doubt(read, "throughput")
    assert read.points[0].images_per_s == float(printed)


def test_a_batch_of_1_nobody_gave_is_doubted(tmp_path: Path) -> None:
    changes = (("batchsize(16)", "batchsize(1)"), (": 729.2599603105127", ": 45.578747519407"))
    assert has_doubt(read_changed(tmp_path, SE_GUIDE, *changes), "take batch size 1 unless --batchsize gives another")


def test_copies_in_another_unit_are_left_out(tmp_path: Path) -> None:
    read = read_changed(tmp_path, SE_GUIDE, ("H2D_latency (ms)", "H2D_latency (MB)"))
    assert read.points[0].copy_in_ms is None and read.points[0].copy_out_ms is not None
    assert has_doubt(read, "a copy is given in MB (line 8)")
    with pytest.raises(RefusedFile, match=r"line 9 is 'NPU_compute_time \(MB\)"):
        read_changed(tmp_path, SE_GUIDE, ("NPU_compute_time (ms)", "NPU_compute_time (MB)"))


def test_threads_tell_only_the_mean(tmp_path: Path) -> None:
    line = "min = 2.0, max = 4.5, mean = 2.5, median = 2.5, percentile(99%) = 3.0"
    point = read_changed(tmp_path, "ais_bench-2024-two-batches.log", (line, "mean = 2.5")).points[1]
    assert point.latency == ReportedLatency(count=500, mean_ms=2.5) and point.streams is None


def test_a_mixed_batch_has_to_be_given(tmp_path: Path) -> None:
    changes = (("batchsize.mean(8)", "batchsize.mean(7.5)"), ("resnet50_bs8", "resnet50"))
    with pytest.raises(UsageError, match="does not state the batch size"):
        read_changed(tmp_path, "ais_bench-2024-two-batches.log", *changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((("summary throughput:450.0", ""),), "one of several chips that ran at once"),
        ((("[INFO] end to finalize acl", "[INFO] acl init success"),), "line 26 begins a run that has no summary"),
        ((("Performance Summary", "dyshape_range Performance Summary"),), "summarises runs of many shapes"),
    ],
)
def test_what_is_no_whole_run_is_refused(tmp_path: Path, changes: tuple[tuple[str, str], ...], words: str) -> None:
    name = "ais_bench-two-chips.log" if "450" in changes[0][0] else "ais_bench-2024-two-batches.log"
    with pytest.raises(RefusedFile, match=words):
        read_changed(tmp_path, name, *changes)


def test_a_run_without_a_result_reports_why() -> None:
    with pytest.raises(RefusedFile, match="ais_bench reports on line 3: load model from file failed"):
        read_golden("ais_bench-failed.log")


def test_a_data_set_has_two_scopes() -> None:
    read = read_golden(MODULES)
    device, files = read.points
    assert (device.scope, device.images_per_s, device.lines["images_per_s"]) == ("device", 291.04, (4,))
    assert (files.scope, files.images_per_s, files.lines["images_per_s"]) == ("e2e", 156.123, (1,))
    assert device.batch_size == 16 and device.duration_s == 320.261 and read.one_chip
    assert not has_doubt(read, "images a batch") and not has_doubt(read, "should grow")


def test_modules_that_contradict_each_other_are_doubted(tmp_path: Path) -> None:
    read = read_changed(tmp_path, MODULES, ("throughputRate: 9.80371", "throughputRate: 2.45"))
    assert has_doubt(read, "[infer] over [post] gives 64.03 images a batch")
    read = read_changed(tmp_path, MODULES, ("Interface throughputRate: 291.04", "Interface throughputRate: 29.1"))
    assert has_doubt(read, "rates should grow from [e2e] 156.123 over [infer] 156.862 to Interface 29.1")


def test_the_older_names_of_modules(tmp_path: Path) -> None:
    renamed = read_changed(tmp_path, MODULES, ("[infer]", "[inference]"), ("[post]", "[postprocess]"))
    assert [p.images_per_s for p in renamed.points] == [291.04, 156.123]


def test_pure_inference_has_times_per_image() -> None:
    read = read_golden(PURE)
    (point,) = read.points
    assert (point.images_per_s, point.batch_size, read.model) == (800, 4, "resnet50_bs4")
    assert point.latency == ReportedLatency(mean_ms=1.25 * 4) and not read.doubts


def test_pure_inference_as_printed_has_every_run() -> None:
    (point,) = read_golden("benchmark-pure.log").points
    assert point.latency == ReportedLatency(count=4, min_ms=9.5, mean_ms=10, median_ms=10, max_ms=10.5)
    assert (point.batch_size, point.lines["batch_size"], point.lines["latency"]) == (8, (1,), (2, 5))


def test_each_run_has_its_own_command(tmp_path: Path) -> None:
    module_lines = (LOGS / MODULES).read_text(encoding="utf-8")
    text = f"{module_lines}$ ./benchmark.x86_64 -batch_size=4\n{module_lines}"
    (tmp_path / "runs.log").write_text(text)
    with pytest.raises(UsageError, match="does not state the batch size"):
        read_log(tmp_path / "runs.log", "benchmark", LogHints())
    (tmp_path / "runs.log").write_text(f"$ ./benchmark.x86_64 -batch_size=16\n{text}")
    read = read_log(tmp_path / "runs.log", "benchmark", LogHints())[2]
    assert [point.batch_size for point in read.points] == [16, 16, 4, 4]


def test_a_rate_that_contradicts_the_time_is_doubted(tmp_path: Path) -> None:
    read = read_changed(tmp_path, PURE, ("ave_latency = 1.25ms", "ave_latency = 5ms"))
    assert has_doubt(read, "800 images/s contradict the mean latency of 20 ms for 4 images on 1 stream")
