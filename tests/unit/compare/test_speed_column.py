import pytest

from imported_logs import make_imported
from run_folder import MACHINE, TORCH, Trial, build_run, make_point
from seatrial.compare.speed_column import describe_machine, name_model, read_imported, read_measurement
from seatrial.results.speed import Rate
from seatrial.store.measurement import Measurement


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    run = build_run(tmp_path_factory.mktemp("column") / "run", Trial(ships=(TORCH,)))
    return Measurement.load(run / "bench" / "torch.json")


def test_a_measurement_is_a_column_in_one_scope(measured: Measurement) -> None:
    column = read_measurement(measured, "mine")
    assert (column.name, column.origin, column.chips_per_card) == ("mine", "torch on cpu", 1)
    # 4 images in 200 ms of two runs in two processes: 50, 48, 52, 50 ms at batch 1, 190 and 210 at 4.
    assert {size: f.rate.value for size, f in column.figures["host"].items()} == {
        1: pytest.approx(20),
        4: pytest.approx(20),
    }
    assert column.facts["machine"] == describe_machine(MACHINE)
    assert column.facts["clock"] is None


def test_the_best_number_of_streams_is_taken(measured: Measurement) -> None:
    points = (make_point(2, (10.0, 10.0)), make_point(2, (20.0, 20.0), streams=3), make_point(1, (10.0,)))
    column = read_measurement(measured.model_copy(update={"points": points}), "x")
    assert [(size, f.streams, f.rate.value) for size, f in column.figures["host"].items()] == [
        (1, 1, pytest.approx(100)),
        (2, 3, pytest.approx(300)),
    ]


def test_an_ascend_engine_is_one_chip_of_an_unknown_card(measured: Measurement) -> None:
    assert read_measurement(measured.model_copy(update={"engine": "ascend"}), "npu").chips_per_card is None


def test_a_log_tells_what_it_tells() -> None:
    record = make_imported("T4", {("device", 8): 200.0, ("host", 8): 100.0, ("host", None): 50.0, ("host", 1): 10.0})
    column = read_imported(record, "T4")
    assert column.facts == {"precision": "fp16", "model": "resnet50"}
    assert column.chips_per_card == 1
    assert list(column.figures["host"]) == [1, 8, None]
    assert column.figures["device"][8].rate == Rate(200.0)


def test_runs_of_the_same_point_are_averaged() -> None:
    record = make_imported("T4", {("device", 8): 200.0})
    twice = record.model_copy(
        update={"points": (record.points[0], record.points[0].model_copy(update={"images_per_s": 300.0}))}
    )
    assert read_imported(twice, "T4").figures["device"][8].rate == Rate(250.0)


@pytest.mark.parametrize(
    ("tool", "asked", "chips"), [("ais_bench", None, None), ("benchmark", 4, 4), ("timm", None, 1)]
)
def test_only_ascends_tools_time_one_chip_of_several(tool: str, asked: int | None, chips: int | None) -> None:
    record = make_imported("x", {("device", 1): 1.0}, tool=tool, chips_per_card=asked)
    assert read_imported(record, "x").chips_per_card == chips


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("resnet50.onnx", "resnet50"),
        ("./se-resnext_bs16.om", "se-resnext"),
        ("/home/om/resnet50_bs8", "resnet50"),
        ("resnet50.prototxt", "resnet50"),
        ("seresnext101_32x4d", "seresnext101_32x4d"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"),
    ],
)
def test_a_model_is_named_by_its_file(told: str, name: str) -> None:
    assert name_model(told) == name


def test_machines_are_told_apart_by_what_no_name_shows() -> None:
    flags = MACHINE.model_copy(update={"cpu_flags": ("avx2",)})
    assert describe_machine(flags) != describe_machine(MACHINE)
    assert describe_machine(MACHINE).startswith("Intel(R) Xeon(R) Platinum 8488C, 2 cores, 16 GiB, Linux 6.12 x86_64 (")
