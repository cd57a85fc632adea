"""trtexec's scope, queries and wording by version, worked out by hand from the sample logs."""

from pathlib import Path

import pytest

from golden_logs import read_changed, read_golden
from seatrial.bench.vendor_logs.reading import LogHints
from seatrial.errors import NotComparable, RefusedFile, UsageError
from seatrial.store.imported import ReportedLatency

LOADED = (("--onnx=resnet50.onnx", "--loadEngine=resnet50.plan"),)


def test_trtexec_8_times_copies_and_counts_batches() -> None:
    read = read_golden("trtexec-8.6.log")
    facts = (read.tool_version, read.device, read.precision, read.model)
    assert facts == ("8.6.1", "Tesla T4", "fp16", "resnet50.onnx")
    host, device = read.points
    assert (host.scope, host.images_per_s) == ("host", 240 * 8)
    assert host.images_per_s_because == "240 qps × batch 8" and host.scope_because.endswith("'Data transfers: Enabled'")
    assert (device.scope, device.images_per_s) == ("device", 1000 * 8 / 4)
    assert host.latency == ReportedLatency(
        count=720, min_ms=4.25, mean_ms=4.5, median_ms=4.49, max_ms=5.5,
        percentiles_ms={"90": 4.6, "95": 4.7, "99": 5.1},
    )  # fmt: skip
    assert (host.copy_in_ms, host.copy_out_ms, host.warmup_runs, host.warmup_s) == (0.45, 0.05, 40, 0.2)
    assert (host.batch_size, host.streams, host.input, host.duration_s) == (8, 1, "image:8x3x224x224", 3)
    assert host.lines == {
        "batch_size": (9,), "streams": (12,), "warmup": (21,), "duration_s": (35,), "images_per_s": (29,),
        "latency": (30,), "scope": (13,),
    }  # fmt: skip
    assert any("line 37" in doubt and "unstable" in doubt for doubt in read.doubts)
    assert any("'Precision: FP32+FP16' is what was allowed" in doubt for doubt in read.doubts)


def test_an_implicit_batch_counts_images() -> None:
    host, device = read_golden("trtexec-8.4-implicit.log").points
    assert (host.batch_size, host.images_per_s, device.images_per_s) == (16, 1600, 1600)
    assert host.images_per_s_because == "1600 qps, images since the batch is implicit"
    assert host.latency is not None and host.latency.count == 4800 // 16
    assert (host.warmup_runs, host.input) == (20, "data:3x224x224")


def test_the_batch_of_a_loaded_engine_is_in_its_shape(tmp_path: Path) -> None:
    shapes = (
        (" --shapes=image:8x3x224x224", ""),
        ("Batch: Explicit", "Batch: 1"),
        ("shape: image=8x3x224x224", "shapes: model"),
    )
    host = read_changed(tmp_path, "trtexec-8.6.log", *LOADED, *shapes).points[0]
    assert (host.batch_size, host.images_per_s, host.lines["batch_size"]) == (8, 1920, (19,))
    implicit = (*LOADED, *shapes, ("dimensions 8x3x224x224", "dimensions 3x224x224"))
    with pytest.raises(UsageError, match="does not state the batch size"):
        read_changed(tmp_path, "trtexec-8.6.log", *implicit)
    assert read_changed(tmp_path, "trtexec-8.6.log", *implicit, hints=LogHints(1)).points[0].images_per_s == 240


def test_trtexec_7_prints_no_rate_for_an_explicit_batch() -> None:
    read = read_golden("trtexec-7.2.log")
    host, device = read.points
    assert read.tool_version == "7"
    assert host.images_per_s == 236 * 16 / 3.04  # 3.0208 s in all / 12.8 ms each = 236 batches
    assert device.images_per_s == 1250  # as the guides divide: 1000 / (12.8 / 16)
    assert host.latency is not None and host.latency.percentiles_ms == {"99": 14.1} and host.latency.count == 236
    assert device.latency is not None and (device.latency.min_ms, device.latency.max_ms) == (12.25, 13.5)
    assert host.lines["images_per_s"] == (30, 31) and host.copy_in_ms is None


def test_trtexec_7_with_a_rate_counts_images(tmp_path: Path) -> None:
    changes = (("throughput: 0 qps", "throughput: 1242 qps"), ("Batch: Explicit", "Batch: 16"))
    host = read_changed(tmp_path, "trtexec-7.2.log", *changes).points[0]
    assert (host.batch_size, host.images_per_s) == (16, 1242)
    unsaid = (changes[0], ("Batch: Explicit", ""))
    assert read_changed(tmp_path, "trtexec-7.2.log", *unsaid).points[0].images_per_s == 1242
    loaded = (
        ("throughput: 0 qps", "throughput: 77.6 qps"),
        ("Batch: Explicit", "Batch: 1"),
        ("--onnx=", "--loadEngine="),
    )
    assert read_changed(tmp_path, "trtexec-7.2.log", *loaded).points[0].images_per_s == 77.6 * 16


def test_without_transfers_it_is_the_device_alone() -> None:
    read = read_golden("trtexec-10.2-two-batches.log")
    assert [(p.batch_size, p.scope, p.images_per_s) for p in read.points] == [(1, "device", 980), (4, "device", 1568)]
    assert [p.lines["images_per_s"] for p in read.points] == [(14,), (36,)]
    assert sum("copies were left out of the clock" in doubt for doubt in read.doubts) == 2
    assert read.tool_version == "10.2.0" and read.precision == "fp32"


