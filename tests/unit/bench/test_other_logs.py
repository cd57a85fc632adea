"""Logs of benchmark_app, onnxruntime_perf_test, timm's benchmark.py and MLPerf's LoadGen."""

from pathlib import Path

import pytest

from golden_logs import read_changed, read_golden
from seatrial.bench.vendor_logs.reading import LogHints, Reading
from seatrial.errors import RefusedFile, UsageError
from seatrial.store.imported import ReportedLatency

TIMM = "timm-results.csv"
PERF = "onnxruntime_perf_test.log"


def has_doubt(read: Reading, words: str) -> bool:
    return any(words in doubt for doubt in read.doubts)


def test_benchmark_app_counts_images() -> None:
    read = read_golden("benchmark_app-2022.3.log")
    (point,) = read.points
    assert (read.tool_version, read.device, read.precision) == ("2022.3.0", "CPU", "fp32")
    assert (point.scope, point.batch_size, point.streams, point.images_per_s) == ("host", 4, 2, 160)
    assert point.latency == ReportedLatency(count=400, min_ms=33.27, mean_ms=50, median_ms=49.8, max_ms=104.15)
    assert (point.input, point.duration_s, point.warmup_runs) == ("4x3x224x224", 10, 1)
    assert point.lines["images_per_s"] == (32,) and point.lines["batch_size"] == (11,)
    assert not has_doubt(read, "images/s")


def test_benchmark_app_of_2026_prints_microseconds() -> None:
    read = read_golden("benchmark_app-2026.4.log")
    (point,) = read.points
    assert point.latency == ReportedLatency(
        count=2000, min_ms=0.45, mean_ms=0.5, max_ms=2.35026, percentiles_ms={"95": 0.8}
    )
    assert (point.streams, read.precision, read.tool_version) == (1, "bf16", "2026.4.1")
    assert has_doubt(read, "performance counters were on") and has_doubt(read, "int8 layers")


def test_benchmark_apps_reports_say_the_same() -> None:
    printed = read_golden("benchmark_app-2022.3.log").points[0]
    for name, line in (("benchmark_report.csv", 26), ("benchmark_report.json", 1)):
        read = read_golden(name)
        (point,) = read.points
        assert (point.images_per_s, point.latency, point.streams) == (160, printed.latency, 2)
        assert (read.device, point.scope_because, point.lines["images_per_s"]) == (
            "CPU",
            printed.scope_because,
            (line,),
        )


def test_benchmark_app_of_2021_prints_the_median_alone(tmp_path: Path) -> None:
    new = "[ INFO ] Latency:\n[ INFO ]    Median:        49.80 ms\n[ INFO ]    Average:       50.00 ms\n"
    new += "[ INFO ]    Min:           33.27 ms\n[ INFO ]    Max:           104.15 ms\n"
    batch = ("Model batch size", "Network batch size")
    (point,) = read_changed(
        tmp_path, "benchmark_app-2022.3.log", (new, "[ INFO ] Latency:    49.80 ms\n"), batch
    ).points
    assert point.latency is None and point.images_per_s == 160 and point.batch_size == 4


def test_filling_inputs_inside_the_clock_is_noted(tmp_path: Path) -> None:
    change = ("inputs filling are not included", "inputs filling are included")
    (point,) = read_changed(tmp_path, "benchmark_app-2022.3.log", change).points
    assert point.scope_because == "an infer request is timed, and filling its inputs too"


def test_two_decimals_of_a_report_may_say_nothing(tmp_path: Path) -> None:
    changes = (("latency (ms);49.80", "latency (ms);0.00"), ("min latency;33.27", "min latency;0.00"))
    latency = read_changed(tmp_path, "benchmark_report.csv", *changes).points[0].latency
    assert latency == ReportedLatency(count=400, mean_ms=50, max_ms=104.15)
    (point,) = read_changed(tmp_path, "benchmark_report.csv", ("avg latency;50.00", "avg latency;0.00")).points
    assert point.latency is None


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedFile, match="line 29 gives a time in 's', not in ms or us"):
        read_changed(tmp_path, "benchmark_app-2022.3.log", ("50.00 ms", "0.05 s"))


def test_benchmark_app_that_failed_reports_why(tmp_path: Path) -> None:
    with pytest.raises(RefusedFile, match="benchmark_app reports on line 5: Could not open the file"):
        read_golden("benchmark_app-failed.log")
    with pytest.raises(RefusedFile, match="benchmark_app reports 'no such device'"):
        read_changed(tmp_path, "benchmark_report.json", ('"throughput": "160.00"', '"error": "no such device"'))


def test_waiting_between_runs_is_doubted(tmp_path: Path) -> None:
    read = read_changed(tmp_path, "benchmark_app-2022.3.log", ("160.00 FPS", "100.00 FPS"))
    assert has_doubt(read, "only 100 images/s at a mean latency of 50 ms for 4 images on 2 streams, which makes 160")


