"""What an engine costs, where an evaluation's time goes, and what a run leaves open."""

from pathlib import Path

import pytest

from run_folder import BF16, TORCH, Trial, build_run
from seatrial.report.costs import make_costs
from seatrial.report.limits import make_limits
from seatrial.report.time_spent import find_share, make_time_spent, name_bottleneck
from seatrial.results.run_folder import read_run
from seatrial.store.measurement import Energy, Measurement, Point, Throughput
from seatrial.store.records import EngineManifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_run(tmp_path, Trial(ships=(TORCH, BF16)))


def read_columns(folder: Path) -> dict[str, tuple[str, ...]]:
    table = make_costs(read_run(folder))
    return {column.name: cells for column, *cells in zip(table.columns, *table.rows, strict=True)}  # type: ignore[misc]


def test_costs_are_those_of_the_records_and_of_the_files(folder: Path) -> None:
    (folder / "engines" / "torch" / "model.bin").write_bytes(bytes(3 * 2**20))
    path = folder / "engines" / "torch" / "engine.json"
    EngineManifest.load(path).model_copy(update={"compile_s": 12.345}).save(path)
    columns = read_columns(folder)
    assert columns["Parameters, million"] == ["23.5", "23.5"]
    assert columns["On disk, MiB"] == ["3.00", "–"]
    assert columns["Compile, s"] == ["12.3", "–"]
    assert columns["Load, s"] == ["0.400", "0.400"]
    assert columns["First prediction, ms"] == ["120", "120"]
    assert columns["Peak memory, MiB"] == ["600", "600"]
    assert "Device memory, MiB" not in columns


def test_energy_is_that_of_the_best_batch_size_by_meter(folder: Path) -> None:
    assert make_costs(read_run(folder)).note.endswith("Energy was not measured.")
    path = folder / "bench" / "torch.json"
    measured = Measurement.load(path)

    def meter(point: Point) -> Point:
        # Joules for 100 images: 3 at batch 1, which is the best, twice as many in every second process.
        joules = (3.0 if point.batch_size == 1 else 90.0) * (2 if point in measured.points[::2] else 1)
        read = (Energy(scope="CPU packages", joules=joules, seconds=2, images=100),)
        return point.model_copy(update={"energy": read})

    measured.model_copy(update={"points": tuple(map(meter, measured.points))}).save(path)
    columns = read_columns(folder)
    assert columns["Energy an image, J (CPU packages)"] == ["0.0450", "–"]
    assert not any("GPU board" in name for name in columns)
    assert "all processors of the machine" in make_costs(read_run(folder)).note
    assert dict(make_limits(read_run(folder)).rows)["Energy"] == "not measured: openvino-bf16"


def test_without_records_nothing_is_shown(folder: Path) -> None:
    for path in (folder / "checkpoint.safetensors.json", *folder.glob("*/torch*"), *folder.glob("*/openvino*")):
        path.rename(folder / f"{path.parent.name}-{path.name}")
    table = make_costs(read_run(folder))
    assert table.rows == () and table.absent == "Neither sizes nor memory are stored in this run."


def test_the_time_of_an_evaluation_is_shared_out(folder: Path) -> None:
    # 540 images in 5.4 s: 1 s of decoding by two workers, 2 s in two streams.
    row = make_time_spent(read_run(folder)).rows[0]
    assert row == ("torch", "540", "5.40", "100", "1.85", "9.26", "3.70", "18.5", "processors or start-up")


def test_what_everything_waits_for(folder: Path) -> None:
    pace = Throughput.load(folder / "evaluation" / "torch.throughput.json")
    assert find_share(5.4, pace, 2) == pytest.approx(0.5)

    def name(decode_s: float, run_s: float) -> str:
        return name_bottleneck(pace.model_copy(update={"decode_s": decode_s, "run_s": run_s}))

    assert name(10.5, 3.0) == "decoding"
    assert name(3.0, 10.5) == "the engine"
    assert name(10.5, 10.5) == "both"


def test_limits_name_the_smallest_drop_and_what_was_not_measured(folder: Path) -> None:
    rows = dict(make_limits(read_run(folder)).rows)
    text = rows["A small drop of openvino-bf16"]
    assert text.startswith("on 540 images, with 1 gained, a true drop of 1.56 points is found in 80% of such sets")
    assert text.endswith("the least that proves a drop is 5 lost images (0.93 points) with none gained")
    assert rows["Energy"] == "not measured: torch and openvino-bf16" and "Speed" not in rows
    (folder / "bench" / "torch.json").unlink()
    assert dict(make_limits(read_run(folder)).rows)["Speed"] == "not measured: torch"


def test_one_process_leaves_out_what_another_gives(folder: Path) -> None:
    path = folder / "bench" / "torch.json"
    measured = Measurement.load(path)
    measured.model_copy(update={"points": measured.points[::2]}).save(path)
    assert dict(make_limits(read_run(folder)).rows)["What another process gives"].startswith("torch: ")