def test_trtexec_11_leaves_copies_out_by_default(tmp_path: Path) -> None:
    read = read_golden("trtexec-11.1.log")
    assert [(p.scope, p.images_per_s) for p in read.points] == [("device", 245 * 32)]
    assert read.precision is None and "strongly typed" in read.doubts[0]
    unsaid = ("[07/08/2026-09:00:01] [I] Data transfers: Disabled\n", "")
    (point,) = read_changed(tmp_path, "trtexec-11.1.log", unsaid).points
    assert point.scope == "device"
    assert point.scope_because == "trtexec 11 leaves copies out, and --includeDataTransfers was not given"


@pytest.mark.parametrize(
    ("name", "flag", "scopes"),
    [
        ("trtexec-8.6.log", "", ["host", "device"]),
        ("trtexec-8.6.log", " --noDataTransfers", ["device"]),
        ("trtexec-11.1.log", " --includeDataTransfers", ["host", "device"]),
        ("trtexec-11.1.log", " --noDataTransfers", ["device"]),
        ("trtexec-7.2.log", "", ["host", "device"]),
    ],
)
def test_scope_follows_version_and_flags_where_the_log_does_not_say(
    tmp_path: Path, name: str, flag: str, scopes: list[str]
) -> None:
    said = "Data transfers: " + ("Disabled" if "11" in name else "Enabled")
    read = read_changed(tmp_path, name, (said, "?"), (" --shapes=", f"{flag} --shapes="))
    assert [point.scope for point in read.points] == scopes


def test_without_a_version_the_copies_themselves_decide(tmp_path: Path) -> None:
    versions = (("TensorRT v8601", "TensorRT"), ("TensorRT version: 8.6.1", ""), ("Data transfers: Enabled", ""))
    read = read_changed(tmp_path, "trtexec-8.6.log", *versions)
    assert read.tool_version is None
    assert read.points[0].scope_because == "H2D and D2H latencies are not 0"


def test_what_contradicts_itself_is_doubted(tmp_path: Path) -> None:
    read = read_changed(tmp_path, "trtexec-8.6.log", ("Throughput: 240 qps", "Throughput: 1920 qps"))
    assert any("15360 images/s contradict the GPU compute time, which allows 2000" in doubt for doubt in read.doubts)
    read = read_changed(tmp_path, "trtexec-8.6.log", ("Throughput: 240 qps", "Throughput: 100 qps"))
    assert any("was idle between queries: latency allows 1777.78" in doubt for doubt in read.doubts)
    read = read_changed(tmp_path, "trtexec-8.6.log", ("transfers: Enabled", "transfers: Disabled"))
    assert any("the latencies of copies disagree" in doubt for doubt in read.doubts)


def test_a_loaded_engines_precision_is_not_stated(tmp_path: Path) -> None:
    read = read_changed(tmp_path, "trtexec-8.6.log", *LOADED)
    assert (read.precision, read.model) == (None, "resnet50.plan")
    assert "built elsewhere" in read.doubts[0]


def test_several_streams_have_no_rate_of_the_device_alone(tmp_path: Path) -> None:
    (host,) = read_changed(tmp_path, "trtexec-8.6.log", ("Inference Streams: 1", "Inference Streams: 2")).points
    assert (host.scope, host.streams) == ("host", 2)


def test_the_batch_comes_from_the_shape_or_from_the_user(tmp_path: Path) -> None:
    bare = (("--shapes=image:8x3x224x224", ""), ("shape: image=8x3x224x224", "shapes: model"))
    assert read_changed(tmp_path, "trtexec-8.6.log", *bare).points[0].lines["batch_size"] == (19,)
    none = (*bare, ("Created input binding for image with dimensions 8x3x224x224", ""))
    with pytest.raises(UsageError, match="does not state the batch size; give it with --batch-size"):
        read_changed(tmp_path, "trtexec-8.6.log", *none)
    assert read_changed(tmp_path, "trtexec-8.6.log", *none, hints=LogHints(2)).points[0].images_per_s == 480
    with pytest.raises(UsageError, match=r"is of batch size 8 \(line 9\), not of --batch-size 16"):
        read_changed(tmp_path, "trtexec-8.6.log", ("=== ", "=== "), hints=LogHints(16))


def test_a_failed_run_is_refused_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(
        RefusedFile, match=r"line 3: trtexec reports this run as failed; .*trtexec reports on line 2: Unknown opt"
    ):
        read_golden("trtexec-11.1-failed.log")
    with pytest.raises(RefusedFile, match="trtexec reports this run as failed"):
        read_changed(tmp_path, "trtexec-8.6.log", ("&&&& PASSED", "&&&& FAILED"))


def test_runs_that_differ_are_not_one_record(tmp_path: Path) -> None:
    device = (
        "[I] Selected Device: NVIDIA A10\n[07/30/2024-15:31:40]",
        "[I] Selected Device: T4\n[07/30/2024-15:31:40]",
    )
    with pytest.raises(NotComparable, match="has runs of device NVIDIA A10 and T4"):
        read_changed(tmp_path, "trtexec-10.2-two-batches.log", device)


def test_two_summaries_without_a_start_between_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedFile, match="line 35 begins a second summary"):
        read_changed(tmp_path, "trtexec-10.2-two-batches.log", ("&&&& RUNNING", "----"))