def test_perf_test_counts_requests() -> None:
    (point,) = read_golden(PERF).points
    assert (point.scope, point.batch_size, point.streams, point.images_per_s) == ("host", 8, 1, 400)
    assert point.images_per_s_because == "50 inferences/s × batch 8"
    assert point.latency == ReportedLatency(
        count=500, min_ms=17.5, mean_ms=20, median_ms=20, max_ms=50,
        percentiles_ms={"90": 22.5, "95": 25, "99": 30, "99.9": 50},
    )  # fmt: skip


def test_perf_test_side_by_side_and_of_2019() -> None:
    parallel, old = read_golden("onnxruntime_perf_test-parallel.log"), read_golden("onnxruntime_perf_test-2019.log")
    assert parallel.points[0].streams is None and has_doubt(parallel, "requests ran at the same time")
    assert old.points[0].images_per_s == 500 / 10 * 8 and old.points[0].lines["images_per_s"] == (2, 1)


def test_perf_test_never_prints_the_batch(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not state the batch size; give it with --batch-size"):
        read_changed(tmp_path, PERF, ("Setting", "Setting"), hints=LogHints())


def test_timm_prints_one_network() -> None:
    read = read_golden("timm-printed.log")
    (point,) = read.points
    assert (point.scope, point.batch_size, point.images_per_s, point.input) == ("device", 256, 2000, "224")
    assert point.latency == ReportedLatency(mean_ms=128)
    assert (read.model, read.precision) == ("resnet50", "bf16") and not read.doubts


def test_timms_table_has_many() -> None:
    (point,) = read_golden(TIMM).points
    assert (point.images_per_s, point.batch_size, point.lines["images_per_s"]) == (4302.84, 1024, (4,))
    for model, words in (
        (None, "has 3 networks: test_vit@160, resnet50@160, resnet50@224; choose one with --model"),
        ("resnet50", "at several image sizes; choose one of resnet50@160, resnet50@224"),
        ("resnet5", "has no network 'resnet5'; did you mean 'resnet50"),
    ):
        with pytest.raises(UsageError, match=words):
            read_golden(TIMM, LogHints(model=model))
    assert read_golden(TIMM, LogHints(model="test_vit")).points[0].images_per_s == 194812.41


def test_timms_table_needs_inference(tmp_path: Path) -> None:
    with pytest.raises(RefusedFile, match="has no 'infer_samples_per_sec'"):
        read_changed(tmp_path, TIMM, ("infer_", "train_"))
    with pytest.raises(RefusedFile, match="line 4 has 9 cells, the header 8"):
        read_changed(tmp_path, TIMM, ("11.11", "11.11,1"))


def test_timm_that_failed_reports_why() -> None:
    with pytest.raises(RefusedFile, match=r"benchmark.py failed on resnet50: CUDA out of memory"):
        read_golden("timm-failed.json")


@pytest.mark.parametrize(
    ("name", "batch", "rate", "runs"),
    [
        ("mlperf-singlestream.txt", 1, 2000, 1_200_000),
        ("mlperf-multistream.txt", 8, 16000, 300_000),
        ("mlperf-server.txt", None, 1956.56, None),
    ],
)
def test_mlperfs_scenarios(name: str, batch: int | None, rate: float, runs: int | None) -> None:
    read = read_golden(name)
    (point,) = read.points
    assert (point.scope, point.batch_size, point.images_per_s) == ("host", batch, rate)
    assert point.latency == ReportedLatency(
        count=runs, min_ms=0.4, mean_ms=0.5, median_ms=0.48, max_ms=2,
        percentiles_ms={"90": 0.6, "95": 0.7, "97": 0.8, "99": 0.9, "99.9": 1.5},
    )  # fmt: skip
    assert read.device == "A10_TRT"


def test_mlperfs_query_is_the_batch() -> None:
    with pytest.raises(UsageError, match=r"is of batch size 1 \(line 37\), not of --batch-size 4"):
        read_golden("mlperf-singlestream.txt", LogHints(batch_size=4))


def test_mlperf_offline_has_no_latency_and_may_be_invalid() -> None:
    read = read_golden("mlperf-offline-invalid.txt", LogHints(batch_size=64))
    (point,) = read.points
    assert (point.images_per_s, point.latency, point.batch_size, read.device) == (2048, None, 64, None)
    assert has_doubt(read, "the result is INVALID (line 8): Min duration satisfied : NO")
    assert has_doubt(read, "LoadGen counted 1 errors (line 54)")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("PerformanceOnly", "AccuracyOnly"), "line 6: mode AccuracyOnly measures no speed"),
        (("Scenario : Server", "Scenario : Batch"), "line 5: there is no scenario 'Batch'"),
        (("Mean latency (ns)", "Meagre latency (ns)"), "has no line 'Mean latency"),
    ],
)
def test_mlperf_without_a_speed_is_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(RefusedFile, match=words):
        read_changed(tmp_path, "mlperf-server.txt", change)
