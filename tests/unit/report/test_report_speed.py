"""Speed figures from stored samples, against figures worked out by hand."""

from pathlib import Path

import pytest

from run_folder import BF16, MACHINE, TORCH, Trial, build_run, make_point
from seatrial.report.headline import write_speed
from seatrial.report.html import write_html
from seatrial.report.run_doubts import find_doubts
from seatrial.report.speed import all_speeds, best_speeds, explain_withheld, find_common_batch, find_ratio
from seatrial.report.tables import make_ratios, make_speed, make_summary
from seatrial.results.run_folder import read_run
from seatrial.results.speed import explain_unmeasured
from seatrial.store.measurement import Measurement, Unmeasured


def _change(folder: Path, name: str, **changes: object) -> None:
    path = folder / "bench" / f"{name}.json"
    Measurement.load(path).model_copy(update=changes).save(path)


def test_points_of_one_batch_size_are_one_row(tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path, Trial(ships=(TORCH,))))
    one, four = all_speeds(run)["torch"]
    assert (one.latency.samples, four.latency.samples) == (4, 2)
    assert one.latency.median_ms == 50.0
    assert one.images_per_s == pytest.approx(20.0)  # 4 images in 200 ms
    assert four.images_per_s == pytest.approx(20.0)  # 8 images in 400 ms


def test_best_and_ratio(tmp_path: Path) -> None:
    run = read_run(build_run(tmp_path))
    best = best_speeds(run)
    assert best["openvino-bf16"].latency.batch_size == 4
    assert best["openvino-bf16"].images_per_s == pytest.approx(160.0)  # 8 images in 50 ms
    assert find_ratio(run, best, "openvino-bf16", "torch") == pytest.approx(8.0)
    assert find_ratio(run, best, "openvino-bf16", "nobody") is None


def test_a_ratio_with_an_end_in_doubt_is_withheld_with_the_reason(tmp_path: Path) -> None:
    build_run(tmp_path)
    reason = "the evaluation gave 500 images/s from files, the measurement 20 without them"
    _change(tmp_path, "torch", contradicted=reason)
    run = read_run(tmp_path)
    assert find_ratio(run, best_speeds(run), "openvino-bf16", "torch") is None
    assert [row[7] for row in make_summary(run).rows if row[0] == "openvino-bf16"] == ["–"]
    withheld = f"The ratio to torch is withheld (torch: {reason}); `seatrial run --measure-again`"
    assert withheld in write_speed(run) and "8.00 × torch" not in write_speed(run)
    page = write_html(run)
    assert '<code>seatrial run <span class="whole">--measure-again</span></code>' in page
    assert "bench --force" not in page
    assert f"in doubt: torch: {reason}. `seatrial run --measure-again`" in make_ratios(run).note


def test_engines_that_are_in_the_same_doubt_are_named_together(tmp_path: Path) -> None:
    build_run(tmp_path)
    for name, busy in (("torch", 82), ("onnxruntime", 75), ("openvino-bf16", 80)):
        _change(tmp_path, name, contradicted=f"{busy} of 100 were busy" if name != "onnxruntime" else "it is too fast")
    best = best_speeds(read_run(tmp_path))
    assert explain_withheld(best) == ("torch and openvino-bf16: 80 to 82 of 100 were busy; onnxruntime: it is too fast")
    assert explain_withheld(best, "openvino-bf16") == "openvino-bf16: 80 of 100 were busy"


def test_streams_are_not_mixed_and_their_rates_add_up(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH,)))
    points = (make_point(1, (50.0, 50.0)), make_point(1, (80.0, 80.0, 80.0, 80.0), streams=2))
    _change(tmp_path, "torch", points=points)
    alone, together = all_speeds(read_run(tmp_path))["torch"]
    assert alone.images_per_s == pytest.approx(20.0)
    assert together.images_per_s == pytest.approx(25.0)  # 4 images in 160 ms on two streams
    assert (alone.batch, together.batch) == ("1", "1 on 2 streams")


def test_no_ratio_between_two_machines(tmp_path: Path) -> None:
    build_run(tmp_path)
    _change(tmp_path, "openvino-bf16", environment=MACHINE.model_copy(update={"cores": 64}))
    run = read_run(tmp_path)
    assert find_ratio(run, best_speeds(run), "openvino-bf16", "torch") is None
    assert [row[7] for row in make_summary(run).rows] == ["1.00", "1.67", "–"]


def test_smallest_common_batch(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH, BF16)))
    assert find_common_batch(read_run(tmp_path)) == 1
    _change(tmp_path, "torch", points=(make_point(4, (200.0,)), make_point(16, (700.0,))))
    assert find_common_batch(read_run(tmp_path)) == 4
    _change(tmp_path, "torch", points=(make_point(16, (700.0,)),))
    assert find_common_batch(read_run(tmp_path)) is None


def test_table_marks_each_engines_best_batch(tmp_path: Path) -> None:
    rows = make_speed(read_run(build_run(tmp_path, Trial(ships=(TORCH, BF16))))).rows
    assert rows[3] == ("openvino-bf16", "4", "160", "96.2 to 266", "25.0", "25.8", "26.0", "5.7", "2", "best")
    assert [row[-1] for row in rows] == ["best", "", "", "best"]


def test_other_scopes_stay_out_of_tables_and_ratios(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH,)))
    device = make_point(1, (1.0, 1.0)).model_copy(update={"scope": "device"})
    _change(tmp_path, "torch", points=(make_point(1, (50.0, 50.0)), device))
    (speed,) = all_speeds(read_run(tmp_path))["torch"]
    assert (speed.scope, speed.images_per_s) == ("host", pytest.approx(20.0))


def test_a_batch_without_speed_is_a_doubt(tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH,)))
    absent = Unmeasured(batch_size=64, streams=1, scope="host", reason="it does not fit into memory")
    _change(tmp_path, "torch", unmeasured=(absent,))
    (doubt,) = find_doubts(read_run(tmp_path))
    assert (doubt.engine, doubt.name, doubt.kind.touches) == ("torch", "unmeasured", "figure")
    assert doubt.text == "batch 64: not measured: it does not fit into memory"


@pytest.mark.parametrize(("done", "told"), [(0, "not measured"), (1, "given up after 1 process"), (2, "2 processes")])
def test_a_batch_that_is_given_up_says_after_how_many_processes(done: int, told: str, tmp_path: Path) -> None:
    build_run(tmp_path, Trial(ships=(TORCH,)))
    absent = Unmeasured(batch_size=8, streams=1, scope="host", reason="it was killed by SIGKILL")
    points = (make_point(1, (50.0, 50.0)), *[make_point(8, (50.0, 50.0))] * done)
    _change(tmp_path, "torch", points=points, unmeasured=(absent,))
    said = explain_unmeasured(absent, read_run(tmp_path).measurements["torch"])
    assert said.startswith("batch 8: ") and said.endswith(f"{told}: it was killed by SIGKILL")
